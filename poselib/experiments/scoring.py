"""Training of the scoring net: poses found in a training set and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.data.loaders import SampleSource
from poselib.engine.predict import PredictOptions, predict
from poselib.models.scoring import ScoringNet
from poselib.ops.oks import object_keypoint_similarity
from poselib.structures import Poses, Sample
from poselib.systems import System


@dataclass(frozen=True)
class ScoringExamples:
    """People found in images, and how good they are.

    Attributes:
        poses: (P, K, 2) float32, px of the image files.
        heats: (P, K) float32, the scores of their keypoints.
        oks: (P,) float32, the highest OKS with any annotated person of the image.
    """

    poses: Tensor
    heats: Tensor
    oks: Tensor

    def __len__(self) -> int:
        return len(self.poses)


def scoring_examples(
    system: System,
    dataset: SampleSource,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> ScoringExamples:
    """Find the people of a dataset and measure each (DEKR, Sec. 3.3).

    Images without a labelled person teach nothing, as in the official code: whoever is found there
    may well be someone whom nobody labelled. That code sets an OKS of exactly 1 to 0, which is what
    its evaluation gives to a pose within the box of a person without labelled keypoints; here such
    people are not compared with at all.

    Args:
        system: finds the people.
        dataset: labelled images of its skeleton, such as its training set.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.
    """
    found = predict(system, dataset, options, device=device, progress=progress)
    kinds = len(system.skeleton)
    poses, heats = [np.zeros((0, kinds, 2), np.float32)], [np.zeros((0, kinds), np.float32)]
    oks = [np.zeros(0)]
    for index, people in enumerate(found):
        sample = dataset[index]
        if len(people) and (sample.keypoints[..., 2] > 0).any():
            poses.append(people.keypoints)
            heats.append(people.scores)
            oks.append(_best_oks(people, sample, system))
    return ScoringExamples(
        torch.from_numpy(np.concatenate(poses)),
        torch.from_numpy(np.concatenate(heats)),
        torch.from_numpy(np.concatenate(oks).astype(np.float32)),
    )


def fit_scoring(
    net: ScoringNet,
    examples: ScoringExamples,
    *,
    epochs: int = 20,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> list[float]:
    """Teach a scoring net the OKS of examples by their squared error (DEKR, Sec. 3.3).

    The defaults, and Adam, are those of the official code. It leaves out the examples that do not
    fill a last batch; they are used here.

    Args:
        net: changed in place, on the device where it is.
        examples: of its skeleton.
        epochs: passes over the examples.
        batch_size: examples a step.
        learning_rate: of Adam.
        seed: of the order of the examples.

    Returns:
        The mean squared error of each epoch, measured as it went.

    Raises:
        ValueError: there is no example or a number is not positive.
    """
    if not (len(examples) and epochs > 0 and batch_size > 0 and learning_rate > 0):
        raise ValueError(
            f"scoring: expected examples and positive numbers, not {len(examples)} examples, "
            f"epochs={epochs}, batch_size={batch_size}, learning_rate={learning_rate}"
        )
    device = next(net.parameters()).device
    with torch.no_grad():
        features = net.features(examples.poses.to(device), examples.heats.to(device))
    oks = examples.oks.to(device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    losses = []
    for _ in range(epochs):
        total = torch.zeros((), device=device)
        for chosen in torch.randperm(len(oks), generator=generator).to(device).split(batch_size):
            loss = F.mse_loss(net.layers(features[chosen]).squeeze(-1), oks[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(chosen)
        losses.append(float(total) / len(oks))
    return losses


def _best_oks(people: Poses, sample: Sample, system: System) -> np.ndarray:
    """Return (P,) the highest OKS of each person found with any annotated one, px of the file."""
    truth = sample.keypoints.astype(np.float64)
    truth[..., :2] = sample.to_original(truth[..., :2])
    areas = sample.areas.astype(np.float64) * sample.to_original.scale**2
    alike = object_keypoint_similarity(people.keypoints, truth, areas, system.skeleton.sigmas)
    best: np.ndarray = alike.max(axis=0)
    return best
