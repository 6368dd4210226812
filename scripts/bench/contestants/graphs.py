"""Runs and trains networks of torchvision by eager PyTorch at its best: channels-last, inference mode or fused
Adam, in bfloat16 by autocast or with all weights in it, whichever is faster; asked by ../graphs.js.

test/parity/judge must be importable.
"""

import contextlib
import copy
import json
import os
import sys
import time

# stdout belongs to the answers; what libraries print goes to stderr.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import reference  # noqa: E402, F401  isort: skip  makes torchvision importable beside any build of torch
import torchvision  # noqa: E402  isort: skip

CLASSES = 10
contestants: dict = {}


def export_model(model: str, file: str) -> None:
    torch.manual_seed(0)
    network = getattr(torchvision.models, model)(num_classes=CLASSES).eval()
    batch = torch.export.Dim("batch")
    pictures = torch.randn(2, 3, 224, 224)
    torch.export.save(torch.export.export(network, (pictures,), dynamic_shapes=({0: batch},)), file)


def autocast(precision: str):
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make_forward(network, pictures, precision: str):
    network = network.eval()

    def by_autocast() -> None:
        with torch.inference_mode(), autocast(precision):
            network(pictures)

    if precision == "fp32":
        return lambda: timed(by_autocast)
    whole, halves = copy.deepcopy(network).bfloat16(), pictures.bfloat16()

    def in_bfloat16() -> None:
        with torch.inference_mode():
            whole(halves)

    return lambda: min(timed(by_autocast), timed(in_bfloat16))


def make_step(network, pictures, precision: str, steps: int):
    network = network.train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=True)
    labels = torch.arange(len(pictures)) % CLASSES
    teacher = torch.sin(torch.arange(len(pictures) * CLASSES, dtype=torch.float32)).view(-1, CLASSES)

    def step() -> None:
        with autocast(precision):
            logits = network(pictures).float()
        soft = F.kl_div(F.log_softmax(logits / 2, 1), F.softmax(teacher / 2, 1), reduction="batchmean")
        loss = 0.7 * 4 * soft + 0.3 * F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return lambda: timed(lambda: [step() for _ in range(steps)]) / steps


def run(model: str, kind: str, precision: str, pictures: int, steps: int, threads: int, size: int, file: str) -> float:
    if precision not in contestants:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        network = getattr(torchvision.models, model)(num_classes=CLASSES)
        network = network.to(memory_format=torch.channels_last)
        batch = torch.randn(pictures, 3, size, size).to(memory_format=torch.channels_last)
        contestants[precision] = (
            make_forward(network, batch, precision)
            if kind == "forward"
            else make_step(network, batch, precision, steps)
        )
    return contestants[precision]()


COMMANDS = {"export_model": export_model, "run": run, "forget": contestants.clear}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = {"result": COMMANDS[question.pop("command")](**question)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=answers, flush=True)
