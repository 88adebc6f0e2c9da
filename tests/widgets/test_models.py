"""Models that explorers show: by name, as objects, and those of other kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

import poselib
from poselib.engine.checkpoints import BUNDLED, MODELS
from poselib.systems.published import PUBLISHED
from poselib.widgets.models import ModelSource, available_weights, check_fits


def test_names_files_and_objects_are_models(tmp_path: Path) -> None:
    source = ModelSource(None, "association")
    assert source.name == "" and not source.given
    assert set(MODELS) <= set(source.control.options)
    bundled = source.predictor("")
    assert source.predictor("") is bundled and not bundled.options.flip
    assert source.predictor(str(BUNDLED)).skeleton == bundled.skeleton
    given = ModelSource(bundled, "association")
    assert given.given and given.predictor("") is bundled
    assert ModelSource(bundled.system, "association").predictor("").system is bundled.system
    with pytest.raises(FileNotFoundError, match="absent"):
        source.predictor(str(tmp_path / "absent.safetensors"))
    with pytest.raises(ValueError, match="unknown model 'hea_tiny_synthetic'; did you mean"):
        ModelSource("hea_tiny_synthetic", "association")


def test_other_kinds_are_refused_with_the_explorer_that_fits() -> None:
    skeleton = poselib.skeletons.COCO
    regressor = poselib.build("dekr", skeleton, backbone="hrnet_tiny")
    with pytest.raises(
        ValueError,
        match=r"^association takes a system that groups .*poselib\.widgets\.regression shows it",
    ):
        ModelSource(regressor, "association")
    single = replace(regressor, decode_options=None)
    with pytest.raises(ValueError, match=r"one person at a time: poselib\.widgets\.relations"):
        check_fits(single, "association")
    check_fits(regressor, "regression")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "not int"),
        (np.zeros((8, 8, 3)), "not ndarray"),
        ([poselib], "not list"),
        ("photo.jpg", "photo.jpg is an image or a video, which comes second"),
        (Path("a.mp4"), "a.mp4 is an image or a video"),
    ],
)
@pytest.mark.parametrize("function", ["association", "regression", "relations"])
def test_what_is_no_model_is_refused_with_what_is(given: Any, message: str, function: str) -> None:
    wanted = f"^{function} takes a model first: a name, a checkpoint file, a System or a Predictor"
    with pytest.raises(ValueError, match=f"{wanted}.*{message}"):
        getattr(poselib.widgets, function)(given)


def test_only_weights_that_are_here_are_offered(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path))  # type: ignore[attr-defined]
    assert available_weights() == []
    with pytest.raises(FileNotFoundError, match="poselib weights download dekr_w32_coco"):
        ModelSource(None, "association").predictor("dekr_w32_coco")
    name, row = next(iter(PUBLISHED.items()))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / row.file).write_bytes(b"")
    assert available_weights() == [name]
