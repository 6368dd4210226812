"""What PyTorch makes of the boxes that augmentation draws: interpolate on plain cuts, without antialiasing.

    python test/parity/judge/augment.py < question.json

prints float values (count, size, size, 3) of 0..255 as JSON, before they are rounded.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

q = json.load(sys.stdin)
side, size = q["from"], q["imageSize"]
pixels = np.frombuffer(bytes.fromhex(q["pixels"]), np.uint8).reshape(-1, side, side, 3)
pictures = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float()
cuts = []
for picture, (left, top, width, height, flip) in zip(pictures, q["windows"]):
    box = picture[None, :, top : top + height, left : left + width]
    cut = F.interpolate(box, (size, size), mode="bilinear", align_corners=False)[0]
    cuts.append(cut.flip(2) if flip else cut)
print(json.dumps(torch.stack(cuts).permute(0, 2, 3, 1).flatten().tolist()))
