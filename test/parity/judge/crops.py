"""What torchvision makes of raw pictures by Resize, Pad and CenterCrop, compared with crops made elsewhere.

    python test/parity/judge/crops.py < question.json

prints, for each case of `file` (pixels), `height`, `width`, `crop` (pixels) and `preprocessing`, how many of its values
differ and by how much at most, as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
from decode import CenterCrop
from PIL import Image
from torchvision.transforms import Compose, InterpolationMode, Pad, Resize


class CropRoundedDown(CenterCrop):
    """Hugging Face's: CenterCrop, but half of an odd surplus is rounded down."""

    def forward(self, picture: Image.Image) -> Image.Image:
        size = self.size[0]
        left, top = (max(side - size, 0) // 2 for side in picture.size)
        right, bottom = (first + min(side, size) for first, side in zip((left, top), picture.size))
        return super().forward(picture.crop((left, top, right, bottom)))


def transform(recipe: dict) -> Compose:
    steps = []
    if recipe["resize"] is not None:
        steps.append(Resize(recipe["resize"], InterpolationMode(recipe["interpolation"])))
    if any(recipe["padding"]):
        steps.append(Pad(recipe["padding"]))
    if recipe["crop"] and recipe["cropRounding"] == "down":
        steps.append(CropRoundedDown(recipe["imageSize"]))
    elif recipe["crop"]:
        steps.append(CenterCrop(recipe["imageSize"]))
    return Compose(steps)


def pixels(file: str, height: int, width: int) -> np.ndarray:
    return np.frombuffer(Path(file).read_bytes(), np.uint8).reshape(height, width, 3)


if __name__ == "__main__":
    answers = []
    for case in json.load(sys.stdin):
        recipe, size = case["preprocessing"], case["preprocessing"]["imageSize"]
        picture = Image.fromarray(pixels(case["file"], case["height"], case["width"]))
        right = np.asarray(transform(recipe)(picture)).astype(int)
        difference = np.abs(pixels(case["crop"], size, size) - right)
        answers.append({"differing": int((difference > 0).sum()), "most": int(difference.max())})
    print(json.dumps(answers))
