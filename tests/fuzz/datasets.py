"""Corpora of annotations and results: each reader of the library with the files it reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.readers.aic import AicKeypoints
from poselib.data.readers.coco import CocoImages, CocoKeypoints, read_annotations, read_results
from poselib.data.readers.flic import FlicImages
from poselib.data.readers.hieve import HieveKeypoints
from poselib.data.readers.lsp import LspImages
from poselib.data.readers.mpii import MpiiImages
from poselib.data.readers.ochuman import OcHumanKeypoints
from poselib.data.readers.uav_human import UavHumanKeypoints
from poselib.metrics.ap import evaluate_ap
from poselib.metrics.comparison import compare
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.data.factories import aic, flic, hieve, lsp, mpii, ochuman, uav_human
from tests.data.factories.images import images
from tests.data.factories.mat import save, struct
from tests.fuzz.arrays import odd_fields
from tests.fuzz.corpus import Action, Corpus, Rng, try_all
from tests.fuzz.json_values import encode, mutate
from tests.fuzz.raw_bytes import damage
from tests.metrics.factories import random_crowd


def use(dataset: Any) -> None:
    """Read images and annotations; check that nothing senseless was accepted."""
    table = dataset.annotations()
    for values in (table.keypoints, table.boxes, table.areas):
        assert np.isfinite(values).all(), "annotations that are not finite"
    for n in range(min(len(dataset), 4)):
        sample = dataset[n]
        assert sample.keypoints.shape == (len(sample.areas), len(dataset.skeleton), 3)
        assert np.isfinite(sample.keypoints).all(), "keypoints that are not finite"
        assert np.isfinite(sample.areas).all(), "areas that are not finite"
        assert (sample.areas >= 0).all(), "negative areas"
        assert sample.ignore_mask.shape == sample.size, "another size"


def json_corpus(
    share: float, content: Callable[[], Any], read: Action, prepare: Action, file: str = "a.json"
) -> Corpus:
    """Return the corpus of a JSON file whose content is changed."""
    whole = cache(content)

    def write(rng: Rng, folder: Path) -> None:
        (folder / file).write_bytes(encode(rng, mutate(rng, whole())))

    return Corpus(share, prepare, write, read)


def several_files(
    share: float, content: dict[str, Any], name: str, read: Action, prepare: Action
) -> Corpus:
    """Return the corpus of JSON files, one of which is changed; ``name`` has a place for a key."""

    def write(rng: Rng, folder: Path) -> None:
        changed = str(rng.choice(sorted(content)))
        for key, value in content.items():
            data = encode(rng, mutate(rng, value)) if key == changed else json.dumps(value).encode()
            (folder / name.format(key)).write_bytes(data)

    return Corpus(share, prepare, write, read)


def mat_corpus(
    share: float,
    content: Callable[[], dict[str, Any]],
    read: Action,
    prepare: Action,
    file: str = "a.mat",
) -> Corpus:
    """Return the corpus of a file of MATLAB whose fields or bytes are changed."""

    def write(rng: Rng, folder: Path) -> None:
        variables = content()
        for _ in range(rng.integers(0, 4)):
            odd_fields(rng, variables[str(rng.choice(sorted(variables)))])
        path = folder / file
        with contextlib.suppress(TypeError, ValueError):  # what cannot be written
            save(path, **variables)
        if rng.random() < 0.6:
            path.write_bytes(damage(rng, path.read_bytes()))

    def prepare_file(folder: Path) -> None:
        prepare(folder)
        save(folder / file, **content())

    return Corpus(share, prepare_file, write, read)


def coco_content() -> dict[str, Any]:
    """Two images; people, a crowd, and who is ignored by an outline, a box or run lengths."""
    keypoints, none = [v for k in range(17) for v in (3 + k, 2 + k, 2)], [0] * 51
    box = {"bbox": [2, 2, 20, 20], "area": 300.0, "iscrowd": 0, "category_id": 1}
    people: list[dict[str, Any]] = [
        {"image_id": 1, "keypoints": keypoints, "num_keypoints": 17},
        {"image_id": 1, "keypoints": none, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
        {"image_id": 2, "keypoints": none, "num_keypoints": 0},
        {"image_id": 2, "keypoints": keypoints, "segmentation": [[1, 1, 9, 1, 9, 9]]},
        {"image_id": 2, "keypoints": none, "iscrowd": 1},
    ]
    people[-1]["segmentation"] = {"size": [24, 32], "counts": [10, 20, 24 * 32 - 30]}
    listed = [
        {"id": n, "file_name": f"{n}.png", "height": 24, "width": 32, "crowdIndex": 0.1 * n}
        for n in (1, 2)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO.keypoints), "skeleton": [[1, 2]]}
    annotations = [{**box, **person, "id": n} for n, person in enumerate(people, start=1)]
    return {"images": listed, "annotations": annotations, "categories": [category], "info": {}}


def coco_folder(folder: Path) -> None:
    images(folder, ["1.png", "2.png"], (24, 32))
    (folder / "whole.json").write_text(json.dumps(coco_content()))


def evaluate(folder: Path) -> None:
    table = read_annotations(folder / "a.json", COCO)
    nobody = [Poses.empty(len(COCO)) for _ in table.image_ids]
    assert_rates(evaluate_ap(compare(table, nobody, COCO)).as_dict())


def assert_rates(numbers: dict[str, float]) -> None:
    assert all(np.isnan(value) or 0 <= value <= 1 for value in numbers.values()), numbers


def read_coco(folder: Path) -> None:
    path = folder / "a.json"
    try_all(
        folder,
        lambda _: use(CocoKeypoints(path, folder, COCO)),
        lambda _: use(CocoKeypoints(path, folder)),
        lambda _: use(CocoImages(path, folder, COCO)),
        evaluate,
    )


def results() -> list[dict[str, Any]]:
    return [{**one, "image_id": 1 + n % 2} for n, one in enumerate(random_crowd(3, 4)[1][:4])]


def read_result_file(folder: Path) -> None:
    table = read_annotations(folder / "whole.json", COCO)
    found = read_results(folder / "a.json", table)
    assert_rates(evaluate_ap(compare(table, found, COCO)).as_dict())


def aic_folder(folder: Path) -> None:
    aic.write(folder, {})


def ochuman_folder(folder: Path) -> None:
    ochuman.write(folder, {})


def read_ochuman(folder: Path) -> None:
    use(OcHumanKeypoints(folder / "a.json", folder, "val", True))


def hieve_folder(folder: Path) -> None:
    hieve.write(folder, hieve.labels())


def uav_folder(folder: Path) -> None:
    uav_human.write(folder, uav_human.content())


def read_uav(folder: Path) -> None:
    use(UavHumanKeypoints(folder / "annotations", folder / "frames"))


def mpii_entries() -> list[dict[str, Any]]:
    return [mpii.entry(), mpii.entry("b.jpg", 12), mpii.entry("a.jpg", 30)]


def two_images(folder: Path) -> None:
    images(folder, ["a.jpg", "b.jpg", "c.jpg"])


def mpii_release() -> dict[str, Any]:
    people = [mpii.person(5, 6), mpii.person(9, 9)]
    listed = [
        mpii.image("a.jpg", *people, single=[1, 2], groups=[[1, 2]]),
        mpii.image("b.jpg", mpii.unlabeled(20, 3), train=0),
    ]
    return {"RELEASE": struct(mpii.release(*listed))}


def lsp_images(folder: Path) -> None:
    images(folder, [f"im{number:05d}.jpg" for number in range(1, 31)])


DATASETS: dict[str, Corpus] = {
    "coco": json_corpus(0.14, coco_content, read_coco, coco_folder),
    "results": json_corpus(0.06, results, read_result_file, coco_folder),
    "aic": json_corpus(0.05, aic.content, lambda f: use(AicKeypoints(f / "a.json", f)), aic_folder),
    "ochuman": json_corpus(0.05, ochuman.content, read_ochuman, ochuman_folder),
    "hieve": several_files(
        0.04,
        hieve.labels(),
        "labels/{}.json",
        lambda f: use(HieveKeypoints(f / "labels", f / "images")),
        hieve_folder,
    ),
    "uav_human": several_files(
        0.04, uav_human.content(), "annotations/{}.json", read_uav, uav_folder
    ),
    "mpii_json": json_corpus(
        0.04, mpii_entries, lambda f: use(MpiiImages.from_json(f / "a.json", f)), two_images
    ),
    "mpii_mat": mat_corpus(
        0.04, mpii_release, lambda f: use(MpiiImages.from_mat(f / "a.mat", f, "train")), two_images
    ),
    "flic": mat_corpus(
        0.03,
        lambda: {"examples": struct(*flic.content())},
        lambda f: use(FlicImages(f / "a.mat", f, "train")),
        two_images,
    ),
    "lsp": mat_corpus(
        0.02,
        lambda: {"joints": lsp.extended()},
        lambda f: use(LspImages(f / "a.mat", f, "train")),
        lsp_images,
    ),
}
