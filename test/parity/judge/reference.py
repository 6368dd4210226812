"""The reference in PyTorch: its student, its loss, its loop. What parity tests compare with.

    python test/parity/judge/reference.py QUESTION < question.json

prints the answer as JSON. Questions: logits, gradients, steps, evaluate.
"""

import json
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from decode import Image  # makes torchvision importable beside any build of torch
from torch.utils.data import DataLoader, Subset
from torchvision import models, transforms
from torchvision.datasets import ImageFolder


class StudentModel(nn.Module):
    def __init__(self, classes_number=2, drop_rate=0.2, width=1):
        super().__init__()
        c = round(32 * width)
        self.features = nn.Sequential(
            nn.Conv2d(3, c, 3, padding=1),
            nn.BatchNorm2d(c),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(c, 2 * c, 3, padding=1),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(2 * c, 4 * c, 3, padding=1),
            nn.BatchNorm2d(4 * c),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(4 * c, 8 * c, 3, padding=1),
            nn.BatchNorm2d(8 * c),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self.classifier = nn.Sequential(
            nn.Linear(8 * c, 4 * c),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(4 * c, classes_number),
        )

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


def distillation_loss(student_logits, teacher_logits, labels, temperature, alpha):
    hard_loss = nn.CrossEntropyLoss()(student_logits, labels)
    soft_loss = nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(student_logits / temperature, dim=1),
        F.softmax(teacher_logits / temperature, dim=1),
    ) * (temperature**2)
    return alpha * soft_loss + (1 - alpha) * hard_loss


def load_student(path, drop_rate=0.0):
    weights = torch.load(path, weights_only=True, map_location="cpu")
    student = StudentModel(weights["classifier.3.weight"].shape[0], drop_rate)
    student.load_state_dict(weights, strict=True)
    return student


def load_teacher(path, architecture="densenet121"):
    weights = torch.load(path, weights_only=True, map_location="cpu")
    teacher = getattr(models, architecture)(weights=None)
    classes = weights["classifier.weight"].shape[0]
    teacher.classifier = nn.Linear(teacher.classifier.in_features, classes)
    teacher.load_state_dict(weights, strict=True)
    return teacher.eval()


def transform(q):
    return transforms.Compose(
        [
            transforms.CenterCrop(q["imageSize"]),
            transforms.ToTensor(),
            transforms.Normalize(mean=q["mean"], std=q["std"]),
        ]
    )


def images(q):
    preprocess = transform(q)
    return torch.stack([preprocess(Image.open(path).convert("RGB")) for path in q["paths"]])


def answer_logits(q):
    """What the teacher or the student in evaluation mode says of pictures."""
    if "architecture" in q:
        model = load_teacher(q["model"], q["architecture"])
    else:
        model = load_student(q["model"]).eval()
    with torch.no_grad():
        return model(images(q)).tolist()


def answer_gradients(q):
    """For each batch: the loss in training mode, and each parameter's gradient."""
    answers = []
    for batch in q["batches"]:
        student = load_student(q["student"]).train()
        loss = distillation_loss(
            student(images({**q, **batch})),
            torch.tensor(batch["teacherLogits"]),
            torch.tensor(batch["labels"]),
            q["temperature"],
            q["alpha"],
        )
        loss.backward()
        gradients = {name: p.grad.flatten().tolist() for name, p in student.named_parameters()}
        answers.append({"loss": loss.item(), "gradients": gradients})
    return answers


def answer_steps(q):
    """The losses of the first steps of the reference's loop, in the folder's order."""
    teacher = load_teacher(q["teacher"])
    student = load_student(q["student"], drop_rate=0.0).train()
    dataset = Subset(ImageFolder(q["train"], transform=transform(q)), range(q["steps"] * q["batchSize"]))
    optimizer = torch.optim.Adam(student.parameters(), q["lr"])
    losses = []
    for inputs, labels in DataLoader(dataset, q["batchSize"], shuffle=False):
        with torch.no_grad():
            teacher_outputs = teacher(inputs)
        student_outputs = student(inputs)
        loss = distillation_loss(
            student_outputs, teacher_outputs, labels, q["temperature"], q["alpha"]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def answer_evaluate(q):
    """Validation accuracy and loss of a saved student, and its probabilities picture by picture."""
    student = load_student(q["student"]).eval()
    dataset = ImageFolder(q["val"], transform=transform(q))
    probabilities, correct, loss = [], 0, 0.0
    with torch.no_grad():
        for inputs, labels in DataLoader(dataset, 4):
            logits = student(inputs)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
            probabilities += F.softmax(logits, dim=1).tolist()
    return {
        "accuracy": correct / len(dataset),
        "loss": loss / len(dataset),
        "paths": [path for path, _ in dataset.samples],
        "probabilities": probabilities,
    }


if __name__ == "__main__":
    print(json.dumps(globals()["answer_" + sys.argv[1]](json.load(sys.stdin))))
