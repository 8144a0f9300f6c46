"""A trained Sequential as an ONNX model, written layer by layer.

Not by torch.onnx.export: it takes 3 to 4 s and needs onnxscript, which SageMaker's images lack.
A network with another kind of layer needs one more line in NODES.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mnist_idx import CLASSES, INPUT_MEAN, INPUT_STD, SIDE

# The newest that onnx 1.15 of 2023 knows; the consumers' runtimes are slow to follow.
OPSET, IR_VERSION = 20, 10

# A grey level is a normalised number times SCALE plus SHIFT.
SCALE, SHIFT = 255 * INPUT_STD, 255 * INPUT_MEAN


def write(network: nn.Sequential, metadata: Mapping[str, str]) -> bytes:
    """The model's bytes: input_0 [N, 1, 28, 28] and pixels [M, 1, 28, 28] to output_0 [N + M, 10].

    input_0 is float32 and normalised. pixels, uint8 grey levels, may be left out: then it is the
    empty initializer of that name. The answers are log-probabilities, input_0's rows first.

    Raises:
        ValueError: a layer is of a kind this module does not know.
    """
    layers = _rectified_before_pooling(_without_batch_norm(network))
    graph = _Graph()
    last = _write_inputs(graph, takes_grey_levels=_fold_normalisation(layers))
    for layer in layers:
        if type(layer) not in NODES:
            raise ValueError(
                f"ONNX is written layer by layer and {type(layer).__name__} is not known: "
                "add it to NODES in onnx_graph.py."
            )
        last = NODES[type(layer)](graph, layer, last)
    graph.nodes[-1].output[0] = "output_0"
    model = graph.model()
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


@dataclass
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One more node; gives the name of its output."""
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, value: Any, name: str = "") -> str:
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weights(self, layer: Any) -> list[str]:
        """The layer's weight, and its bias if it has one."""
        kept = (layer.weight, layer.bias)
        return [self.constant(value.detach().numpy()) for value in kept if value is not None]

    def model(self) -> onnx.ModelProto:
        image = [1, SIDE, SIDE]
        graph = helper.make_graph(
            self.nodes,
            "mnist",
            [
                helper.make_tensor_value_info("input_0", TensorProto.FLOAT, ["batch_size", *image]),
                helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["pixels_size", *image]),
            ],
            [helper.make_tensor_value_info("output_0", TensorProto.FLOAT, ["answers", CLASSES])],
            self.constants,
        )
        return helper.make_model(
            graph,
            producer_name="mc_assets",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )


def _write_inputs(graph: _Graph, *, takes_grey_levels: bool) -> str:
    """Both inputs, one after the other, in the numbers that the first layer takes."""
    default = np.zeros((0, 1, SIDE, SIDE), np.uint8)
    normalised = "input_0"
    grey = graph.add("Cast", graph.constant(default, "pixels"), to=TensorProto.FLOAT)
    if takes_grey_levels:
        normalised = graph.add("Mul", normalised, graph.constant(np.float32(SCALE)))
        normalised = graph.add("Add", normalised, graph.constant(np.float32(SHIFT)))
    else:
        grey = graph.add("Sub", grey, graph.constant(np.float32(SHIFT)))
        grey = graph.add("Div", grey, graph.constant(np.float32(SCALE)))
    return graph.add("Concat", normalised, grey, axis=0)


def _without_batch_norm(network: nn.Sequential) -> list[nn.Module]:
    """Copies of the layers that do something after training, batch norms in the weights before."""
    layers: list[nn.Module] = []
    for layer in deepcopy(network).cpu().eval():
        if isinstance(layer, nn.BatchNorm2d) and (before := _convolution_before(layers, layer)):
            _fold_batch_norm(before, layer)
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    return layers


def _rectified_before_pooling(layers: list[nn.Module]) -> list[nn.Module]:
    """The same function, where training pools first to rectify a quarter of the numbers.

    ONNX Runtime computes a convolution and its rectifier as one: 46 us an image in place of 49.
    """
    layers = list(layers)
    for at, (first, second) in enumerate(pairwise(layers)):
        if isinstance(first, nn.MaxPool2d) and isinstance(second, nn.ReLU):
            layers[at : at + 2] = [second, first]
    return layers


def _convolution_before(layers: list[nn.Module], norm: nn.BatchNorm2d) -> nn.Conv2d | None:
    # A scale above 0 leaves the order of numbers as it is, and so may go before a maximum.
    passed = (nn.MaxPool2d,) if bool((norm.weight > 0).all()) else ()
    before = [layer for layer in layers if not isinstance(layer, passed)][-1:]
    return before[0] if before and isinstance(before[0], nn.Conv2d) else None


@torch.no_grad()
def _fold_batch_norm(convolution: nn.Conv2d, norm: Any) -> None:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias
    convolution.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
    convolution.weight.mul_(scale.view(-1, 1, 1, 1))


@torch.no_grad()
def _fold_normalisation(layers: list[nn.Module]) -> bool:
    """Let the first convolution take grey levels, unless it pads: 0 is another colour in them."""
    first = next(layer for layer in layers if not _crops(layer))
    if not (isinstance(first, nn.Conv2d) and first.padding == (0, 0)):
        return False
    shift = first.weight.sum(dim=(1, 2, 3)) * (SHIFT / SCALE)
    first.bias = nn.Parameter(-shift if first.bias is None else first.bias - shift)
    first.weight.div_(SCALE)
    return True


def _crops(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ZeroPad2d) and max(layer.padding) <= 0


def _convolution(graph: _Graph, layer: Any, last: str) -> str:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise ValueError("ONNX is written for convolutions padded by numbers, with zeros.")
    return graph.add(
        "Conv",
        last,
        *graph.weights(layer),
        kernel_shape=layer.kernel_size,
        pads=[*layer.padding, *layer.padding],
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
    )


def _max_pool(graph: _Graph, layer: Any, last: str) -> str:
    padding = _pair(layer.padding)
    return graph.add(
        "MaxPool",
        last,
        kernel_shape=_pair(layer.kernel_size),
        pads=[*padding, *padding],
        strides=_pair(layer.stride),
        dilations=_pair(layer.dilation),
        ceil_mode=int(layer.ceil_mode),
    )


def _batch_norm(graph: _Graph, layer: Any, last: str) -> str:
    statistics = [
        graph.constant(value.numpy()) for value in (layer.running_mean, layer.running_var)
    ]
    weights = graph.weights(layer)
    return graph.add("BatchNormalization", last, *weights, *statistics, epsilon=layer.eps)


def _pad(graph: _Graph, layer: Any, last: str) -> str:
    left, right, top, bottom = layer.padding
    pads = graph.constant(np.array([0, 0, top, left, 0, 0, bottom, right]))
    return graph.add("Pad", last, pads)


def _pair(sides: int | tuple[int, int]) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides


NODES: Mapping[type[nn.Module], Callable[[_Graph, Any, str], str]] = {
    nn.Conv2d: _convolution,
    nn.MaxPool2d: _max_pool,
    nn.BatchNorm2d: _batch_norm,
    nn.ZeroPad2d: _pad,
    nn.ReLU: lambda graph, _, last: graph.add("Relu", last),
    nn.Flatten: lambda graph, layer, last: graph.add("Flatten", last, axis=layer.start_dim),
    nn.Linear: lambda graph, layer, last: graph.add("Gemm", last, *graph.weights(layer), transB=1),
    nn.LogSoftmax: lambda graph, layer, last: graph.add("LogSoftmax", last, axis=layer.dim),
}
