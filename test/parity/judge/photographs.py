"""Photographs of ordinary sizes, and what PyTorch says of them.

    python test/parity/judge/photographs.py QUESTION < question.json

`make` enlarges every n-th picture of an ImageFolder to each of some sizes (the longer side is the first number), as
JPEGs in a folder for each size, and prints how many there are of each. `answer` prints the paths, labels and
probabilities of a teacher and a student for the pictures of a folder, by Resize, CenterCrop and Normalize, as JSON.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from reference import StudentModel, load_teacher
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


def answer_make(q):
    samples = ImageFolder(q["from"]).samples[:: q["every"]]
    for path, _ in samples:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        for name, (long, short) in q["sizes"].items():
            size = (long, short) if picture.width >= picture.height else (short, long)
            target = Path(q["folder"], name, Path(path).parent.name, Path(path).name)
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.resize(size, Image.Resampling.BICUBIC).save(target, quality=92)
    return len(samples)


def answer_answer(q):
    dataset = ImageFolder(
        q["folder"],
        transform=transforms.Compose(
            [
                transforms.Resize(q["resize"]),
                transforms.CenterCrop(q["imageSize"]),
                transforms.ToTensor(),
                transforms.Normalize(q["mean"], q["std"]),
            ]
        ),
    )
    student = StudentModel(len(dataset.classes))
    student.load_state_dict(torch.load(q["student"], map_location="cpu", weights_only=True))
    models = {"teacher": load_teacher(q["teacher"]).eval(), "student": student.eval()}
    probabilities = {name: [] for name in models}
    with torch.no_grad():
        for images, _ in DataLoader(dataset, 16):
            for name, model in models.items():
                probabilities[name] += F.softmax(model(images), dim=1).tolist()
    paths, labels = zip(*dataset.samples)
    return {"paths": paths, "labels": labels, "probabilities": probabilities}


if __name__ == "__main__":
    print(json.dumps(globals()["answer_" + sys.argv[1]](json.load(sys.stdin))))
