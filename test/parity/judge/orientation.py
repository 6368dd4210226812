"""The orientation by which Pillow's ImageOps.exif_transpose turns pictures.

    python test/parity/judge/orientation.py < paths.json

reads a JSON list of paths and prints one of orientations 1 to 8, with an exception's name where Pillow raises one.
"""

import json
import sys
import warnings

from PIL import Image, ImageOps

warnings.simplefilter("ignore")
T = Image.Transpose
ORIENTATIONS = {
    T.FLIP_LEFT_RIGHT: 2,
    T.ROTATE_180: 3,
    T.FLIP_TOP_BOTTOM: 4,
    T.TRANSPOSE: 5,
    T.ROTATE_270: 6,
    T.TRANSVERSE: 7,
    T.ROTATE_90: 8,
}


def orientation_of(path: str) -> int | str:
    turns = []
    transpose = Image.Image.transpose
    Image.Image.transpose = lambda image, method: (turns.append(method), transpose(image, method))[1]
    try:
        with open(path, "rb") as file:
            ImageOps.exif_transpose(Image.open(file))
    except Exception as error:  # Pillow refuses metadata with exceptions of many classes.
        return type(error).__name__
    finally:
        Image.Image.transpose = transpose
    return ORIENTATIONS[turns[0]] if turns else 1


if __name__ == "__main__":
    json.dump([orientation_of(path) for path in json.load(sys.stdin)], sys.stdout)
