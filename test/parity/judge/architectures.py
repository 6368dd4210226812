"""What PyTorch says of the networks that scripts/architectures.py describes.

    python test/parity/judge/architectures.py < question.json

compares files of fresh weights with what the constructors draw, writes a state dict of each network, and prints the
logits of these.
"""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))
from architectures import CONSTRUCTORS, FOLDER, is_buffer  # noqa: E402


def draws_alike(name, file, classes, seed):
    torch.manual_seed(seed)
    expected = CONSTRUCTORS[name](classes).state_dict()
    found = torch.load(file, weights_only=True)
    assert found.keys() == expected.keys()
    return all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def calibrated(name, images, classes):
    """A network in evaluation mode whose weights are parts of one storage, so that its file is small, and whose running
    statistics are those of the pictures."""
    with torch.device("meta"):
        model = CONSTRUCTORS[name](classes)
    largest = max(tensor.numel() for tensor in model.parameters())
    storage = torch.randn(largest + 1000) * 0.05
    for i, (key, tensor) in enumerate(list(model.state_dict().items())):
        path, _, leaf = key.rpartition(".")
        if is_buffer(key):
            value = torch.full(tensor.shape, int(leaf == "running_var"), dtype=tensor.dtype)
            model.get_submodule(path)._buffers[leaf] = value
        else:
            begin = i * 7 % 1000
            value = storage[begin : begin + tensor.numel()].view(tensor.shape)
            if tensor.dim() == 1 and leaf == "weight":
                value = value * 2 + 1  # of a norm
            model.get_submodule(path)._parameters[leaf] = torch.nn.Parameter(value, requires_grad=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(images)
    for name, variance in model.named_buffers():
        # A channel that hardly varies would make rounding errors large.
        if name.endswith("running_var"):
            variance += variance.mean()
    return model.eval()


def expanded(name, file):
    """Writes a state dict of an architecture's names and shapes for 5 classes, whose tensors take no room."""
    tensors = json.loads((FOLDER / f"{name}.json").read_text())["tensors"]
    shapes = {key: [5 if size == "classes" else size for size in shape] for key, shape in tensors}
    torch.save({key: torch.zeros([1] * len(shape)).expand(shape) for key, shape in shapes.items()}, file)


def main():
    q = json.load(sys.stdin)
    folder, classes, size = Path(q["folder"]), q["classes"], q["size"]
    torch.manual_seed(0)
    pixels = torch.frombuffer(bytearray(bytes.fromhex(q["pixels"])), dtype=torch.uint8)
    images = pixels.view(-1, size, size, 3).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(q["mean"]).view(3, 1, 1)) / torch.tensor(q["std"]).view(3, 1, 1)
    logits = {}
    with torch.no_grad():
        for name in q["names"]:
            model = calibrated(name, images, classes)
            torch.save(model.state_dict(), folder / f"{name}.pth")
            logits[name] = model(images).tolist()
    for name in q["shapes"]:
        expanded(name, folder / f"{name}-shapes.pth")
    alike = {name: draws_alike(name, file, classes, q["seed"]) for name, file in q["fresh"].items()}
    json.dump({"logits": logits, "alike": alike}, sys.stdout)


if __name__ == "__main__":
    main()
