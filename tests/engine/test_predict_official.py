"""Prediction with official weights against the official pipeline, from photographs to poses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poselib.engine.inference import PredictOptions, infer, present
from poselib.engine.predict import predict
from poselib.models.pretrained import load_official
from poselib.skeletons import COCO
from poselib.systems import System, build
from tests.engine.factories import bare_sample
from tests.models.official import official_weights
from tests.references.plain_inference import predict_plainly

torch.set_num_threads(1)

SIZE = 128  # px of the short side: the network is the published one, photographs are made small
PHOTOGRAPHS = ("coco/000000000785.jpg", "crowdpose/103319.jpg")  # 425 x 640 and 480 x 640 px


@pytest.fixture(scope="module")
def system(golden_dir: Path, samples_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The official network, with weights by rule and centers as often above zero as below."""
    file = tmp_path_factory.mktemp("weights") / "official.pth"
    torch.save(official_weights(golden_dir, "dekr_w32_k17"), file)
    made = build("dekr", COCO, frame="index", nms_distance=0.05)
    load_official(made.model, file)
    views = present(made, bare_sample(photograph(samples_dir, 0)), PredictOptions(size=SIZE))
    made.model.eval()
    centers = infer(made, [views], flip=False).centers
    made.model.get_parameter("head_heatmap.1.bias").data[-1] -= centers.mean()
    return made


def photograph(samples_dir: Path, number: int) -> np.ndarray:
    image = cv2.imread(str(samples_dir / PHOTOGRAPHS[number]))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.samples
@pytest.mark.parametrize("number", range(len(PHOTOGRAPHS)))
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0), (0.5, 1.0, 2.0)])
def test_equals_the_official_pipeline(
    system: System, samples_dir: Path, number: int, flip: bool, scales: tuple[float, ...]
) -> None:
    image = photograph(samples_dir, number)
    options = PredictOptions(size=SIZE, scales=scales, flip=flip)
    (poses,) = predict(system, [bare_sample(image)], options)
    points, scores = predict_plainly(
        system.model,
        np.ascontiguousarray(image.transpose(1, 2, 0)),
        COCO.flip_indices,
        SIZE,
        scales,
        flip,
    )
    assert len(poses) > 10
    np.testing.assert_allclose(poses.keypoints - 0.5, points, rtol=0, atol=1e-3)
    np.testing.assert_allclose(poses.person_scores, scores, rtol=0, atol=1e-4)
