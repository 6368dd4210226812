"""What Pillow takes of damaged pictures under LOAD_TRUNCATED_IMAGES: CenterCrop(size)(Image.open(file).convert("RGB")).

    python test/parity/judge/truncated.py SIZE < paths.json

reads a JSON list of paths and prints one of [digest, is black]: the SHA-256 of the crop's uint8 RGB bytes, null for a
file that Pillow refuses, and whether all of the picture is black.
"""

import hashlib
import json
import os
import sys

from decode import CenterCrop
from PIL import Image, ImageFile

ImageFile.LOAD_TRUNCATED_IMAGES = True


def taken(path: str, size: int) -> tuple[str | None, bool]:
    try:
        with open(path, "rb") as file:
            picture = Image.open(file).convert("RGB")
    except Exception:  # Pillow refuses files with exceptions of many classes.
        return None, False
    crop = CenterCrop(size)(picture).tobytes()
    return hashlib.sha256(crop).hexdigest(), picture.getbbox() is None


if __name__ == "__main__":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libjpeg complains there
    json.dump([taken(path, int(sys.argv[1])) for path in json.load(sys.stdin)], sys.stdout)
