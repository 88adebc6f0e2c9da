"""The video network: equations, goldens, streams, options and what runs for all frames at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.models import propagator
from poselib.models.pose_propagation import PropagationConfig, PropagationNetwork
from poselib.models.pretrained import load_official
from poselib.models.propagator import PropagationState
from poselib.ops.normalization import MEAN, STD
from poselib.outputs import HeatmapOutputs
from tests.models.official import official_weights, relative
from tests.references import plain_propagation as plain

torch.set_num_threads(1)

TINY = PropagationConfig(backbone="hrnet_tiny", initializer_backbone="hrnet_tiny", width=8)
LIMBS = ((0, 1), (1, 2))
OPTIONS = [
    {},
    {"relation": "none"},
    {"relation": "nonlocal"},
    {"relation": "graph"},
    {"relation": "head"},
    {"relation_convs": 2, "temperature": 4.0},
    {"propagator_layers": 0},
    {"propagator_layers": 3},
    {"propagator_layers": 5},
    {"initializer": "concat"},
    {"initializer": "none"},
    {"normalize_pseudo": True},
    {"official": True, "width": 32},
    {"official": True, "width": 32, "propagator_layers": 0, "initializer": "none"},
]


def network(keypoints: int = 4, **options: object) -> PropagationNetwork:
    """A small network whose relations and normalizations do something."""
    torch.manual_seed(0)
    model = PropagationNetwork(keypoints, replace(TINY, **options), LIMBS)
    for name, value in model.state_dict().items():
        if (
            name.startswith(("relation", "output_norm", "projection_norm", "pseudo_norm"))
            and value.ndim
        ):
            value += 0.2 * torch.rand(value.shape)
    return model.eval()


def clips(*shape: int, size: tuple[int, int] = (128, 64), seed: int = 0) -> Tensor:
    return torch.randn(*shape, 3, *size, generator=torch.Generator().manual_seed(seed))


def stream(model: PropagationNetwork, images: Tensor) -> Iterator[HeatmapOutputs]:
    outputs, state = model.start(images[:, 0])
    yield outputs
    for frame in images.unbind(1)[1:]:
        outputs, state = model.step(frame, state)
        yield outputs


@torch.no_grad()
@pytest.mark.parametrize("normalize_pseudo", [False, True])
def test_equals_the_equations_frame_by_frame(normalize_pseudo: bool) -> None:
    model = network(3, width=2, normalize_pseudo=normalize_pseudo).double()
    images = clips(1, 3).double()
    got = model(images)
    assert got.image_size == (128, 64) and got.heatmaps.shape == (3, 3, 32, 16)
    features = [plain.numbers(f) for f in model._features(images, first=True)[0]]
    assert model.initializer is not None
    initial = plain.numbers(model.initializer(images[:, 0]).heatmaps[0])
    expected = plain.propagated(features, initial, model)
    for one, other in zip(got.heatmaps, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9 * np.abs(other).max())
    assert got.relations is not None and got.relations.weights.shape == (3, 3, 3)


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_stream_equals_a_clip_whatever_else_is_in_the_batch(options: dict) -> None:
    model, images = network(**options), clips(2, 4)
    together = model(images)
    maps = together.heatmaps.unflatten(0, (2, 4))
    scale = float(maps.abs().max())
    for one, frame in zip(stream(model, images), range(4), strict=True):
        assert float((one.heatmaps - maps[:, frame]).abs().max()) < 1e-5 * scale
    alone = list(stream(model, images[1:]))
    for one, frame in zip(alone, range(4), strict=True):
        assert float((one.heatmaps - maps[1:, frame]).abs().max()) < 1e-5 * scale
        if together.relations:
            assert one.relations is not None
            weights = together.relations.weights.unflatten(0, (2, 4))[1:, frame]
            torch.testing.assert_close(one.relations.weights, weights, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"propagator_layers": 0}, {"official": True, "width": 32}])
def test_people_of_other_ages_step_in_one_batch(options: dict) -> None:
    """One person is at the third frame, the other one at the first."""
    model, images = network(**options), clips(2, 3)
    first, second = (list(stream(model, images[n : n + 1])) for n in range(2))
    older = model.start(images[:1, 0])[1]
    older = model.step(images[:1, 1], older)[1]
    joined = PropagationState.join([older, model.start(images[1:, 0])[1]])
    assert [len(state.heatmaps) for state in joined.split()] == [1, 1]
    outputs, state = model.step(torch.stack([images[0, 2], images[1, 1]]), joined)
    expected = torch.cat([first[2].heatmaps, second[1].heatmaps])
    scale = float(expected.abs().max())
    assert float((outputs.heatmaps - expected).abs().max()) < 1e-5 * scale
    again = PropagationState.join(state.split())
    assert torch.equal(again.heatmaps, state.heatmaps)
    assert torch.equal(again.features, state.features)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"propagator_layers": 0}, {"official": True, "width": 32}])
@pytest.mark.parametrize("training", [False, True])
def test_people_one_after_the_other_give_the_same(
    options: dict, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = network(**options).train(training), clips(3, 2)
    together = model(images).heatmaps
    monkeypatch.setattr(propagator, "_AT_ONCE", 1)
    heads: list[int] = []
    model.head.register_forward_hook(lambda _, inputs, __: heads.append(len(inputs[0])))
    alone = model(images).heatmaps
    assert heads == ([3] if training else [1, 1, 1])  # normalizations see all
    assert float((alone - together).abs().max()) < 1e-6 * float(together.abs().max())


@torch.no_grad()
def test_normalized_maps_are_related_at_one_scale() -> None:
    """However large Conv_d's maps are: each has a deviation of 0.05 over the batch, and mean 0."""
    clip = clips(2, 2)
    bound = clip.shape[0] * (128 // 4) * (64 // 4) * 0.05**2
    for normalize in (True, False):
        torch.manual_seed(0)
        model = PropagationNetwork(4, replace(TINY, normalize_pseudo=normalize)).train()
        model.head.weight *= 1e4
        relations = model(clip).relations
        assert relations is not None
        assert bool(relations.correlation[1::2].abs().amax() <= bound) == normalize


def test_a_network_that_normalizes_no_pseudo_heatmaps_has_no_parameters_for_it() -> None:
    without, having = (set(network(normalize_pseudo=each).state_dict()) for each in (False, True))
    assert without < having and {name.split(".")[0] for name in having - without} == {"pseudo_norm"}


@torch.no_grad()
def test_a_frame_depends_on_those_before_it_alone() -> None:
    images = clips(1, 4)
    other = images.clone()
    other[:, 2] += 1
    for layers, changed in ((4, [False, False, True, True]), (0, [False, False, True, False])):
        model = network(propagator_layers=layers)
        before, after = model(images).heatmaps, model(other).heatmaps
        assert [
            not torch.allclose(a, b, atol=1e-6) for a, b in zip(before, after, strict=True)
        ] == (changed)


@torch.no_grad()
def test_features_are_computed_once_and_the_initializer_sees_first_frames() -> None:
    model, seen = network(), []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(len(inputs[0]))

    for part in (model.extractor, model.initializer, model.projection):
        assert part is not None
        part.register_forward_pre_hook(note)
    model(clips(2, 3))
    assert seen == [6, 6, 2]
    photograph = model(clips(2, 1))
    assert photograph.heatmaps.shape[0] == 2


@torch.no_grad()
def test_initializers() -> None:
    images = clips(1, 2)
    plainly, concat, none = (network(initializer=kind) for kind in ("network", "concat", "none"))
    assert plainly.first is None and concat.first is not None and none.initializer is None
    assert concat.first[0][0].in_channels == 8 + 4 and none.first[0][0].in_channels == 8
    maps = concat(images).heatmaps
    concat.initializer.final_layer.bias += 1.0
    assert not torch.allclose(concat(images).heatmaps, maps)
    assert none(images).heatmaps.shape == maps.shape


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_reach_every_parameter(options: dict) -> None:
    model = network(**options).train()
    outputs = model(clips(2, 3))
    outputs.heatmaps.square().sum().backward()
    unused = {"relation.theta", "relation.phi"} if options.get("official") else set()
    for name, value in model.named_parameters():
        if name.rpartition(".")[0] not in unused:
            assert value.grad is not None and value.grad.isfinite().all(), name


def test_gradients_are_those_of_finite_differences() -> None:
    model = network(2, width=2).double()
    images = clips(1, 2, size=(64, 64)).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: model(x).heatmaps.square().sum(), images, fast_mode=True
    )


@pytest.mark.slow
@torch.no_grad()
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    model = network()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(clips(1, 3)).heatmaps, model(clips(1, 3)).heatmaps)


@pytest.mark.parametrize("relation", ["joint", "graph", "nonlocal"])
def test_trains_in_bfloat16_and_channels_last(relation: str) -> None:
    model = network(relation=relation).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = model(clips(2, 3)).heatmaps
    with torch.autocast("cpu", torch.bfloat16):
        got = model(clips(2, 3)).heatmaps.float()
    assert float((got.detach() - expected).abs().max()) < 0.1 * float(expected.abs().max())
    got.square().sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name


@pytest.mark.slow
@pytest.mark.golden
def test_equals_official_code(golden_dir: Path, tmp_path: Path) -> None:
    """Official checkpoints load; what was BGR of 0 to 255 there is a normalized image here."""
    config = PropagationConfig(initializer_backbone="resnet18", official=True)
    model = PropagationNetwork(13, config)
    weights = official_weights(golden_dir, "rpstn_resnet18_penn13")
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "a.pth")
    load_official(model, tmp_path / "a.pth")
    model.double().eval()
    kernels: list[Tensor] = []
    assert model.propagator is not None and model.initializer is not None
    model.propagator.norms[3].register_forward_hook(lambda *args: kernels.append(args[2]))
    with np.load(golden_dir / "rpstn_resnet18_penn13.npz") as golden, torch.no_grad():
        bgr = torch.from_numpy(golden["input_small"]).double()
        bgr = bgr.repeat_interleave(8, 3).repeat_interleave(8, 4)
        mean, deviation = (bgr.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        images = (bgr.flip(2) / 255 - mean) / deviation
        outputs = model(images)
        assert relative(outputs.heatmaps[None], golden["out"]) < 1e-4
        assert relative(torch.stack(kernels), golden["dynamic_kernels"]) < 1e-4
        first = model.initializer(bgr[:, 0]).heatmaps
        assert relative(first, golden["pose_net_frame0"]) < 1e-4
        features = model.extractor(bgr[:, 0])[:, ::16, ::2, ::2]
        assert relative(features, golden["fea_ext_frame0_ch16_px2"]) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet34", "resnet50", "hourglass", "hrnet_w32"])
def test_other_backbones(backbone: str) -> None:
    with torch.device("meta"):
        config = PropagationConfig(backbone=backbone, initializer_backbone=backbone)
        outputs = PropagationNetwork(13, config).eval()(torch.zeros(2, 3, 3, 256, 192))
    assert tuple(outputs.heatmaps.shape) == (6, 13, 64, 48)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "vgg16"}, "unknown backbone 'vgg16'; known: resnet18, "),
        ({"initializer": "cat"}, r"initializer must be one of \('network', 'concat', 'none'\)"),
        ({"width": 0}, "width must be 1 or more, not 0"),
        ({"normalize_pseudo": True, "official": True}, "normalize_pseudo has no use with official"),
        ({"propagator_layers": 2}, "propagator_layers must be 0, 3, 4 or 5, not 2"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_images_that_do_not_fit_are_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match=r"kernels of 3x2 cells.* 128x64, 128x128 px fit"):
        model(clips(1, 2, size=(128, 96)))
    with pytest.raises(ValueError, match="kernels of 3x2 cells"):
        model.start(clips(1, size=(128, 96)))
    with pytest.raises(ValueError, match=r"clips must be \(B, T, 3, H, W\), not \(1, 3, 64, 64\)"):
        model(clips(1, size=(64, 64)))
    with pytest.raises(ValueError, match="clips must be"):
        model(clips(1, 0))
    network(propagator_layers=0)(clips(1, 2, size=(128, 96)))  # nothing is propagated
