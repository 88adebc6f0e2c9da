"""Global relation modeling and feature alignment, number by number from the paper's equations.

Maps are (C, h, w) arrays of float64, one image; weights come from the modules under test. Each
product is taken where the paper takes it.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from poselib.models.feature_align import AlignBlock
from poselib.models.global_relation import GlobalRelation, SEGate

Floats = NDArray[np.float64]


def numbers(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()


def convolved(x: Floats, layer: nn.Module) -> Floats:
    """Sum over a window, with zeros outside; of stride 1."""
    assert isinstance(layer, nn.Conv2d)
    weight, bias = numbers(layer.weight), layer.bias
    starts = np.zeros(len(weight)) if bias is None else numbers(bias)
    reach = weight.shape[2] // 2
    _, height, width = x.shape
    y = np.zeros((len(weight), height, width))
    for o, i, j in np.ndindex(*y.shape):
        total = starts[o]
        for c, di, dj in np.ndindex(*weight.shape[1:]):
            row, column = i + di - reach, j + dj - reach
            if 0 <= row < height and 0 <= column < width:
                total += weight[o, c, di, dj] * x[c, row, column]
        y[o, i, j] = total
    return y


def normalized(x: Floats, layer: nn.Module) -> Floats:
    """Batch normalization by its running statistics."""
    assert isinstance(layer, nn.BatchNorm2d)
    state = {name: numbers(value) for name, value in layer.state_dict().items()}
    y = np.zeros_like(x)
    for c in range(len(x)):
        deviation = math.sqrt(state["running_var"][c] + layer.eps)
        y[c] = (x[c] - state["running_mean"][c]) / deviation * state["weight"][c]
        y[c] += state["bias"][c]
    return y


def layered(x: Floats, layers: nn.Module) -> Floats:
    """A bare convolution, or one with what stands behind it."""
    if isinstance(layers, nn.Conv2d):
        return convolved(x, layers)
    for layer in layers.children():
        if isinstance(layer, nn.ReLU):
            x = np.maximum(x, 0)
        else:
            x = convolved(x, layer) if isinstance(layer, nn.Conv2d) else normalized(x, layer)
    return x


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def gated(p: Floats, module: SEGate) -> Floats:
    """F_SE of Eq. 4."""
    weight, bias = numbers(module.fc.weight), numbers(module.fc.bias)
    means = [max(0.0, float(channel.sum()) / channel.size) for channel in p]
    y = np.zeros_like(p)
    for c, channel in enumerate(p):
        gate = sigmoid(sum(weight[c, i] * mean for i, mean in enumerate(means)) + bias[c])
        kept, factor = {"add": (1, 0), "multiply": (0, gate), "residual": (1, gate)}[module.gate]
        y[c] = channel * (kept + factor) + (gate if module.gate == "add" else 0)
    return layered(y, module.mix)


def channel_gates(x: Floats, module: GlobalRelation) -> list[float]:
    """A_ch of Eq. 5: W_c and W_d on every cell, then the weighted sum over the cells."""
    branch = module.channel_attention
    values = convolved(convolved(x, branch.value), branch.expand)
    scores = convolved(x, branch.query)[0]
    cells = list(np.ndindex(*scores.shape))
    weights = softmax([scores[cell] for cell in cells])
    sums = [
        sum(weight * channel[cell] for weight, cell in zip(weights, cells, strict=True))
        for channel in values
    ]
    if isinstance(branch.norm, nn.LayerNorm):
        mean = sum(sums) / len(sums)
        variance = sum((s - mean) ** 2 for s in sums) / len(sums)
        scale, shift = numbers(branch.norm.weight), numbers(branch.norm.bias)
        root = math.sqrt(variance + branch.norm.eps)
        sums = [scale[c] * (s - mean) / root + shift[c] for c, s in enumerate(sums)]
    return [sigmoid(s) for s in sums]


def spatial_gates(x: Floats, module: GlobalRelation) -> Floats:
    """A_sp of Eq. 6: W_e on every cell, then the mean."""
    branch = module.spatial_attention
    queries = convolved(x, branch.query)
    weights = softmax([float(channel.sum()) / channel.size for channel in queries])
    values = convolved(x, branch.value)
    gates = np.zeros(x.shape[1:])
    for cell in np.ndindex(*gates.shape):
        gates[cell] = sigmoid(sum(w * v[cell] for w, v in zip(weights, values, strict=True)))
    return gates


def gathered(maps: list[Floats], module: GlobalRelation) -> Floats:
    """F_all of Eq. 4."""
    total = np.zeros_like(maps[-1])
    for p, gate, convolution in zip(maps[:-1], module.gates, module.convolutions, strict=True):
        assert isinstance(gate, SEGate)
        total += layered(gated(p, gate), convolution)
    return np.concatenate([total, maps[-1]])


def related(maps: list[Floats], module: GlobalRelation) -> Floats:
    """F_GRM of Eq. 7."""
    x = gathered(maps, module)
    channels, cells = channel_gates(x, module), spatial_gates(x, module)
    y = np.zeros_like(x)
    for c, i, j in product(*map(range, x.shape)):
        y[c, i, j] = channels[c] * x[c, i, j] + cells[i, j] * x[c, i, j]
    return y


def aligned(x: Floats, block: AlignBlock) -> Floats:
    """F_MFA of Eq. 10."""
    mixed = layered(x, block.entry)
    part = len(mixed) // 4
    outputs: list[Floats] = []
    for b, layers in enumerate(block.branches):
        own = mixed[b * part : (b + 1) * part]
        start = own + outputs[b - 1] if b else own
        known = [own, start] if block.first == "input" else [own]
        for number, layer in enumerate(layers.children()):
            alone = number == 0 and block.first == "output"
            known.append(layered(start if alone else np.concatenate(known), layer))
        outputs.append(known[-1])
    y = layered(np.concatenate(outputs), block.join)
    if block.shortcut is not None:
        y = y + (x if isinstance(block.shortcut, nn.Identity) else layered(x, block.shortcut))
    return np.maximum(y, 0)
