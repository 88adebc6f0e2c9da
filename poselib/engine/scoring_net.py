"""Train a scoring net on the detections of a system, and attach it (DEKR, Sec. 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions, device_of, infer, present
from poselib.models.scoring import ScoringNet
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System, rebuild
from poselib.typing import FloatArray

_PART = "scoring."  # of a network: its scoring net


@dataclass(frozen=True)
class ScoringExamples:
    """Training data of a scoring net: detections and their OKS.

    Attributes:
        poses: (P, K, 2) float32, px of the image files.
        heatmap_scores: (P, K) float32, heatmap values of the keypoints times that of the center,
            as a decoder passes them to a scoring net.
        oks: (P,) float32, the highest OKS with any annotated person of the image.
    """

    poses: Tensor
    heatmap_scores: Tensor
    oks: Tensor

    def __len__(self) -> int:
        return len(self.poses)


def collect_scoring_data(
    system: System,
    dataset: SampleSource,
    options: PredictOptions | None = None,
    *,
    count: int = 0,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> ScoringExamples:
    """Collect the detections of a dataset and their OKS (DEKR, Sec. 3.3).

    Images without a labeled person are skipped, as in the official code, since detections there may
    well be people without labels. That code sets an OKS of exactly 1 to 0, which is what its
    evaluation gives to a pose within the box of a person without labeled keypoints; here such
    people are not compared at all.

    Args:
        system: detects the people; a scoring net that it has is not used.
        dataset: labeled images of its skeleton, such as its training set.
        options, device, progress: as in ``predict``; images are presented one at a time.
        count: number of images, from the first on; 0 for all.

    Raises:
        ValueError: the system does not support a scoring net.
    """
    _check_scorable(system)
    options = options or PredictOptions()
    system.model.to(device_of(system) if device is None else device).eval()
    kinds = len(system.skeleton)
    poses, heatmap_scores, oks = (
        [np.zeros((0, kinds, 2), np.float32)],
        [torch.zeros(0, kinds)],
        [np.zeros(0)],
    )
    images = range(min(count, len(dataset)) if count else len(dataset))
    for index in tqdm(images, disable=not progress, desc="examples"):
        sample = dataset[index]
        if has_labels(sample):
            people, given = _found(system, sample, options)
            poses.append(people.keypoints)
            heatmap_scores.append(given)
            oks.append(best_oks(people, sample, system.skeleton))
    return ScoringExamples(
        torch.from_numpy(np.concatenate(poses)),
        torch.cat(heatmap_scores),
        torch.from_numpy(np.concatenate(oks).astype(np.float32)),
    )


def train_scoring_net(
    net: ScoringNet,
    examples: ScoringExamples,
    *,
    epochs: int = 20,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> list[float]:
    """Train a scoring net to predict OKS with the mean squared error (DEKR, Sec. 3.3).

    The optimizer, Adam, and the defaults are those of the official code, which skips an incomplete
    last batch; it is used here.

    Args:
        net: changed in place, on its device.
        examples: of its skeleton.
        epochs, batch_size, learning_rate: of Adam.
        seed: of the order of the examples.

    Returns:
        The mean squared error of each epoch during training.

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
        features = net.features(examples.poses.to(device), examples.heatmap_scores.to(device))
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


def attach_scoring_net(system: System, net: ScoringNet) -> System:
    """Return a system with the same weights and a scoring net, which scores its poses.

    Args:
        system: regresses poses; it is not changed. A scoring net that it has is replaced.
        net: of its skeleton; its weights are copied.

    Returns:
        The system with ``scoring=True``, in evaluation mode, on the device of the given one.

    Raises:
        ValueError: the system does not support a scoring net, or the net is for other keypoints or
            of another width than the system's own.
    """
    _check_scorable(system)
    if net.skeleton != system.skeleton:
        theirs, ours = net.skeleton.name, system.skeleton.name
        raise ValueError(f"a scoring net of skeleton {theirs!r} cannot rank people of {ours!r}")
    ranked = rebuild(system, scoring=True, scoring_unit=net.unit)
    weights = {k: v for k, v in system.model.state_dict().items() if not k.startswith(_PART)}
    weights |= {f"{_PART}{name}": value for name, value in net.state_dict().items()}
    try:
        ranked.model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the scoring net does not fit system {system.name!r}: {error}") from error
    ranked.model.to(device_of(system)).eval()
    return ranked


def detach_scoring_net(system: System) -> System:
    """Return a system with the same network that scores poses without its scoring net.

    Its options are those of the given system: it is for comparisons with one forward pass, as by
    ``evaluate_decoders``.
    """
    return replace(system, decode=lambda outputs: system.decode(replace(outputs, scorer=None)))


def best_oks(people: Poses, sample: Sample, skeleton: Skeleton) -> FloatArray:
    """Return (P,) the highest OKS of each detection, px of the file, with any annotated person."""
    truth = sample.keypoints.astype(np.float64)
    truth[..., :2] = sample.to_original(truth[..., :2])
    areas = sample.areas.astype(np.float64) * sample.to_original.scale**2
    alike = object_keypoint_similarity(people.keypoints, truth, areas, skeleton.sigmas)
    best: FloatArray = alike.max(axis=0)
    return best


def has_labels(sample: Sample) -> bool:
    """Return whether any person of an image has a labeled keypoint."""
    return bool((sample.keypoints[..., 2] > 0).any())


def _check_scorable(system: System) -> None:
    if "scoring" not in system.options:
        raise ValueError(f"system {system.name!r} does not regress poses that can be scored")


def _found(system: System, sample: Sample, options: PredictOptions) -> tuple[Poses, Tensor]:
    """Return the detections of an image, px of the file, and the inputs of their scoring net.

    The scoring net needs center-weighted heatmap values (P, K), which ``Poses`` does not store and
    which cannot be computed from scores where values are negative. So a scorer that records them
    takes its place during decoding.
    """
    given = [torch.zeros(0, len(system.skeleton))]

    def score(points: Tensor, scores: Tensor) -> Tensor:
        given.append(scores.cpu())
        return scores.new_ones(len(scores))

    views = present(system, sample, options)
    outputs = infer(system, [views], options.flip)
    (people,) = system.decode(replace(outputs, scorer=score))
    return people.warped(views[0].to_original), given[-1]
