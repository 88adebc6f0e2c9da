"""Corpora of what people bring: COCO-format folders as they lie, and Label Studio's exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.annotation_tools import (
    cvat_labels,
    label_studio_config,
    label_studio_tasks,
    read_label_studio,
)
from poselib.data.readers.coco import read_annotations
from poselib.experiments import own_dataset as own
from poselib.skeletons import COCO
from tests.data.factories.images import images
from tests.fuzz.corpus import Corpus, Rng, try_all
from tests.fuzz.datasets import coco_content, use
from tests.fuzz.json_values import encode, mutate

NAMES = ("annotations.json", "annotations/train.json", "annotations/person_keypoints_val2017.json")
NAMES += ("test/a.json", "._train.json", "new/deep/val.json", "Train set.JSON", "été/valid.json")


def write_folder(rng: Rng, folder: Path) -> None:
    """Write one annotation file or several and images, wherever they may lie."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    home = folder / "data"
    places = ["images", "images/train", "train2017", "", "a/b", "a/b/c"]
    images(home / places[rng.integers(len(places))], ["1.png", "2.png"], (24, 32))
    for name in rng.choice(NAMES, rng.integers(1, 4), p=[0.3, 0.2, 0.2, *([0.06] * 5)]):
        content = coco_content()
        changed = mutate(rng, content) if rng.random() < 0.6 else content
        path = home / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(rng, changed))


def read_folder(folder: Path) -> None:
    """Check a dataset as a training does; what the check lets pass is opened or refused."""
    parts = own.find_parts(str(folder / "data"))
    skeleton = own.skeleton_for(parts)
    reports = own.check_parts(parts, skeleton)
    own.write_check(reports, folder)
    json.loads((folder / own.CHECK).read_text())
    if faults := [str(report) for report in reports if report.fatal]:
        raise ValueError(" ".join(faults[0].split())[:1000])
    data = own.open_own(parts, skeleton, 0)
    for dataset in (data.train, data.val):
        use(dataset)


def prepare_export(folder: Path) -> None:
    images(folder, ["1.png", "2.png"], (24, 32))


def label_studio() -> list[dict[str, Any]]:
    """Return an export in which all predictions are accepted."""
    document = _document()
    return [
        {"id": n, "data": task["data"], "annotations": task["predictions"]}
        for n, task in enumerate(label_studio_tasks(document, "/data/?d="))
    ]


def _document() -> dict[str, Any]:
    document = coco_content()
    document["annotations"] = [p for p in document["annotations"] if p.get("num_keypoints")]
    return document


def write_export(rng: Rng, folder: Path) -> None:
    """Write the document and what comes back, one of which is changed."""
    export: Any = label_studio()
    document: Any = _document()
    if rng.random() < 0.3:
        document = mutate(rng, document)
    else:
        export = mutate(rng, export)
    (folder / "document.json").write_text(json.dumps(document))
    (folder / "a.json").write_bytes(encode(rng, export))


def read_export(folder: Path) -> None:
    """Read the export, and make the tools' files of the document, whose file only we know."""
    document = json.loads((folder / "document.json").read_text())

    def read() -> None:
        table = read_annotations(read_label_studio(folder / "a.json", document), COCO)
        assert np.isfinite(table.keypoints).all() and np.isfinite(table.boxes).all()

    def named(make: Any, *arguments: Any) -> None:
        try:
            made = make(*arguments)
            json.dumps(made, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"{folder / 'document.json'}: {error}") from error

    try_all(
        folder,
        lambda _: named(read),
        lambda _: named(cvat_labels, document),
        lambda _: named(label_studio_config, document),
        lambda _: named(label_studio_tasks, document, "/data/"),
    )


OWN_DATA: dict[str, Corpus] = {
    "folders": Corpus(0.02, lambda folder: None, write_folder, read_folder),
    "label_studio": Corpus(0.02, prepare_export, write_export, read_export),
}
