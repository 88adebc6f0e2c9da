"""Training by a preset, and exported systems."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poselib.data.catalog import cache_in_memory
from poselib.engine.checkpoints import load_checkpoint
from poselib.experiments import training
from poselib.experiments.parameters import current_parameters, notebook_parameters, parse_options
from poselib.experiments.training import (
    HEADLINES,
    export_system,
    get_device,
    init_system,
    train_preset,
    validator,
)
from poselib.papers.preset import Preset
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "03_train.ipynb"
# Where a run reads, works and writes does not change what comes out.
LOCAL = {"data_dir", "device", "processes", "run_id", "export", "runs_dir", "figures_dir"}


@pytest.fixture(scope="module")
def smoke() -> Preset:
    preset = get_preset("smoke")
    recipe = replace(preset.recipe, steps=2, batch_size=2, validate_every=1)
    return replace(preset, recipe=recipe, train_scenes=4, test_scenes=2)


@pytest.mark.slow
def test_a_training_by_a_preset_is_exported_and_loads(smoke: Preset, tmp_path: Path) -> None:
    scenes = cache_in_memory(smoke.open_dataset("synthetic", "train"))
    test = cache_in_memory(smoke.open_dataset("synthetic", "test"))
    system = init_system(smoke, COCO, seed=0)
    measure = validator(smoke, test, "cpu")
    trained = train_preset(smoke, system, scenes, tmp_path, seed=3, validate=measure)
    assert trained.steps == 2
    assert set(HEADLINES) <= set(trained.history[-1])
    about = {"metrics": {"AP": 0.5, "AP_L": math.nan}}
    story = export_system(tmp_path / "a.safetensors", trained, smoke, about)
    assert story["metrics"] == {"AP": 0.5, "AP_L": None}
    assert json.loads((tmp_path / "a.json").read_text()) == story
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded.system.input_size == smoke.input_size
    assert loaded.provenance == story and story["steps"] == 2
    assert {"git_commit", "versions", "train_seconds", "options"} <= set(loaded.provenance)
    for key, value in trained.system.model.state_dict().items():
        assert torch.equal(value, loaded.system.model.state_dict()[key])


def test_steps_or_seconds_can_be_given(smoke: Preset, tmp_path: Path) -> None:
    preset = replace(smoke, recipe=replace(smoke.recipe, validate_every=0))
    scenes = cache_in_memory(preset.open_dataset("synthetic", "train"))
    system = init_system(preset, COCO, seed=0)
    assert train_preset(preset, system, scenes, tmp_path / "a", seed=0, steps=1).steps == 1
    slow = replace(preset, recipe=replace(preset.recipe, steps=10**6))
    system = init_system(preset, COCO, seed=0)
    assert train_preset(slow, system, scenes, tmp_path / "b", seed=0, seconds=1e-3).steps == 1
    with pytest.raises(ValueError, match="give steps or seconds"):
        train_preset(slow, system, scenes, tmp_path / "c", seed=0, seconds=1.0, steps=1)


def test_the_seed_draws_the_weights(smoke: Preset) -> None:
    one, same, other = (init_system(smoke, COCO, seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert not all(torch.equal(value, other[key]) for key, value in one.items())


def test_options_override_the_preset(smoke: Preset) -> None:
    system = init_system(smoke, COCO, 0, "hae", focal=False, high_weight=2)
    assert system.options["backbone"] == smoke.options["backbone"]
    assert system.options["focal"] is False and system.options["high_weight"] == 2


def test_none_is_a_value_where_a_option_has_it() -> None:
    preset = get_preset("smoke", "", "logocap")
    assert preset.options["refined_sigma"] == 2.0
    given = parse_options("refined_sigma=none")
    system = init_system(preset, COCO, 0, "logocap", **given)
    assert system.options["refined_sigma"] is None


def test_none_is_a_word_where_an_option_has_words() -> None:
    given = parse_options("branches=none")
    system = init_system(get_preset("smoke", "", "dekr"), COCO, 0, "dekr", **given)
    assert system.options["branches"] == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"focal": 1}, "'focal' must be a bool, not 1"),
        ({"hierarchy": True}, "'hierarchy' must be a str, not True"),
        ({"high_weight": "big"}, "'high_weight' must be a float, not 'big'"),
        ({"foccal": True}, "no option 'foccal'"),
        ({"backbone": "vgg"}, "unknown backbone 'vgg'"),
    ],
)
def test_wrong_options_are_named(smoke: Preset, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        init_system(smoke, COCO, 0, "hae", **options)


def test_it_starts_from_imagenet_weights_of_a_file(smoke: Preset, tmp_path: Path) -> None:
    donor, file = init_system(smoke, COCO, 5).model, tmp_path / "classifier.pth"
    torch.save(donor.state_dict(), file)
    for host in ("higher", "plain"):
        model = init_system(smoke, COCO, 0, pretrained=str(file), host=host).model
        assert torch.equal(model.conv1.weight, donor.conv1.weight)
        fresh = init_system(smoke, COCO, 0, host=host).model
        head = [m.final_layers[0].weight for m in (model, donor, fresh)]
        assert torch.equal(head[0], head[2]) and not torch.equal(head[0], head[1])


def test_a_preset_names_the_imagenet_weights_of_its_backbone(
    smoke: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        training, "load_backbone", lambda model, source, stages: asked.append(source)
    )
    preset = replace(smoke, pretrained="imagenet")
    init_system(preset, COCO, 0)
    assert asked == ["hrnet_tiny"]
    init_system(preset, COCO, 0, backbone="hrnet_w18")
    assert asked.pop() == "hrnet_w18"
    init_system(preset, COCO, 0, pretrained="")
    init_system(preset, COCO, 0, host="hourglass")
    init_system(smoke, COCO, 0)
    assert asked == ["hrnet_tiny"]


def test_a_light_network_starts_from_the_full_ones_weights(
    smoke: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        training, "load_backbone", lambda model, source, stages: asked.append(source)
    )
    preset = replace(smoke, pretrained="imagenet", options={})
    init_system(preset, COCO, 0, "dekr", backbone="hrnet_tiny_light", width=4)
    assert asked == ["hrnet_tiny"]


def test_a_backbone_starts_from_the_bundled_model() -> None:
    bundled = load_checkpoint().system.model.state_dict()
    preset = get_preset("small", "crowd", "dekr")
    model = init_system(preset, COCO, 0, "dekr", pretrained="bundled", adaptive=False).model
    fresh = init_system(preset, COCO, 0, "dekr", pretrained="", adaptive=False).model
    state, drawn = model.state_dict(), fresh.state_dict()
    # The bundled network has no need of the last stage's lower resolutions: they stay as drawn.
    lower = [k for k in state if k.startswith("stage4.0.fuse_layers.") and k[21] != "0"]
    shared = [k for k in state if k in bundled and not k.startswith("head")]
    assert len(lower) > 50 and len(shared) > 200 and not set(lower) & set(shared)
    assert all(torch.equal(state[k], bundled[k]) for k in shared)
    assert all(torch.equal(state[k], drawn[k]) for k in state if k not in shared)


@pytest.mark.parametrize(
    ("dataset", "system", "options"),
    [
        ("crowd", "hae", {"host": "hourglass"}),
        ("crowd", "dekr", {"backbone": "hrnet_w18"}),
        ("clips", "jre", {"backbone": "resnet18"}),
        ("clips", "rpstn", {"backbone": "resnet18"}),
    ],
)
def test_a_backbone_that_the_bundled_model_lacks_starts_at_random(
    dataset: str, system: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        training, "_start_from", lambda system, source, stages: asked.append(source)
    )
    preset = get_preset("small", dataset, system)
    init_system(preset, COCO, 0, system, **options)
    assert not asked
    init_system(preset, COCO, 0, system)
    assert asked == ["bundled"]


def test_all_rows_of_feature_alignment_draw_the_last_stage() -> None:
    bundled = load_checkpoint().system.model.state_dict()
    preset = get_preset("small", "crowd", "grm")
    for align in (False, True):
        given = {"adaptive": False, "align": align}
        state = init_system(preset, COCO, 0, "grm", **given).model.state_dict()
        drawn = init_system(preset, COCO, 0, "grm", pretrained="", **given).model.state_dict()
        for name, value in state.items():
            taken = name in bundled and not name.startswith(("head", "stage4."))
            assert torch.equal(value, bundled[name] if taken else drawn[name])


def test_a_network_without_a_backbone_refuses_imagenet_weights(smoke: Preset) -> None:
    with pytest.raises(ValueError, match="StackedHourglass has no backbone for weights"):
        init_system(smoke, COCO, 0, pretrained="hrnet_w32", host="hourglass")


def test_absent_imagenet_weights_are_named(smoke: Preset, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.pth"):
        init_system(smoke, COCO, 0, pretrained=str(tmp_path / "no.pth"))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert get_device("auto") == get_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="no usable GPU"):
        get_device("cuda")
    with pytest.raises(ValueError, match="unknown device 'fast'"):
        get_device("fast")


@pytest.mark.slow
def test_several_processes_train_first_and_are_given_the_same(
    smoke: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they leave is taken up by this one, which has nothing left to do."""
    counts: list[int] = []

    def stand_in(count: int, call: Callable[[], object]) -> None:
        counts.append(count)
        pickle.loads(pickle.dumps(call))()

    monkeypatch.setattr(training, "call_in_processes", stand_in)
    scenes = smoke.open_dataset("synthetic", "train")
    system = init_system(smoke, scenes.skeleton, 0)
    validate = validator(smoke, scenes, "cpu")
    trained = train_preset(
        smoke, system, scenes, tmp_path, seed=0, steps=2, validate=validate, processes=2
    )
    assert counts == [2] and trained.steps == 2
    again = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    for name, value in system.model.state_dict().items():
        assert torch.equal(value, again[name])


# The notebook


def test_whatever_changes_results_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    parameters = notebook_parameters(NOTEBOOK)
    params = current_parameters(NOTEBOOK.stem, parameters)
    assert set(params) == {"notebook"} | set(parameters) - LOCAL
    assert {"options", "pretrained", "skeleton", "steps", "seconds"} <= set(params)


@pytest.mark.parametrize("host", ["higher", "plain", "hourglass"])
def test_a_host_is_an_option(host: str) -> None:
    system = init_system(get_preset("smoke"), COCO, 0, **parse_options(f"host={host}"))
    assert system.options["host"] == host
    assert 0.5e6 < sum(p.numel() for p in system.model.parameters()) < 1.5e6
