"""The recipe of `distill teach` in PyTorch, for a folder of small pictures: what its time and accuracy are compared with.

    python test/parity/judge/recipe.py DATASET --image-size 32 --batch-size 128 --lr 3e-3 --epochs 10 [--precision bf16]

DenseNet121 from scratch, channels-last, fused AdamW, one cycle, shifts by an eighth and flips, cross entropy. Pictures are
decoded once and kept in memory. Prints a JSON object for each epoch, then one for the whole.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from decode import Image  # makes torchvision importable beside any build of torch
from torchvision import models
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, PILToTensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(folder, size):
    dataset, crop, to_tensor = ImageFolder(folder), CenterCrop(size), PILToTensor()
    pixels = torch.stack([to_tensor(crop(Image.open(path).convert("RGB"))) for path, _ in dataset.samples])
    return pixels, torch.tensor(dataset.targets)


def normalized(pixels):
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augmented(pixels, size):
    padding = size // 8
    padded = F.pad(pixels, (padding,) * 4)
    lefts, tops = torch.randint(2 * padding + 1, (2, len(pixels))).tolist()
    cuts = torch.stack(
        [p[:, y : y + size, x : x + size] for p, x, y in zip(padded, lefts, tops)]
    )
    return torch.where(torch.rand(len(cuts), 1, 1, 1) < 0.5, cuts.flip(3), cuts)


def main(q):
    if q.threads:
        torch.set_num_threads(q.threads)
    torch.manual_seed(q.seed)
    started = time.perf_counter()
    x, y = pictures(f"{q.dataset}/train", q.image_size)
    val_x, val_y = pictures(f"{q.dataset}/val", q.image_size)
    prepared = time.perf_counter()
    model = models.densenet121(num_classes=int(y.max()) + 1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=q.lr, weight_decay=q.weight_decay, fused=True)
    steps = -(-len(x) // q.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, q.lr, total_steps=q.epochs * steps)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=q.precision == "bf16")
    best = 0
    for epoch in range(1, q.epochs + 1):
        start, total = time.perf_counter(), 0.0
        model.train()
        for batch in torch.randperm(len(x)).split(q.batch_size)[: q.steps]:
            images = normalized(augmented(x[batch], q.image_size))
            optimizer.zero_grad()
            with autocast:
                logits = model(images)
            loss = F.cross_entropy(logits.float(), y[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        trained = time.perf_counter()
        model.eval()
        with torch.inference_mode(), autocast:
            logits = torch.cat([model(normalized(part)).float() for part in val_x.split(q.batch_size)])
        accuracy = (logits.argmax(1) == val_y).float().mean().item()
        best = max(best, accuracy)
        print(
            json.dumps(
                {
                    "epoch": epoch,
                    "trainLoss": total / len(x),
                    "valLoss": F.cross_entropy(logits, val_y).item(),
                    "valAccuracy": accuracy,
                    "trainSeconds": trained - start,
                    "valSeconds": time.perf_counter() - trained,
                }
            ),
            flush=True,
        )
    done = time.perf_counter()
    print(json.dumps({"best": best, "prepareSeconds": prepared - started, "seconds": done - started}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of each epoch; all by default")
    main(parser.parse_args())
