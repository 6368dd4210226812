"""What PyTorch's side makes of picture files before they become tensors: exif_transpose, Resize, Pad, CenterCrop.

    python test/parity/judge/resize.py < cases.json

reads a JSON list of [path, steps] (the fields of lib/model/preprocessing.ts's PixelPreprocessing, and `orientation`)
and prints one of SHA-256 digests of uint8 RGB bytes, with null where Pillow refuses the file.
"""

import hashlib
import json
import sys
from functools import lru_cache

from decode import CenterCrop
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode, Pad, Resize

T = Image.Transpose
TURNS = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_270,
    7: T.TRANSVERSE,
    8: T.ROTATE_90,
}


@lru_cache(maxsize=1)
def decoded(path: str, exif: str) -> Image.Image:
    with open(path, "rb") as file:
        picture = Image.open(file)
        return (ImageOps.exif_transpose(picture) if exif == "apply" else picture).convert("RGB")


def pixels(path: str, steps: dict) -> bytes:
    picture = decoded(path, steps.get("exif", "ignore"))
    if steps.get("orientation", 1) != 1:
        picture = picture.transpose(TURNS[steps["orientation"]])
    if steps.get("resize") is not None:
        interpolation = InterpolationMode(steps.get("interpolation", "bilinear"))
        picture = Resize(steps["resize"], interpolation)(picture)
    if steps.get("padding"):
        picture = Pad(steps["padding"])(picture)
    if steps.get("crop", True):
        picture = CenterCrop(steps["imageSize"])(picture)
    return picture.tobytes()


def digest(path: str, steps: dict) -> str | None:
    try:
        return hashlib.sha256(pixels(path, steps)).hexdigest()
    except Exception:  # Pillow refuses files with exceptions of many classes.
        return None


if __name__ == "__main__":
    json.dump([digest(path, steps) for path, steps in json.load(sys.stdin)], sys.stdout)
