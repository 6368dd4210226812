"""Makes classifiers, exports them with torch.export and says what PyTorch answers; asked by index.js.

Reads one JSON object a line and answers each with one line: {"result": …} or {"error": …}. Commands:

- `names`: those of all models, "package/name", and the packages that are not installed;
- `export` of `name` and `folder`: writes model.pt2, pixels (uint8, NHWC) and logits (float32) there.

Weights are random, but such that logits differ from picture to picture and have the scale of a trained network's.
"""

import gc
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import torch
import torch.nn as nn
from graphs import MEAN, STD, exported, fill, logits_of, pictures
from reference import models  # torchvision's, importable beside any build of torch
from torch.export import save

BATCH = 2


def torchvision_names():
    """All classifiers, those of little work first."""
    work = {name: models.get_model_weights(name).DEFAULT.meta["_ops"] for name in models.list_models(module=models)}
    return [f"torchvision/{name}" for name in sorted(work, key=work.get)]


def make_torchvision(name):
    weights = models.get_model_weights(name).DEFAULT
    size = weights.transforms().crop_size[0]
    options = {"weights": None}
    if name.startswith("vit_"):
        options["image_size"] = size
    if name in ("googlenet", "inception_v3"):  # as with pretrained weights
        options |= {"init_weights": False, "transform_input": True}
    model = models.get_model(name, **options)
    quieten_branches(model)
    return model, size


@torch.no_grad()
def quieten_branches(model):
    """Lets residual branches begin at zero, as those are trained (zero_init_residual; Goyal et al., "Accurate, Large Minibatch
    SGD", 2017). Where a hundred layers of branches are as loud as what they are added to, rounding grows so much that
    PyTorch's own numbers in its two memory formats differ by 3e-4."""
    last = {models.resnet.BasicBlock: "bn2", models.resnet.Bottleneck: "bn3", models.regnet.ResBottleneckBlock: "f.c.1"}
    for block in model.modules():
        if type(block) in last:
            block.get_submodule(last[type(block)]).weight.zero_()


TIMM = ("convnext_atto", "vit_tiny_patch16_224", "efficientnet_lite0", "mobilevit_s", "swin_tiny_patch4_window7_224")


def make_timm(name):
    import timm

    model = timm.create_model(name, pretrained=False)
    return model, model.default_cfg["input_size"][-1]


HUGGING_FACE = ("ViTForImageClassification", "ResNetForImageClassification", "ConvNextV2ForImageClassification", "MobileViTForImageClassification")


def make_hugging_face(name):
    import transformers

    of = getattr(transformers, name)
    model = of(of.config_class(num_labels=1000))
    return model, getattr(model.config, "image_size", 224)


PACKAGES = {
    "torchvision": (torchvision_names, make_torchvision),
    "timm": (lambda: [f"timm/{name}" for name in TIMM], make_timm),
    "transformers": (lambda: [f"transformers/{name}" for name in HUGGING_FACE], make_hugging_face),
}


def answer_names(_):
    return {
        "names": [name for package, (names, _) in PACKAGES.items() if importlib.util.find_spec(package) for name in names()],
        "missing": [package for package in PACKAGES if not importlib.util.find_spec(package)],
    }


def answer_export(q):
    package, name = q["name"].split("/")
    folder = Path(q["folder"])
    torch.manual_seed(0)
    model, size = PACKAGES[package][1](name)
    fill(model, size)
    pixels = pictures(BATCH, size)
    logits = logits_of(model, pixels)
    try:
        program = exported(model, size)
    except Exception as error:
        return {"refused": f"PyTorch does not export it: {type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    save(program, folder / "model.pt2")
    (folder / "pixels").write_bytes(pixels.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
    (folder / "logits").write_bytes(logits.contiguous().numpy().tobytes())
    return {
        "imageSize": size,
        "mean": MEAN,
        "std": STD,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "operators": sum(node.op == "call_function" for node in program.graph.nodes),
        "bytes": (folder / "model.pt2").stat().st_size,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    # Which distribution weights are drawn from makes no difference here, but their truncation is slow.
    nn.init.trunc_normal_ = lambda tensor, mean=0.0, std=1.0, *_, **__: nn.init.normal_(tensor, mean, std)
    answers, sys.stdout = sys.stdout, sys.stderr  # packages that print do not disturb the answers
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"result": globals()["answer_" + question["command"]](question)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        gc.collect()
        print(json.dumps(answer), file=answers, flush=True)
