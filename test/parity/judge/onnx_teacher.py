"""Writes DenseNets as ONNX models, as PyTorch's users would, and prints PyTorch's own logits for some pixels.

    python test/parity/judge/onnx_teacher.py < question.json

The question has pixels (hex of uint8 RGB (n, size, size, 3)), imageSize, mean and std; teacher (a state dict of a
DenseNet121), which goes to the path densenet; and for each model of a small DenseNet its path: dynamic, softmax,
external (with weights in a file beside it), half (float16) and fixed (a batch of 5 pictures of imageSize).
"""

import json
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from reference import load_teacher
from torchvision import models

warnings.simplefilter("ignore")


def export(model, path, size, axes, batch=1):
    torch.onnx.export(
        model,
        (torch.zeros(batch, 3, size, size),),
        path,
        dynamo=False,
        opset_version=17,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes=axes,
    )
    return onnx.load(path)


def with_softmax(model):
    graph = model.graph
    graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    graph.output[0].name = "probabilities"
    return model


def in_half(model):
    """Converts all weights, the input and the output to float16."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type == TensorProto.FLOAT:
                half = numpy_helper.to_array(attribute.t).astype(np.float16)
                attribute.t.CopyFrom(numpy_helper.from_array(half))
    for port in [*model.graph.input, *model.graph.output]:
        port.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    return model


def main():
    q = json.load(sys.stdin)
    size = q["imageSize"]
    any_size = {"images": {0: "n", 2: "height", 3: "width"}, "logits": {0: "n"}}
    export(load_teacher(q["teacher"]), q["densenet"], size, any_size)

    torch.manual_seed(1)
    small = models.DenseNet(8, (2, 2), 16, num_classes=3).eval()
    export(small, q["dynamic"], size, any_size)
    onnx.save(with_softmax(onnx.load(q["dynamic"])), q["softmax"])
    onnx.save(in_half(onnx.load(q["dynamic"])), q["half"])
    data = q["external"].split("/")[-1] + ".data"
    onnx.save(onnx.load(q["dynamic"]), q["external"], save_as_external_data=True, location=data)
    export(small, q["fixed"], size, None, batch=5)

    pixels = np.frombuffer(bytes.fromhex(q["pixels"]), np.uint8).reshape(-1, size, size, 3)
    images = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(q[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        print(json.dumps(small((images - mean) / std).flatten().tolist()))


main()
