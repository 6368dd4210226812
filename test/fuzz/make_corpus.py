"""Writes test/fuzz/corpus/ with the PyTorch, safetensors and Pillow that run it: small files of each kind, from which
`npm run check:fuzz` begins.

    python test/fuzz/make_corpus.py

The stores come from `node test/fuzz/make_corpus.js`.
"""

import collections
import json
import os
import shutil
import struct
import zipfile
import zlib

import numpy
import safetensors.torch
import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def place(reader, name):
    folder = os.path.join(FOLDER, reader)
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, name)


def write(reader, name, data):
    with open(place(reader, name), "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.25, 0.125]).reshape(3, 1, 1), persistent=False)
        self.conv = torch.nn.Conv2d(3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(2)
        self.fc = torch.nn.Linear(2, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x - self.mean)))
        return self.fc(torch.nn.functional.dropout(x.mean((2, 3)), 0.5, self.training))


def checkpoints():
    """State dicts as training scripts save them, by name."""
    state = Tiny().state_dict()
    base = torch.arange(12, dtype=torch.float32)
    views = {"a.weight": base.view(3, 4).t(), "a.bias": base[2:5], "wide": torch.ones(1).expand(4)}
    dtypes = [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
              torch.bool, torch.complex64]
    return {
        "plain": state,
        "trained": {
            "epoch": 3,
            "arch": "tiny",
            "best": 0.5,
            "state_dict": collections.OrderedDict((f"module.{key}", value) for key, value in state.items()),
            "optimizer": {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]},
            "args": [None, True, (1, 2), {"x"}, 2**70, b"bytes", numpy.float32(1)],
        },
        "views": views,
        "dtypes": {str(dtype)[6:]: torch.ones(2, dtype=dtype) for dtype in dtypes},
        "parameter": {"weight": torch.nn.Parameter(torch.zeros(2, 2)), "empty": torch.zeros(0, 3)},
    }


def main():
    for name, contents in checkpoints().items():
        path = place("checkpoint", f"{name}.pth")
        torch.save(contents, path)
        torch.save(contents, place("checkpoint", f"{name}-legacy.pth"), _use_new_zipfile_serialization=False)
        with zipfile.ZipFile(path) as archive:
            records = {record.split("/", 1)[1]: archive.read(record) for record in archive.namelist()}
        write("pickle", f"{name}.pkl", records["data.pkl"])
    shutil.copy(place("checkpoint", "plain.pth"), place("zip", "plain.zip"))
    with zipfile.ZipFile(place("zip", "deflated.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"a comment"
        archive.writestr("a/b", "b" * 100)
        with archive.open("a/large", "w", force_zip64=True) as record:
            record.write(b"large")

    state = {"fc.weight": torch.ones(2, 2), "fc.bias": torch.zeros(2, dtype=torch.float16), "count": torch.tensor(7)}
    for name, metadata in (("plain", None), ("described", {"format": "pt", "distill.json": json.dumps({"classes": ["a", "b"]})})):
        data = safetensors.torch.save(state, metadata)
        write("safetensors", f"{name}.safetensors", data)
    write("checkpoint", "described.safetensors", data)

    names = torch.tensor(list("train/a/1.jpg\0val/b/2.jpg".encode()), dtype=torch.uint8)
    write("logits", "plain.safetensors", safetensors.torch.save({"logits": torch.ones(2, 2), "paths": names}))

    numbers = {"state": 1, "epoch": 2, "step": 1, "trainSeconds": 0.5, "seconds": 1.5, "fingerprint": "abc"}
    training = {
        "network.fc.weight": torch.ones(2, 2),
        "optimizers.0.step": torch.tensor(3),
        "optimizers.1.exp_avg.fc.weight": torch.zeros(2, 2),
        "generator": torch.zeros(8, dtype=torch.uint8),
        "order": torch.arange(3),
        "metrics": torch.ones(1, 5, dtype=torch.float64),
        "reports": torch.ones(1, 9, dtype=torch.float64),
    }
    write("state", "plain.safetensors", safetensors.torch.save(training, {"distill.json": json.dumps(numbers)}))

    answers = b"node-distill answers 1 0 1 2\n"
    for split, source in ((0, 0), (0, 1), (1, 0)):
        logits = struct.pack("<2f", source, 1)
        answers += struct.pack("<iiI", split, source, zlib.crc32(struct.pack("<ii", split, source) + logits)) + logits
    write("answers", "three", answers)

    program = torch.export.export(Tiny().eval(), (torch.zeros(2, 3, 2, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of whoever runs this
    path = place("checkpoint", "tiny.pt2")
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        for record in archive.namelist():
            name = os.path.basename(record)
            if name == "model.json":
                graph = json.loads(archive.read(record))
                for node in graph["graph_module"]["graph"]["nodes"]:
                    node["metadata"] = {}
                write("graph", "tiny", json.dumps(graph).encode())
                write("json", "graph", json.dumps(graph).encode())
            elif name.endswith(".json"):
                write("json", name.removesuffix(".json"), archive.read(record))
    write("json", "constants", b'{"mean": {"dtype": 7, "sizes": [3, 1, 1], "data": "AAAAPwAAAD8AAAA/"}}')
    write("json", "escapes", r'{"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00": [-1.5e+3, 0, true, false, null, Infinity, NaN, "Ünïcode"]}'.encode())


if __name__ == "__main__":
    main()
