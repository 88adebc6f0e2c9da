"""Relations between heatmaps: the equations one by one, goldens, a start as the identity."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poselib.models.joint_relation import (
    RELATIONS,
    JointRelation,
    NonLocalRelation,
    build_relation,
)
from poselib.ops.gaussians import gaussian_heatmaps
from tests.models.official import relative, weights_rule
from tests.models.random_weights import randomised

torch.set_num_threads(1)

Floats = NDArray[np.float64]
LIMBS = ((0, 1), (1, 2), (2, 3))


def maps(keypoints: int = 5, batch: int = 2, size: tuple[int, int] = (4, 6)) -> Tensor:
    make = torch.Generator().manual_seed(keypoints)
    return torch.randn(batch, keypoints, *size, generator=make, dtype=torch.float64) / 2


def layer_1x1(x: Floats, layer: nn.Conv2d) -> Floats:
    """A 1x1 convolution of (K, h, w), cell by cell."""
    weight, bias = layer.weight.detach().numpy()[:, :, 0, 0], layer.bias.detach().numpy()
    y = np.zeros((len(weight), *x.shape[1:]))
    for o, c in np.ndindex(*weight.shape):
        y[o] += weight[o, c] * x[c]
    return y + bias[:, None, None]


def added(x: Floats, mixed: Floats, module: JointRelation | NonLocalRelation) -> Floats:
    """Conv_o, its batch normalization and the residual connection."""
    convolution, norm = module.W
    y = layer_1x1(mixed, convolution)
    state = {name: value.numpy() for name, value in norm.state_dict().items()}
    for k in range(len(y)):
        deviation = math.sqrt(state["running_var"][k] + norm.eps)
        y[k] = (y[k] - state["running_mean"][k]) / deviation * state["weight"][k]
        y[k] += state["bias"][k]
    return y + x


def related(
    x: Floats, module: JointRelation, temperature: float, neighbors: dict[int, set[int]]
) -> tuple[Floats, Floats, Floats]:
    """Eqs. 6 to 9 for one image, keypoint by keypoint: correlation, W_r and Z."""
    keypoints = len(x)
    correlation, weights = np.zeros((keypoints, keypoints)), np.zeros((keypoints, keypoints))
    for a in range(keypoints):
        for b in range(keypoints):
            correlation[a, b] = sum(x[a, i, j] * x[b, i, j] for i, j in np.ndindex(*x.shape[1:]))
        scores = {b: math.exp(correlation[a, b] / temperature) for b in neighbors[a]}
        for b, score in scores.items():
            weights[a, b] = score / sum(scores.values())
    gathered, mixed = layer_1x1(x, module.g), np.zeros_like(x)
    for a, b in np.ndindex(keypoints, keypoints):
        mixed[a] += weights[a, b] * gathered[b]
    return correlation, weights, added(x, mixed, module)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("kind", ["joint", "graph"])
@pytest.mark.parametrize("keypoints", [4, 7])
def test_equals_the_equations_one_by_one(kind: str, temperature: float, keypoints: int) -> None:
    module = build_relation(kind, keypoints, temperature=temperature, limbs=LIMBS)
    randomised(module)
    everyone = set(range(keypoints))
    neighbors = dict.fromkeys(everyone, everyone)
    if kind == "graph":
        neighbors = {k: {k, *(b for p in LIMBS if k in p for b in p)} for k in everyone}
    x = maps(keypoints)
    with torch.no_grad():
        got, relations = module(x)
    for image in range(2):
        numbers = related(x[image].numpy(), module, temperature, neighbors)
        found = (relations.correlation[image], relations.weights[image], got[image])
        for one, other in zip(found, numbers, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert torch.equal(relations.pseudo_heatmaps, x)


def test_the_nonlocal_block_equals_its_figure_cell_by_cell() -> None:
    module = randomised(NonLocalRelation(5))
    assert isinstance(module, NonLocalRelation)
    x = maps(5, batch=1, size=(3, 4))
    with torch.no_grad():
        got, relations = module(x)
    plain = x[0].numpy()
    query, key, value = (layer_1x1(plain, each) for each in (module.theta, module.phi, module.g))
    cells = list(np.ndindex(3, 4))
    mixed = np.zeros_like(query)
    for a in cells:
        scores = [math.exp(query[:, *a] @ key[:, *b]) for b in cells]
        for b, score in zip(cells, scores, strict=True):
            mixed[:, *a] += score / sum(scores) * value[:, *b]
    np.testing.assert_allclose(got[0], added(plain, mixed, module), rtol=1e-9)
    assert relations is None and module.theta.out_channels == 2


@pytest.mark.parametrize("kind", RELATIONS)
def test_every_relation_begins_as_the_identity(kind: str) -> None:
    torch.manual_seed(0)
    module = build_relation(kind, 5, limbs=LIMBS).double().train()
    x = maps().requires_grad_()
    y, relations = module(x)
    assert torch.equal(y, x)
    assert (relations is not None) == (kind in ("joint", "graph"))
    y.square().sum().backward()
    assert torch.equal(x.grad, 2 * x)
    last = [p for p in module.parameters() if p.grad is not None and (p.grad != 0).any()]
    assert bool(last) == (kind != "none")  # it can learn


@pytest.mark.parametrize("keypoints", [13, 15, 17])
def test_parameters(keypoints: int) -> None:
    counted = sum(p.numel() for p in JointRelation(keypoints).parameters())
    assert counted == 2 * keypoints**2 + 4 * keypoints
    assert keypoints != 17 or counted == 646
    weights = [p for p in JointRelation(keypoints).parameters() if p.ndim == 4]
    assert sum(p.numel() for p in weights) == 2 * keypoints**2


@pytest.mark.parametrize("kind", ["joint", "graph", "nonlocal", "head"])
def test_gradients(kind: str) -> None:
    module = randomised(build_relation(kind, 3, temperature=2.0, limbs=((0, 1),)))
    inputs = (maps(3, 1, (3, 2)).requires_grad_(), *module.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: module(x)[0], inputs)


def test_keypoints_can_be_renamed() -> None:
    """Permuted keypoints, and weights permuted alike, give permuted maps."""
    module, order = randomised(JointRelation(5)), torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        expected, relations = module(maps())
        for name, value in module.state_dict().items():
            if value.ndim:
                value.copy_(value[order])
            if name in ("g.weight", "W.0.weight"):
                value.copy_(value[:, order])
        got, other = module(maps()[:, order])
    torch.testing.assert_close(got, expected[:, order])
    torch.testing.assert_close(other.weights, relations.weights[:, order][:, :, order])


def test_ideal_maps_attend_to_themselves_unless_a_temperature_is_set() -> None:
    points = torch.tensor(
        [[[[40.0, 40, 2], [200, 40, 2], [40, 200, 2], [200, 200, 2], [96, 96, 2]]]]
    )
    ideal = gaussian_heatmaps(points, (256, 256), (64, 64), 2.0)
    diagonals, entropies = [], []
    for temperature in (1.0, 4.0, 64.0):
        with torch.no_grad():
            _, relations = JointRelation(5, temperature=temperature)(ideal)
        diagonals.append(float(relations.diagonal))
        entropies.append(float(relations.entropy))
    # of four other keypoints none overlaps; the dot product with itself is 4π
    expected = 1 / (1 + 4 * math.exp(-4 * math.pi))
    assert diagonals[0] == pytest.approx(expected, abs=1e-5) and diagonals[0] > 0.997
    assert diagonals == sorted(diagonals, reverse=True) and entropies == sorted(entropies)
    assert entropies[2] == pytest.approx(math.log(5), abs=0.01)


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["joint", "joint_graph", "pixel"])
def test_equals_official_code(golden_dir: Path, kind: str) -> None:
    keys = json.loads((golden_dir / "jre_module.keys.json").read_text())[kind]
    weights = {k: torch.from_numpy(v) for k, v in weights_rule(golden_dir).fill(keys).items()}
    module: nn.Module = NonLocalRelation(13, official=True)
    if kind != "pixel":
        limbs = ((0, 1),) if kind == "joint_graph" else None
        module = JointRelation(13, limbs=limbs, official=True)
    module.load_state_dict(weights, strict=False)
    assert set(module.state_dict()) == {name for name, *_ in keys}
    module.eval()
    with np.load(golden_dir / "jre_module.npz") as golden, torch.no_grad():
        x = torch.from_numpy(golden[f"{kind}_x"])
        got, relations = module(x)
        assert relative(got, golden[f"{kind}_y_as_coded"]) < 1e-4
        if kind == "pixel":
            return
        attention = golden[f"{kind}_attention_as_coded_softmax_dim1"]
        assert relative(relations.weights, attention) < 1e-4
        if kind == "joint":  # the paper's, with the same weights
            module.official = False
            expected = golden["joint_y_without_scramble_softmax_dim2"]
            got, _ = module(x)
            assert relative(got, expected) < 1e-4
            assert relative(got, golden["joint_y_as_coded"]) > 1e-2


def test_convolutions_come_first() -> None:
    module = randomised(build_relation("joint", 4, convolutions=2))
    assert sum(isinstance(layer, nn.Conv2d) for layer in module.convolutions.modules()) == 2
    with torch.no_grad():
        _, relations = module(maps(4))
        pseudo = module.convolutions(maps(4))
    flat = pseudo.flatten(2)
    torch.testing.assert_close(relations.correlation, flat @ flat.transpose(1, 2))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("pixel", {}, "relation must be one of .*, not 'pixel'"),
        ("graph", {}, "'graph' needs a skeleton with limbs"),
        ("joint", {"temperature": 0.0}, "temperature must be a positive number, not 0.0"),
        ("joint", {"convolutions": -1}, "must not be negative: -1"),
        ("head", {"convolutions": 2}, "relation_convs=2 has no use with relation='head'"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_relation(kind, 5, **options)
