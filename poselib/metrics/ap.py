"""COCO average precision and recall over object keypoint similarity."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poselib.ops.oks import AREA_OF_BOX
from poselib.skeleton import Skeleton

Entry = dict[str, Any]

# Lists of a COCO file, with the fields that the evaluation cannot do without.
_FIELDS = {
    "images": ("id",),
    "annotations": ("id", "image_id", "category_id"),
    "categories": ("id",),
}


@dataclass(frozen=True)
class APResult:
    """The ten numbers of a COCO keypoint evaluation, each in [0, 1], or NaN where nobody counts.

    AP and AR are means over OKS thresholds 0.50, 0.55, ..., 0.95 (HAE, Eq. 19); M and L take
    only people of 32² to 96² px² and from 96² px² on.
    """

    AP: float
    AP50: float
    AP75: float
    AP_M: float
    AP_L: float
    AR: float
    AR50: float
    AR75: float
    AR_M: float
    AR_L: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def evaluate_ap(
    ground_truth: Entry | Path,
    results: Sequence[Entry],
    skeleton: Skeleton,
    image_ids: Sequence[int] | None = None,
    max_detections: int = 20,
) -> APResult:
    """Compare COCO-format results with COCO-format ground truth through pycocotools.

    Nothing that is passed in is changed. No results at all give zeros. Where no person counts
    (none in the ground truth, or none of that size) the number is NaN.

    Args:
        ground_truth: images, annotations and categories, or the JSON file that holds them.
            Annotations without ``area`` get 0.53 of their box, without ``iscrowd`` 0 and
            without ``num_keypoints`` the count of their labelled keypoints.
        results: dictionaries of image_id, category_id, keypoints (3K) and score.
        skeleton: gives K and the OKS constants.
        image_ids: images to evaluate; all of the ground truth by default.
        max_detections: results counted in an image, best scores first.

    Raises:
        FileNotFoundError: the ground truth file is absent.
        ValueError: a field is missing, of the wrong length or not finite, or a result or
            ``image_ids`` names an image that the ground truth lacks.
    """
    if max_detections < 1:
        raise ValueError(f"max_detections must be 1 or more, not {max_detections}")
    content = _read(ground_truth)
    known = {image["id"] for image in content["images"]}
    wanted = sorted(known if image_ids is None else set(image_ids))
    if not known.issuperset(wanted):
        raise ValueError(f"image_ids: the ground truth lacks {sorted(set(wanted) - known)[:5]}")
    truth = _truth(content["annotations"], len(skeleton))
    found = _found(results, content, len(skeleton))
    # pycocotools reports on stdout at every step.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_indexed(content, truth), _indexed(content, found), "keypoints")
        evaluation.params.imgIds = wanted
        evaluation.params.maxDets = [max_detections]
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
    return _summary(evaluation.eval["precision"], evaluation.eval["recall"])


def _summary(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> APResult:
    """Average precision (T, R, categories, areas, 1) and recall (T, categories, areas, 1)."""
    everyone, medium, large = 0, 1, 2  # order of the area ranges
    at50, at75 = 0, 5  # positions among the thresholds 0.50, 0.55, ...

    def mean(values: NDArray[np.float64]) -> float:
        counted = values[values > -1]  # -1 marks that nobody counts
        return float(counted.mean()) if counted.size else float("nan")

    return APResult(
        AP=mean(precision[..., everyone, 0]),
        AP50=mean(precision[at50, ..., everyone, 0]),
        AP75=mean(precision[at75, ..., everyone, 0]),
        AP_M=mean(precision[..., medium, 0]),
        AP_L=mean(precision[..., large, 0]),
        AR=mean(recall[..., everyone, 0]),
        AR50=mean(recall[at50, ..., everyone, 0]),
        AR75=mean(recall[at75, ..., everyone, 0]),
        AR_M=mean(recall[..., medium, 0]),
        AR_L=mean(recall[..., large, 0]),
    )


def _read(ground_truth: Entry | Path) -> Entry:
    content: Any = ground_truth
    name = "ground truth"
    if isinstance(ground_truth, str | Path):
        path, name = Path(ground_truth), str(ground_truth)
        if not path.is_file():
            raise FileNotFoundError(f"ground truth file {path} does not exist")
        try:
            content = json.loads(path.read_bytes())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not JSON: {error}") from error
    for field, needed in _FIELDS.items():
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise ValueError(f"{name}: not COCO: expected a list named {field!r}")
        for entry in content[field]:
            lacking = [key for key in needed if key not in entry]
            if lacking:
                raise ValueError(f"{name}: {field}: an entry lacks {lacking}")
    return content


def _indexed(content: Entry, annotations: list[Entry]) -> COCO:
    coco = COCO()
    coco.dataset = {**content, "annotations": annotations}
    coco.createIndex()
    return coco


def _truth(annotations: list[Entry], keypoints: int) -> list[Entry]:
    """Copy what the evaluation reads, with defaults filled in."""
    # Numbered from 1: pycocotools takes a match with number 0 for no match.
    return [
        _person(a, number, keypoints)
        for number, a in enumerate((a for a in annotations if "keypoints" in a), start=1)
    ]


def _person(annotation: Entry, number: int, keypoints: int) -> Entry:
    where = f"ground truth: annotation {annotation.get('id')}"
    points = _checked(annotation["keypoints"], 3 * keypoints, f"{where}: keypoints")
    box = annotation.get("bbox")
    area, labelled = annotation.get("area"), int(np.count_nonzero(points[2::3]))
    if box is None and (area is None or labelled == 0):
        raise ValueError(f"{where}: bbox: expected [x, y, width, height]")
    box = _checked(box if box is not None else [0, 0, 0, 0], 4, f"{where}: bbox")
    if area is None:
        area = AREA_OF_BOX * box[2] * box[3]
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "keypoints": points.tolist(),
        "num_keypoints": annotation.get("num_keypoints", labelled),
        "bbox": box.tolist(),
        "area": float(_checked([area], 1, f"{where}: area")[0]),
        "iscrowd": annotation.get("iscrowd", 0),
    }


def _found(results: Sequence[Entry], content: Entry, keypoints: int) -> list[Entry]:
    """Copy what the evaluation reads; the area, only used for sizes, is the keypoints' extent."""
    known = {
        "image_id": {image["id"] for image in content["images"]},
        "category_id": {category["id"] for category in content["categories"]},
    }
    found = []
    for number, result in enumerate(results, start=1):
        where = f"results[{number - 1}]"
        for field in ("image_id", "category_id", "keypoints", "score"):
            if field not in result:
                raise ValueError(f"{where}: lacks {field}")
            if field in known and result[field] not in known[field]:
                raise ValueError(f"{where}: {field} {result[field]} is not in the ground truth")
        points = _checked(result["keypoints"], 3 * keypoints, f"{where}: keypoints")
        score = float(_checked([result["score"]], 1, f"{where}: score")[0])
        found.append(
            {
                "id": number,
                "image_id": result["image_id"],
                "category_id": result["category_id"],
                "keypoints": points.tolist(),
                "area": float(np.ptp(points[0::3]) * np.ptp(points[1::3])),
                "score": score,
            }
        )
    return found


def _checked(values: Any, count: int, where: str) -> NDArray[np.float64]:
    """Return ``count`` finite numbers; raises ValueError otherwise."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected {count} numbers, found {values!r}") from error
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"{where}: expected {count} finite numbers, found {values!r}")
    return numbers
