"""What PyTorch says of trainings of a student on pictures of unequal classes.

    python test/parity/judge/training.py < question.json

prints the losses of all steps of each of `trainings`, in order, as JSON. They share pictures, teacher and first weights.
"""

import json
import sys

import torch
import torch.nn.functional as F
from reference import images, load_student, load_teacher


def class_weights(given, labels):
    """The weights of the classes; 'balanced' by the formula of scikit-learn's compute_class_weight."""
    if given == "balanced":
        counts = torch.bincount(labels)
        return counts.sum() / (len(counts) * counts)
    return None if given is None else torch.tensor(given)


def hard_loss(logits, labels, weights):
    return F.cross_entropy(logits, labels, weight=weights)


def soft_loss(logits, teacher_logits, temperature):
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean") * temperature**2


def train(q, x, teacher_logits, training):
    student = load_student(q["student"]).train()
    optimizer = torch.optim.Adam(student.parameters(), q["lr"])
    labels = torch.tensor(q["labels"])
    weights = class_weights(training["classWeights"], labels)
    losses = []
    for _ in range(q["epochs"]):
        for batch in torch.arange(len(labels)).split(q["batchSize"]):
            logits = student(x[batch])
            loss = q["alpha"] * soft_loss(logits, teacher_logits[batch], q["temperature"])
            loss = loss + (1 - q["alpha"]) * hard_loss(logits, labels[batch], weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


if __name__ == "__main__":
    q = json.load(sys.stdin)
    x = images(q)
    with torch.no_grad():
        teacher_logits = load_teacher(q["teacher"])(x)
    print(json.dumps([train(q, x, teacher_logits, training) for training in q["trainings"]]))
