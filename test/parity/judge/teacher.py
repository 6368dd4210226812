"""What PyTorch and torchvision say of training a DenseNet.

    python test/parity/judge/teacher.py QUESTION < question.json

prints the answer as JSON. Questions: gradients, optimize,
steps, evaluate, legacy.
"""

import json
import re
import sys

import numpy as np
import torch
import torch.nn.functional as F
from reference import load_teacher, transform  # makes torchvision importable
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder


def normalized(q):
    """uint8 RGB (count, size, size, 3) of the question as the network's input."""
    size = q["imageSize"]
    pixels = np.frombuffer(bytes.fromhex(q["pixels"]), np.uint8).reshape(-1, size, size, 3)
    images = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(q[name]).view(3, 1, 1) for name in ("mean", "std"))
    return ((images - mean) / std).contiguous()


def answer_gradients(q):
    """Of one step in training mode, in double precision: the loss, and how far the gradients and running statistics in
    a file of doubles, one tensor after the other, are from ours, relative to their size."""
    model = load_teacher(q["teacher"], q["architecture"]).double().train()
    weights = weights_of(q)
    loss = F.cross_entropy(
        model(normalized(q).double()),
        torch.tensor(q["labels"]),
        weight=None if weights is None else weights.double(),
        ignore_index=-1,
        label_smoothing=q["labelSmoothing"],
    )
    loss.backward()
    exact = {name: parameter.grad for name, parameter in model.named_parameters()}
    exact |= dict(model.named_buffers())
    assert sorted(exact) == sorted(q["names"])
    found = torch.from_numpy(np.fromfile(q["found"]))
    gaps = {}
    for name, values in zip(q["names"], found.split([exact[name].numel() for name in q["names"]])):
        wanted = exact[name].flatten().double()
        gaps[name] = ((values - wanted).norm() / wanted.norm()).item()
    return {"loss": loss.item(), "gaps": gaps}


def weights_of(q):
    return None if q["classWeights"] is None else torch.tensor(q["classWeights"])


def scheduler(q, optimizer):
    lr_scheduler, total, warmup = torch.optim.lr_scheduler, q["totalSteps"], q["warmupSteps"]
    if q["schedule"] == "one-cycle":
        return lr_scheduler.OneCycleLR(optimizer, max_lr=q["lr"], total_steps=total)
    if q["schedule"] == "constant":
        return lr_scheduler.ConstantLR(optimizer, factor=1)
    down = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warmup)
    if warmup == 0:
        return down
    up = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[warmup])


def optimizer_of(q, parameters):
    if q["weightDecay"] == 0:
        return torch.optim.Adam(parameters, lr=q["lr"])
    return torch.optim.AdamW(parameters, lr=q["lr"], weight_decay=q["weightDecay"])


def answer_optimize(questions):
    """What optimizers and their schedules make of values in some steps."""
    return [optimize(q) for q in questions]


def optimize(q):
    values = torch.tensor(q["values"], requires_grad=True)
    optimizer = optimizer_of(q, [values])
    schedule, rates, betas = scheduler(q, optimizer), [], []
    for gradient in torch.tensor(q["gradients"]).view(-1, len(values)):
        rates.append(optimizer.param_groups[0]["lr"])
        betas.append(optimizer.param_groups[0]["betas"][0])
        values.grad = gradient
        optimizer.step()
        schedule.step()
    return {"values": values.tolist(), "lr": rates, "beta1": betas}


def answer_steps(q):
    """The losses of the first steps of a training, in order, and what it ends in evaluation mode."""
    model = load_teacher(q["teacher"], q["architecture"]).train()
    x, labels = normalized(q), torch.tensor(q["labels"])
    optimizer = optimizer_of(q, model.parameters())
    schedule, losses = scheduler(q, optimizer), []
    for images, wanted in zip(x.split(q["batchSize"]), labels.split(q["batchSize"])):
        loss = F.cross_entropy(
            model(images), wanted, weight=weights_of(q), label_smoothing=q["labelSmoothing"]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_evaluate(q):
    """What a saved teacher, loaded strictly, comes to on a folder of pictures."""
    model = load_teacher(q["teacher"], q["architecture"]).eval()
    dataset = ImageFolder(q["val"], transform=transform(q))
    correct, loss = 0, 0.0
    with torch.no_grad():
        for images, labels in DataLoader(dataset, 16):
            logits = model(images)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
    return {"accuracy": correct / len(dataset), "loss": loss / len(dataset)}


def answer_legacy(q):
    """Writes a DenseNet as torchvision's first files are, and says its logits of pictures."""
    model = load_teacher(q["teacher"], q["architecture"]).eval()
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))(\d)")
    state = {old.sub(r"\1.\2", name): tensor for name, tensor in model.state_dict().items()}
    # Files from before PyTorch 0.4.1 count no batches.
    state = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    torch.save(state, q["path"], _use_new_zipfile_serialization=False)
    with torch.no_grad():
        return model(normalized(q)).flatten().tolist()


if __name__ == "__main__":
    print(json.dumps(globals()["answer_" + sys.argv[1]](json.load(sys.stdin))))
