"""The scoring net: what it is taught, and how it becomes a part of a system."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from poselib.data.loaders import SampleSource
from poselib.engine.predict import PredictOptions, device_of, infer, present
from poselib.models.scoring import ScoringNet
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System, rebuild
from poselib.typing import FloatArray

_PART = "scoring."  # of a network: its scoring net


@dataclass(frozen=True)
class ScoringExamples:
    """People found in images, and how good they are.

    Attributes:
        poses: (P, K, 2) float32, px of the image files.
        heats: (P, K) float32, of their keypoints times that of their center: what a decoder gives
            to a scoring net.
        oks: (P,) float32, the highest OKS with any annotated person of the image.
    """

    poses: Tensor
    heats: Tensor
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
    """Find the people of a dataset and measure each (DEKR, Sec. 3.3).

    Images without a labeled person teach nothing, as in the official code: whoever is found there
    may well be someone whom nobody labeled. That code sets an OKS of exactly 1 to 0, which is what
    its evaluation gives to a pose within the box of a person without labeled keypoints; here such
    people are not compared with at all.

    Args:
        system: finds the people; if it has a scoring net already, that has no part in it.
        dataset: labeled images of its skeleton, such as its training set.
        options: how images are presented, one at a time; defaults to ``PredictOptions()``.
        count: images, from the first on; 0 for all.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Raises:
        ValueError: the system has no place for a scoring net.
    """
    _check_scorable(system)
    options = options or PredictOptions()
    system.model.to(device_of(system) if device is None else device).eval()
    kinds = len(system.skeleton)
    poses, heats, oks = (
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
            heats.append(given)
            oks.append(best_oks(people, sample, system.skeleton))
    return ScoringExamples(
        torch.from_numpy(np.concatenate(poses)),
        torch.cat(heats),
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


def attach_scoring_net(system: System, net: ScoringNet) -> System:
    """Return a system of the same weights whose network has a scoring net, which ranks its poses.

    Args:
        system: one that regresses poses; it is not changed. A scoring net that it has is left out.
        net: of its skeleton; its weights are copied.

    Returns:
        The system with ``scoring=True``, in evaluation mode, on the device of the given one.

    Raises:
        ValueError: the system has no place for a scoring net, or the net is for other keypoints or
            of another width than the system's own would be.
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
    """Return a system on the very same network that does not ask its scoring net.

    It is for comparison, in one go of ``predict_variants``: its options are those of the given
    one.
    """
    return replace(system, decode=lambda outputs: system.decode(replace(outputs, scorer=None)))


def best_oks(people: Poses, sample: Sample, skeleton: Skeleton) -> FloatArray:
    """Return (P,) the highest OKS of each person found with any annotated one of the image.

    Args:
        people: found, px of the file.
        sample: the image, with one annotated person or more.
        skeleton: of both.
    """
    truth = sample.keypoints.astype(np.float64)
    truth[..., :2] = sample.to_original(truth[..., :2])
    areas = sample.areas.astype(np.float64) * sample.to_original.scale**2
    alike = object_keypoint_similarity(people.keypoints, truth, areas, skeleton.sigmas)
    best: FloatArray = alike.max(axis=0)
    return best


def has_labels(sample: Sample) -> bool:
    """Return whether anybody in an image has a labeled keypoint."""
    return bool((sample.keypoints[..., 2] > 0).any())


def _check_scorable(system: System) -> None:
    if "scoring" not in system.options:
        raise ValueError(f"system {system.name!r} regresses no poses that a scoring net could rank")


def _found(system: System, sample: Sample, options: PredictOptions) -> tuple[Poses, Tensor]:
    """Return the people of an image, px of the file, and what a scoring net is told of them.

    No ``Poses`` hold the heats times that of the center, (P, K), and they cannot be had from scores
    where heats are negative. So the decoder is given a net that listens.
    """
    given = [torch.zeros(0, len(system.skeleton))]

    def score(points: Tensor, heats: Tensor) -> Tensor:
        given.append(heats.cpu())
        return heats.new_ones(len(heats))

    views = present(system, sample, options)
    outputs = infer(system, [views], options.flip)
    (people,) = system.decode(replace(outputs, scorer=score))
    return people.warped(views[0].to_original), given[-1]
