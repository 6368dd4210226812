"""What PyTorch says of trainings of a student on pictures of unequal classes, and on some without a label (-1).

    python test/parity/judge/training.py QUESTION < question.json

prints the answer as JSON. Questions: steps, orders.
"""

import json
import sys

import torch
import torch.nn.functional as F
from reference import images, load_student, load_teacher
from torch.utils.data import WeightedRandomSampler


def class_weights(given, labels):
    """The weights of the classes; 'balanced' by the formula of scikit-learn's compute_class_weight."""
    if given == "balanced":
        counts = torch.bincount(labels[labels >= 0])
        return counts.sum() / (len(counts) * counts)
    return None if given is None else torch.tensor(given)


def picture_weights(labels):
    """One by the number of pictures of its class; a picture without a label has the mean of the others."""
    labelled = labels >= 0
    weights = 1 / torch.bincount(labels[labelled]).double()[labels.clamp(min=0)]
    weights[~labelled] = weights[labelled].mean()
    return weights


def orders(labels, sampler, seed):
    """The order of the pictures in each epoch."""
    if sampler == "balanced":
        generator = torch.Generator().manual_seed(seed)
        drawn = WeightedRandomSampler(picture_weights(labels), len(labels), True, generator)
    else:
        drawn = range(len(labels))
    while True:
        yield torch.tensor(list(drawn))


def hard_loss(logits, labels, weights):
    if (labels < 0).all():
        return 0
    return F.cross_entropy(logits, labels, weight=weights, ignore_index=-1)


def soft_loss(logits, teacher_logits, temperature):
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean") * temperature**2


def train(q, x, teacher_logits, training):
    student = load_student(q["student"]).train()
    optimizer = torch.optim.Adam(student.parameters(), q["lr"])
    labels, alpha = torch.tensor(training["labels"]), training["alpha"]
    if alpha == 0:  # nothing learns from pictures without a label
        x, labels = x[labels >= 0], labels[labels >= 0]
    weights = class_weights(training["classWeights"], labels)
    epochs = orders(labels, training["sampler"], training["seed"])
    losses = []
    for _ in range(q["epochs"]):
        for batch in next(epochs).split(q["batchSize"]):
            logits = student(x[batch])
            loss = (1 - alpha) * hard_loss(logits, labels[batch], weights)
            if alpha > 0:
                loss = loss + alpha * soft_loss(logits, teacher_logits[batch], q["temperature"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def answer_steps(q):
    """The losses of all steps of each of `trainings`, which share pictures, teacher and first weights."""
    x = images(q)
    with torch.no_grad():
        teacher_logits = load_teacher(q["teacher"])(x)
    return [train(q, x, teacher_logits, training) for training in q["trainings"]]


def answer_orders(q):
    """The pictures of all epochs in the order of the balanced sampler."""
    epochs = orders(torch.tensor(q["labels"]), "balanced", q["seed"])
    return [next(epochs).tolist() for _ in range(q["epochs"])]


if __name__ == "__main__":
    print(json.dumps(globals()["answer_" + sys.argv[1]](json.load(sys.stdin))))
