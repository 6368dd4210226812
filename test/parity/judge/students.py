"""What PyTorch says of students of any architecture: their fresh weights, their steps, what was saved.

    python test/parity/judge/students.py < question.json

prints a list of answers as JSON, one for each of the question's `students`.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from decode import Image  # noqa: F401, makes torchvision importable beside any build of torch
from reference import StudentModel, distillation_loss

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))
from architectures import CONSTRUCTORS  # noqa: E402


def build(student, classes):
    """The network, with dropout that drops nothing."""
    if student["architecture"] == "cnn":
        return StudentModel(classes, 0.0, student["width"])
    model = CONSTRUCTORS[student["architecture"]](classes)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def load(student, classes, file):
    model = build(student, classes)
    model.load_state_dict(torch.load(file, weights_only=True), strict=True)
    return model


def pictures(q, split):
    """The split's pixels as the network's input."""
    size = q["imageSize"]
    pixels = torch.frombuffer(bytearray(open(q[split], "rb").read()), dtype=torch.uint8)
    x = pixels.view(-1, size, size, 3).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(q[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return (x - mean) / std


def steps(q, model, x, lr):
    """The losses of all steps, in the pictures' order; leaves the model as the last one did."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr)
    teacher_logits, labels = torch.tensor(q["teacherLogits"]), torch.tensor(q["labels"])
    losses = []
    for _ in range(q["epochs"]):
        for first in range(0, len(x), q["batchSize"]):
            batch = slice(first, first + q["batchSize"])
            loss = distillation_loss(
                model(x[batch]), teacher_logits[batch], labels[batch], q["temperature"], q["alpha"]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@torch.no_grad()
def evaluate(q, model):
    logits = model(pictures(q, "val"))
    labels = torch.tensor(q["valLabels"])
    return {
        "logits": logits.flatten().tolist(),
        "accuracy": (logits.argmax(1) == labels).float().mean().item(),
        "loss": F.cross_entropy(logits, labels).item(),
    }


def difference_of_fresh(q, student, classes):
    """The largest difference between the file's parameters and those of PyTorch's own constructor."""
    torch.manual_seed(student["seed"])
    fresh = build(student, classes)
    saved = load(student, classes, student["initial"])
    pairs = zip(fresh.parameters(), saved.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def answer(q, student):
    classes = len(q["teacherLogits"][0])
    model = load(student, classes, student["initial"])
    return {
        "fresh": difference_of_fresh(q, student, classes),
        "losses": steps(q, model, pictures(q, "train"), student["lr"]),
        "after": evaluate(q, model.eval()),
        "saved": evaluate(q, load(student, classes, student["saved"]).eval()),
        "exported": evaluate(q, torch.export.load(student["exported"]).module()),
    }


if __name__ == "__main__":
    q = json.load(sys.stdin)
    print(json.dumps([answer(q, student) for student in q["students"]]))
