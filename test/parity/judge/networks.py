"""Exports small networks by torch.export, for the conversion of graphs to ONNX.

Each gives NAME.pt2, NAME.images and NAME.logits (float32). Input: {"folder": ...}. Prints a list of {name, shape, classes, columns}.
"""
import json
import os
import sys
import warnings

import torch
from torch import nn
import decode  # noqa: F401, makes torchvision importable
import torchvision
from network_operators import GROUPS

warnings.filterwarnings("ignore")
torch.set_num_threads(1)


class Operators(nn.Module):
    """Applies functions to a batch of pictures; what each gives is a part of the "logits"."""

    def __init__(self, functions):
        super().__init__()
        self.functions = functions
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3) / 5)
        self.matrix = nn.Parameter(torch.randn(8, 8) / 3)
        self.mean = nn.Buffer(torch.randn(3))  # a name that the ONNX model uses as well
        self.variance = nn.Buffer(torch.rand(3) + 0.5)
        self.places = nn.Buffer(torch.tensor([[3, 1], [0, 7]]))
        self.mask = nn.Buffer(torch.rand(8, 8) > 0.3)

    def parts(self, x):
        return [function(self, x).float().flatten(1) for function in self.functions.values()]

    def forward(self, x):
        return torch.cat(self.parts(x), 1)


def randomize(model):
    """Makes each weight matter: no statistic is 0 or 1, and no layer is zero."""
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)


def networks():
    models = torchvision.models
    for name in ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0"):
        yield name, models.get_model(name, num_classes=10), 64, {}
    resnet = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    yield "resnet-training", resnet, 64, {"training": True}
    yield "resnet-any", resnet, 64, {"any_size": True}
    vit = models.VisionTransformer(32, 8, 1, 2, 32, 64, num_classes=10)
    yield "vit", vit, 32, {}
    stem = [models.vision_transformer.ConvStemConfig(8, 3, 8)]
    vit = models.VisionTransformer(32, 8, 1, 2, 32, 64, num_classes=10, conv_stem_configs=stem)
    yield "vit-core", vit, 32, {"training": True, "core": True}
    yield "swin", models.SwinTransformer([4, 4], 24, [2], [2], [4, 4], num_classes=10), 32, {}
    block = models.convnext.CNBlockConfig
    yield "convnext", models.ConvNeXt([block(16, 32, 1), block(32, None, 1)], num_classes=10), 32, {}
    for group, functions in GROUPS.items():
        yield group, Operators(functions), 8, {}


def export(folder, name, model, size, training=False, core=False, any_size=False):
    randomize(model)
    images = torch.randn(3, 3, size, size)
    model.train(training)
    sizes = {0: torch.export.Dim("batch")}
    if any_size:
        sizes |= {2: torch.export.Dim("height", min=33), 3: torch.export.Dim("width", min=33)}
    program = torch.export.export(model, (images,), dynamic_shapes=(sizes,))
    if core:
        program = program.run_decompositions()
    model.eval()
    torch.export.save(program, os.path.join(folder, f"{name}.pt2"))
    with torch.no_grad():
        logits = model(images)
        columns = {}
        if isinstance(model, Operators):
            parts = zip(model.functions, model.parts(images))
            columns = {function: part.shape[1] for function, part in parts}
    images.numpy().tofile(os.path.join(folder, f"{name}.images"))
    logits.numpy().tofile(os.path.join(folder, f"{name}.logits"))
    return {
        "name": name,
        "shape": list(images.shape),
        "classes": logits.shape[1],
        "columns": columns,
    }


torch.manual_seed(0)
folder = json.load(sys.stdin)["folder"]
print(json.dumps([export(folder, name, model, size, **options) for name, model, size, options in networks()]))
