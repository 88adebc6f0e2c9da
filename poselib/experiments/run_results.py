"""The detections that a run left, with their images: to see them again, and to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from poselib.analysis.image_errors import errors_by_image
from poselib.annotations import AnnotationTable
from poselib.api import load
from poselib.data.catalog import DATASETS, KeypointDataset, cache_in_memory, open_files
from poselib.data.readers.coco import read_results
from poselib.experiments.loading import describe, evaluation_set
from poselib.experiments.own_dataset import (
    find_parts,
    open_known,
    open_labeled,
    open_own,
    skeleton_for,
)
from poselib.experiments.own_results import RESULTS
from poselib.experiments.run_table import EVALUATION, TRAINING, located, weights_of
from poselib.experiments.runs import RunRecord
from poselib.metrics.comparison import Comparison, compare
from poselib.papers.presets import get_preset
from poselib.skeletons import get_skeleton

_PATHS = ("data", "data_dir", "images", "annotations", "model", "checkpoint", "skeleton", "results")
_DECIMALS = 6  # of gains: single precision says no more
_WRITERS = "poselib train, poselib evaluate and the notebooks 03, 04 and 07 write it"


@dataclass(frozen=True)
class RunResults:
    """What a run found.

    Attributes:
        dataset: the images and their annotated people.
        about: what they are, in words.
        comparison: these people and the detections.
    """

    dataset: KeypointDataset
    about: str
    comparison: Comparison

    @cached_property
    def errors(self) -> pd.DataFrame:
        """What ``errors_by_image`` counts."""
        return errors_by_image(self.comparison)

    def above(self, score: float) -> RunResults:
        """Return the results without detections of a lower person score."""
        found = self.comparison.found
        kept = replace(self.comparison, found=found.only(found.scores >= score))
        return replace(self, comparison=kept)


def open_results(record: RunRecord, data_dir: str = "") -> RunResults:
    """Open the detections of a run and the images they are in.

    Args:
        data_dir: the folder of a dataset that is known by name, if the run does not state it.

    Raises:
        FileNotFoundError: the run left no detections, or its images are no longer there.
        ValueError: the run does not say what its images are, or a file has a fault.
    """
    params = _Stated(record)
    path = record.folder / RESULTS
    if not path.is_file():
        path = Path(str(params.get("results") or path))
    if not path.is_file():
        raise FileNotFoundError(f"{record.folder} has no {RESULTS}: {_WRITERS}")
    _find_dataset(record, params, data_dir)
    dataset, about = _open_images(record, params)
    truth = dataset.annotations()
    return RunResults(dataset, about, compare(truth, read_results(path, truth), dataset.skeleton))


def pair_images(first: RunResults, second: RunResults) -> pd.DataFrame:
    """Return the mean OKS of two runs in the images that both have, by position in the first.

    Returns:
        Columns ``image`` (its id), ``people``, ``first`` and ``second``, their mean OKS, ``gain``,
        the second minus the first, and ``there``, the position in the second; in ascending order
        of the gain. Images without people are left out.

    Raises:
        ValueError: they have no image in common with the same annotated people.
    """
    tables = [each.dataset.annotations() for each in (first, second)]
    places = {image: n for n, image in enumerate(tables[1].image_ids)}
    rows = []
    for n, image in enumerate(tables[0].image_ids):
        there = places.get(image)
        if there is None or n not in first.errors.index or there not in second.errors.index:
            continue
        one, two = first.errors.loc[n], second.errors.loc[there]
        if one["people"] and _same_people(tables, (n, there)):
            rows.append((n, image, int(one["people"]), one["oks"], two["oks"], there))
    if not rows:
        raise ValueError(
            f"no image in common: {first.about}, and {second.about}; two runs are paired by image "
            "where both were measured on the same ones"
        )
    columns = ["position", "image", "people", "first", "second", "there"]
    table = pd.DataFrame(rows, columns=columns).set_index("position")
    gain = table["second"] - table["first"]
    return table.assign(gain=gain.round(_DECIMALS)).sort_values("gain", kind="stable")


def _same_people(tables: list[AnnotationTable], places: tuple[int, int]) -> bool:
    (one, _), (two, _) = (table.people(place) for table, place in zip(tables, places, strict=True))
    return one.shape == two.shape and bool(np.allclose(one, two, atol=0.01))


class _Stated(dict[str, Any]):
    """The parameters of a run, relative paths as found from where it may have run."""

    def __init__(self, record: RunRecord) -> None:
        super().__init__(record.params)
        self._folder = record.folder
        for name in _PATHS:
            if isinstance(value := self.get(name), str):
                self[name] = located(value, record.folder)

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"{self._folder} does not say what its images are: it states no {name}")


def _find_dataset(record: RunRecord, params: dict[str, Any], data_dir: str) -> None:
    """Complete the parameters by the folder of a dataset that is known by its name."""
    if params.get("data") in DATASETS or params.get("dataset") in DATASETS:
        params["data_dir"] = params.get("data_dir") or data_dir
        if not params["data_dir"]:
            named = params.get("data") if record.name == EVALUATION else params.get("dataset")
            raise ValueError(
                f"{record.folder} does not say where the dataset {named!r} lies: give its folder "
                "as data_dir"
            )


def _open_images(record: RunRecord, params: Mapping[str, Any]) -> tuple[KeypointDataset, str]:
    if record.name == EVALUATION:
        dataset, about = open_labeled(params)
        return dataset, f"{len(dataset)} images of {about}"
    if record.name == TRAINING:
        if params["data_dir"]:
            data = open_known(params["data"], params["data_dir"])
        else:
            parts = find_parts(params["data"], params["images"])
            skeleton = skeleton_for(parts, params["skeleton"])
            data = open_own(parts, skeleton, params["seed"])
        return data.val, data.about
    if params.get("annotations"):
        wanted = params.get("skeleton") or None
        opened = open_files(params["annotations"], params["images"], wanted)
        return opened, describe(opened, Path(params["annotations"]).stem)
    if "preset" not in params or "dataset" not in params:
        raise ValueError(f"{record.folder} does not say what its images are")
    return _test_set(record, params)


def _test_set(record: RunRecord, params: Mapping[str, Any]) -> tuple[KeypointDataset, str]:
    """Open the test images of a notebook: the scenes are those of the system's skeleton."""
    if record.name == "train":
        settings = get_preset(
            params["preset"],
            params["dataset"],
            params["system"],
            size=params.get("size") or 0,
            translation=params.get("translation"),
        )
        folder, skeleton = params.get("data_dir", ""), params.get("skeleton", "")
        opened = cache_in_memory(settings.open_dataset(params["dataset"], "test", folder, skeleton))
        return opened, describe(opened, params["dataset"])
    if params.get("results"):
        settings = get_preset(params["preset"], params["dataset"], "hae")
        opened = settings.open_dataset(params["dataset"], "test", params.get("data_dir", ""))
        return opened, describe(opened, params["dataset"])
    weights = weights_of(replace(record, params=params))
    system = load(weights or None).system
    settings = get_preset(params["preset"], params["dataset"], system.name)
    low, high = settings.scenes.people
    people = (params.get("people_min") or low, params.get("people_max") or high)
    crowding = params.get("crowd_index")
    crowding = settings.scenes.crowd_index if crowding is None else crowding
    scenes = replace(settings.scenes, people=people, crowd_index=crowding)
    count = params.get("scenes") or settings.test_scenes
    settings = replace(settings, scenes=scenes, test_scenes=count)
    skeleton = get_skeleton(params["skeleton"]) if params.get("skeleton") else system.skeleton
    return evaluation_set(params["dataset"], settings, params.get("data_dir", ""), skeleton)
