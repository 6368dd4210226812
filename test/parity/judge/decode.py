"""What PyTorch's side reads from picture files: CenterCrop(size)(Image.open(file).convert("RGB")).

    python test/parity/judge/decode.py SIZE < paths.json

reads a JSON list of paths and prints one of SHA-256 digests of the crops' uint8 RGB bytes, with null for a file
that Pillow refuses. As a module it also makes torchvision importable beside any build of torch.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import torch

# torchvision describes two operators that only its own compiled library defines. Beside another torch build that
# library does not load; nothing here calls them.
_library = torch.library.Library("torchvision", "DEF")
for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    try:
        _library.define(_schema)
    except RuntimeError:  # defined already
        pass

from PIL import Image  # noqa: E402
from torchvision.transforms import CenterCrop  # noqa: E402

warnings.simplefilter("ignore")


def crop_bytes(path: str | Path, size: int) -> bytes:
    with open(path, "rb") as file:
        picture = Image.open(file).convert("RGB")
    return CenterCrop(size)(picture).tobytes()


def crop_digest(path: str | Path, size: int) -> str | None:
    try:
        return hashlib.sha256(crop_bytes(path, size)).hexdigest()
    except Exception:  # Pillow refuses files with exceptions of many classes.
        return None


if __name__ == "__main__":
    size = int(sys.argv[1])
    json.dump([crop_digest(path, size) for path in json.load(sys.stdin)], sys.stdout)
