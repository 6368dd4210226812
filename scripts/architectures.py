"""Writes native/core/models/architectures/NAME.json: the graph of a network and the draws of its constructor.

    .venv/bin/python scripts/architectures.py [--check] [NAME …]

Without names, all are written. With --check nothing is written: the names of those that differ from the committed
files are printed, one a line, and the exit status is then 1. timm's need `pip install --no-deps timm==1.0.31` and
what it imports; where it is missing, they are passed over.

A file is a JSON object, a record a line:

- `tensors`: name and shape of each parameter and buffer, in the state dict's order;
- `initialize`: the in-place operators by which the constructor fills them, in order. Replayed with a generator of
  seed s, they give the weights of `torch.manual_seed(s)` and the constructor;
- `graph`: models/model.json of torch.export.save(), exported in evaluation mode with dynamic batch, height and width,
  without the nodes' metadata, guards and further fields that torch.export.load() does not need. Three parts are left
  out, and made from the others by native/core/models/shipped_graph.cpp: "$inputs" and "$input_specs" follow from
  `tensors`, "$tensor_values" from `tensors` and the two lists below;
- `metas`: the descriptions of tensors that the graph's values have, each once; `values`: name and index of these.

"classes" stands for the number of classes wherever it occurs, and the text "1/sqrt(classes)" for that bound.
"""

import argparse
import io
import json
import math
import sys
import zipfile
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.export import Dim
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "native/core/models/architectures"
sys.path.insert(0, str(ROOT / "test/parity/judge"))
from reference import StudentModel, models  # noqa: E402  torchvision's models

# Two numbers of classes that are no size of any other layer: what differs between them is the number of classes.
CLASSES = [1009, 1013]


class BasicBlock(nn.Module):
    """Two convolutions beside an identity, which a stride and zeros fit to a smaller picture of more channels."""

    def __init__(self, channels_in: int, channels: int):
        super().__init__()
        self.stride = 1 if channels_in == channels else 2
        self.padding = (channels - channels_in) // 2  # channels of zeros on either side
        self.conv1 = nn.Conv2d(channels_in, channels, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.padding:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(out + x)


class CifarResNet(nn.Module):
    """The ResNet for CIFAR of He et al. 2016, section 4.2, with identity shortcuts (option A): 6n + 2 layers, n blocks
    of 16, 32 and 64 channels each. The names are those of akamaster/pytorch_resnet_cifar10."""

    def __init__(self, depth: int, num_classes: int):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(blocks, 16, 16)
        self.layer2 = self.stage(blocks, 16, 32)
        self.layer3 = self.stage(blocks, 32, 64)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def stage(blocks: int, channels_in: int, channels: int):
        return nn.Sequential(*(BasicBlock(channels if i else channels_in, channels) for i in range(blocks)))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


TORCHVISION = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "shufflenet_v2_x0_5",
]
# Those whose names and shapes are not torchvision's.
TIMM = [
    "resnet10t",
    "resnet14t",
    "resnet18d",
    "resnet26",
    "resnet26d",
    "resnet34d",
    "resnet50d",
    "resnet101d",
    "resnet152d",
]


def torchvision_model(name):
    return lambda classes: getattr(models, name)(num_classes=classes)


def timm_model(name):
    def create(classes):
        import timm

        return timm.create_model(name, num_classes=classes)

    return create


CONSTRUCTORS = {
    "cnn": StudentModel,
    "resnet20": lambda classes: CifarResNet(20, classes),
    "resnet32": lambda classes: CifarResNet(32, classes),
    **{name: torchvision_model(name) for name in TORCHVISION},
    **{name: timm_model(name) for name in TIMM},
}


class Recorder(TorchDispatchMode):
    """Records the in-place operators that fill tensors: [operator, tensor, numbers …]."""

    FILLS = ("fill_", "zero_")
    DRAWS = ("uniform_", "normal_")

    def __init__(self):
        super().__init__()
        self.records = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        if name in self.FILLS + self.DRAWS:
            numbers = list(args[1:]) + {"zero_": [0], "uniform_": [0, 1], "normal_": [0, 1]}.get(name, [])[len(args) - 1 :]
            self.records.append(["fill_" if name == "zero_" else name, args[0], *numbers])
        elif operator._schema.is_mutable:
            raise SystemExit(f"a constructor calls {operator}, which shipped_graph.cpp does not replay")
        return operator(*args, **(kwargs or {}))


def construct(create, classes):
    """A network in evaluation mode, and the draws of its constructor by the tensors' names."""
    with Recorder() as recorder:
        model = create(classes)
    names = {tensor.data_ptr(): name for name, tensor in model.state_dict(keep_vars=True).items()}
    initialize = []
    for i, (operator, tensor, *numbers) in enumerate(recorder.records):
        later = (record[1].data_ptr() == tensor.data_ptr() for record in recorder.records[i + 1 :])
        if operator == "fill_" and any(later):
            continue  # takes no random numbers, and leaves nothing
        initialize.append([operator, names[tensor.data_ptr()], *numbers])
    check_initialize(create, model, classes, initialize)
    return model.eval(), initialize


def check_initialize(create, model, classes, initialize):
    torch.manual_seed(5)
    expected = create(classes).state_dict()
    torch.manual_seed(5)
    replayed = {name: torch.full_like(tensor, -7) for name, tensor in model.state_dict().items()}
    for operator, name, *numbers in initialize:
        getattr(replayed[name], operator)(*numbers)
    for name, tensor in expected.items():
        assert torch.equal(tensor, replayed[name]), f"{name} is initialised in another way"


def export(model):
    """models/model.json of the exported network."""
    images = torch.zeros(2, 3, 224, 224)
    program = torch.export.export(model, (images,), dynamic_shapes=({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},))
    file = io.BytesIO()
    torch.export.save(program, file)
    archive = zipfile.ZipFile(file)
    (name,) = [name for name in archive.namelist() if name.endswith("models/model.json")]
    return json.loads(archive.read(name))


def is_buffer(name):
    return name.endswith((".running_mean", ".running_var", ".num_batches_tracked"))


def argument_of(name):
    """The graph's name of a parameter or buffer."""
    return ("b_" if is_buffer(name) else "p_") + name.replace(".", "_")


def spec_of(name):
    argument = {"arg": {"name": argument_of(name)}}
    if is_buffer(name):
        return {"buffer": {**argument, "buffer_name": name, "persistent": True}}
    return {"parameter": {**argument, "parameter_name": name}}


def meta_of(name, shape):
    def integers(values):
        return [{"as_int": value} for value in values]

    return {
        "dtype": 5 if name.endswith(".num_batches_tracked") else 7,
        "sizes": integers(shape),
        "requires_grad": not is_buffer(name),
        "device": {"type": "cpu", "index": None},
        "strides": integers(math.prod(shape[i + 1 :]) for i in range(len(shape))),
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def shorten(program, tensors):
    """Takes out of a program what torch.export.load() does not need or shipped_graph.cpp puts back in. Returns the
    metas and values of the last."""
    module = program["graph_module"]
    graph = module["graph"]
    signature = module["signature"]

    arguments = [name for name, _ in tensors if not is_buffer(name)] + [name for name, _ in tensors if is_buffer(name)]
    (user_input,) = signature["input_specs"][len(arguments) :]
    (image,) = graph["inputs"][len(arguments) :]
    assert graph["inputs"] == [{"as_tensor": {"name": argument_of(name)}} for name in arguments] + [image]
    assert signature["input_specs"] == [spec_of(name) for name in arguments] + [user_input]
    assert user_input == {"user_input": {"arg": image}}
    values = graph["tensor_values"]
    for name, shape in tensors:
        assert values.pop(argument_of(name)) == meta_of(name, shape), f"{name} is of another kind"
    picture = image["as_tensor"]["name"]
    assert next(iter(values)) == picture
    batch, _, height, width = values[picture]["sizes"]
    assert all("as_expr" in size for size in (batch, height, width)), "a size is not dynamic"

    for node in graph["nodes"]:
        del node["is_hop_single_tensor_return"]
        for argument in node["inputs"]:
            del argument["kind"]
        node["metadata"] = {}
    del module["module_call_graph"][1:]  # of submodules
    del program["guards_code"]  # they only tell whether strides are ambiguous, where a picture shrinks to one pixel
    for constraint in program["range_constraints"].values():
        constraint["min_val"] = 1
    program["torch_version"] = program["torch_version"].partition("+")[0]
    graph["inputs"] = "$inputs"
    graph["tensor_values"] = "$tensor_values"
    signature["input_specs"] = "$input_specs"

    metas = list({compact(meta): meta for meta in values.values()}.values())
    return metas, [[name, metas.index(meta)] for name, meta in values.items()]


def describe(name):
    """What the file of an architecture says, with "classes" for the number of classes."""
    described = []
    for classes in CLASSES:
        model, initialize = construct(CONSTRUCTORS[name], classes)
        tensors = [[name, list(tensor.shape)] for name, tensor in model.state_dict().items()]
        program = export(model)
        metas, values = shorten(program, tensors)
        described.append(
            {"tensors": tensors, "initialize": initialize, "metas": metas, "values": values, "graph": program}
        )
    return common(described)


def common(pair):
    """What two descriptions share, which differ only by the number of classes."""
    first, second = pair
    if isinstance(first, dict):
        assert list(first) == list(second)
        return {key: common([first[key], second[key]]) for key in first}
    if isinstance(first, list):
        return [common(list(items)) for items in zip(first, second, strict=True)]
    if first == second:
        assert first not in CLASSES
        return first
    if pair == CLASSES:
        return "classes"
    if pair == [1 / math.sqrt(classes) for classes in CLASSES]:
        return "1/sqrt(classes)"
    if pair == [-1 / math.sqrt(classes) for classes in CLASSES]:
        return "-1/sqrt(classes)"
    raise SystemExit(f"{first} and {second} depend on the number of classes in another way")


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def text_of(description):
    """JSON with a record a line."""
    graph = description["graph"]["graph_module"]["graph"]
    nodes = [compact(node) for node in graph["nodes"]]
    graph["nodes"] = "$nodes"
    program = compact(description["graph"]).replace('"$nodes"', "[\n" + ",\n".join(nodes) + "\n]")
    lists = [
        f'"{key}":[\n' + ",\n".join(compact(item) for item in description[key]) + "\n]"
        for key in ("tensors", "initialize", "metas", "values")
    ]
    return "{\n" + ",\n".join([*lists, f'"graph":{program}']) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*CONSTRUCTORS, []])
    given = parser.parse_args()
    different = False
    for name in given.names or CONSTRUCTORS:
        try:
            text = text_of(describe(name))
        except ModuleNotFoundError as error:
            print(f"{name}: passed over, {error}", file=sys.stderr)
            continue
        file = FOLDER / f"{name}.json"
        if not given.check:
            file.write_text(text)
            print(f"{name}: {len(text) / 1000:.0f} kB")
        elif not file.exists() or file.read_text() != text:
            print(name)
            different = True
    sys.exit(different)


if __name__ == "__main__":
    main()
