"""Writes golden.json: what PyTorch and torchvision say of untrained networks and of pictures that a
formula makes. test/parity/golden.test.ts compares with it where there is no Python.

    python test/parity/golden/make_golden.py && npx biome format --write test/parity/golden

Networks are made after torch.manual_seed(seed), which the addon's createModel repeats.
"""

import json
import pathlib
import sys

import numpy as np
import torch

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "judge"))
from reference import StudentModel, distillation_loss, models  # noqa: E402

import torchvision  # noqa: E402  importable once reference is

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
TEACHER_SEED, STUDENT_SEED = 7, 5
TEMPERATURE, ALPHA, LEARNING_RATE = 2.0, 0.7, 1e-4
STEPS, BATCH_SIZE = 10, 4

torch.set_num_threads(1)


def pictures(count, size):
    """uint8 RGB (count, size, size, 3); the test has the same formula."""
    i = np.arange(count * size * size * 3, dtype=np.int64)
    return ((i * i * 31 + i * 17) % 65521 // 256).astype(np.uint8).reshape(count, size, size, 3)


def normalized(pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((images - mean) / std).contiguous()


def densenet(architecture, classes):
    torch.manual_seed(TEACHER_SEED)
    return getattr(models, architecture)(weights=None, num_classes=classes).eval()


def new_student(classes):
    torch.manual_seed(STUDENT_SEED)
    return StudentModel(classes, drop_rate=0.0)


def summary(tensor):
    """Enough to tell a tensor: its sums, and a few of its values."""
    values = tensor.detach().double().flatten()
    return {
        "shape": list(tensor.shape),
        "sum": values.sum().item(),
        "absoluteSum": values.abs().sum().item(),
        "first": values[:3].tolist(),
        "last": values[-1].item(),
    }


def weights(model, names):
    state = model.state_dict()
    return {name: summary(state[name]) for name in names}


def logits(model, count, size):
    with torch.no_grad():
        return model(normalized(pictures(count, size))).tolist()


def main():
    golden = {
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "mean": MEAN,
        "std": STD,
        "teacherSeed": TEACHER_SEED,
        "studentSeed": STUDENT_SEED,
        "densenets": {},
    }
    for architecture in ("densenet121", "densenet161", "densenet169", "densenet201"):
        model = densenet(architecture, classes=3)
        last = max(int(n.split("denselayer")[1].split(".")[0]) for n in model.state_dict() if "denseblock4" in n)
        golden["densenets"][architecture] = {
            # The convolutions are drawn in order and the last one last of all: if it is right, so
            # were the draws before it.
            "weights": weights(
                model,
                [
                    "features.conv0.weight",
                    "features.transition2.conv.weight",
                    f"features.denseblock4.denselayer{last}.conv2.weight",
                    "classifier.weight",
                    "classifier.bias",
                ],
            ),
            "logits": logits(model, count=1, size=32),
        }

    teacher, student = densenet("densenet121", classes=2), new_student(2).eval()
    golden["student"] = {"weights": weights(student, [n for n in student.state_dict() if "tracked" not in n])}
    golden["logits"] = [
        {"size": size, "teacher": logits(teacher, 2, size), "student": logits(student, 2, size)}
        for size in (32, 64, 75)
    ]

    # One batch: the loss and how long each gradient is.
    student = new_student(2).train()
    images, labels = normalized(pictures(BATCH_SIZE, 32)), torch.arange(BATCH_SIZE) % 2
    with torch.no_grad():
        teacher_logits = teacher(images)
    loss = distillation_loss(student(images), teacher_logits, labels, TEMPERATURE, ALPHA)
    loss.backward()
    golden["batch"] = {
        "size": 32,
        "count": BATCH_SIZE,
        "temperature": TEMPERATURE,
        "alpha": ALPHA,
        "loss": loss.item(),
        "gradientNorms": {n: p.grad.double().norm().item() for n, p in student.named_parameters()},
    }

    # The first steps of a training, in order and without dropout.
    student = new_student(2).train()
    optimizer = torch.optim.Adam(student.parameters(), LEARNING_RATE)
    images, labels = normalized(pictures(STEPS * BATCH_SIZE, 32)), torch.arange(STEPS * BATCH_SIZE) % 2
    losses = []
    for step in range(STEPS):
        batch = slice(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
        with torch.no_grad():
            teacher_logits = teacher(images[batch])
        loss = distillation_loss(student(images[batch]), teacher_logits, labels[batch], TEMPERATURE, ALPHA)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    golden["training"] = {
        "size": 32,
        "batchSize": BATCH_SIZE,
        "learningRate": LEARNING_RATE,
        "temperature": TEMPERATURE,
        "alpha": ALPHA,
        "stepLosses": losses,
    }

    (here / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
