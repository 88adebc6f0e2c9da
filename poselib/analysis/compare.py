"""Evaluate several decodings of one network, and compare detections image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from poselib.analysis.association_errors import association_errors
from poselib.analysis.select_images import mean_oks, rank_images
from poselib.data.loaders import SampleSource
from poselib.engine.evaluate import Evaluation, LabeledImages, evaluate_poses
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict_variants
from poselib.engine.variants import Variant, with_options
from poselib.metrics.association_errors import classify_keypoints
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.plots.panels import Panel
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System

# Error rates beside average precision: association errors as fractions of the labeled or detected
# keypoints, localization errors as fractions of the keypoints of matched people.
ASSOCIATION = ("association_error", "wrong_person_rate", "not_found_rate")
LOCALIZATION = ("good", "jitter", "miss", "inversion", "swap")


@dataclass(frozen=True)
class VariantResults:
    """Evaluations of the test variants of one network.

    Attributes:
        variants: those that the system supports, in the given order.
        evaluations: one per variant, by its name.
        unrefined: detections of each image before refinement, by the name of the variant; those
            of the evaluation where the decoding has no refinement or errors are not measured.
        table: one row per variant, index ``variant``: the fields of ``Evaluation.as_dict``, and
            if errors are measured ``ASSOCIATION`` and ``LOCALIZATION``; all from 0 to 1.
    """

    variants: tuple[Variant, ...]
    evaluations: dict[str, Evaluation]
    unrefined: dict[str, list[Poses]]
    table: pd.DataFrame


def evaluate_variants(
    system: System,
    dataset: LabeledImages,
    variants: Sequence[Variant],
    options: PredictOptions,
    *,
    errors: bool = False,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> VariantResults:
    """Evaluate a trained network with several decodings and at several scales.

    Variants of the same scales share one forward pass per image.

    Args:
        variants: of different names; those that the system does not support are left out.
        options: how images are presented; ``scales`` is taken from the variants.
        errors: also measure association and localization errors. Association errors are counted
            before refinement, which would fill the gaps that grouping leaves with copies of other
            people's keypoints.

    Raises:
        ValueError: no variant is supported or the dataset has no annotations; before prediction.
    """
    supported = tuple(variant for variant in variants if variant.supports(system))
    if not supported:
        names = ", ".join(repr(variant.name) for variant in variants)
        raise ValueError(f"system {system.name!r} supports none of these test variants: {names}")
    dataset.annotations()  # refused before the network runs on all images
    evaluations: dict[str, Evaluation] = {}
    unrefined: dict[str, list[Poses]] = {}
    boxes = None if system.crop is None else AnnotatedBoxes()
    for scales, renew in dict.fromkeys((variant.scales, variant.renew) for variant in supported):
        group = [each for each in supported if (each.scales, each.renew) == (scales, renew)]
        systems = [variant.apply(system, options.size_for(system)) for variant in group]
        refined = [each for each in systems if errors and "refine" in each.options]
        systems += [with_options(each, refine=False) for each in refined]
        presented = replace(options, scales=scales, renew=renew)
        poses = predict_variants(
            systems, dataset, presented, boxes=boxes, device=device, progress=progress
        )
        for variant, final, before in zip(
            group, poses[: len(group)], poses[-len(group) :], strict=True
        ):
            evaluations[variant.name] = evaluate_poses(
                dataset, final, system.skeleton, exact=boxes is not None
            )
            unrefined[variant.name] = before
    evaluations = {variant.name: evaluations[variant.name] for variant in supported}
    rows = {name: evaluation.as_dict() for name, evaluation in evaluations.items()}
    if errors:
        for name, row in rows.items():
            row |= _errors(system, dataset, evaluations[name], unrefined[name])
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
    return VariantResults(supported, evaluations, unrefined, table)


def _errors(
    system: System, dataset: LabeledImages, evaluation: Evaluation, unrefined: Sequence[Poses]
) -> dict[str, float]:
    classified = classify_localization(evaluation.comparison)
    rates = association_errors(dataset, unrefined, system.skeleton).loc["all", list(ASSOCIATION)]
    fractions = error_rates(classified).loc["all", list(LOCALIZATION)] / 100
    measured = pd.concat([rates, fractions]).astype(float)
    return dict(zip((*ASSOCIATION, *LOCALIZATION), measured.to_numpy(), strict=True))


def evaluate_decoders(
    systems: Mapping[str, System],
    dataset: LabeledImages,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
    explain: bool = True,
) -> dict[str, Evaluation]:
    """Evaluate systems that share one network, which runs once per image.

    Those of one person are shown the annotated boxes.

    Args:
        systems: by name; they differ in their decoding alone.
        options, device, progress, explain: as in ``evaluate``.

    Raises:
        ValueError: the dataset has no annotations, before prediction; or as ``predict_variants``.
    """
    dataset.annotations()  # refused before the network runs on all images
    decoders = list(systems.values())
    boxes = None if decoders[0].crop is None else AnnotatedBoxes()
    poses = predict_variants(
        decoders, dataset, options, boxes=boxes, device=device, progress=progress
    )
    exact = boxes is not None
    return {
        name: evaluate_poses(dataset, detections, system.skeleton, exact=exact, explain=explain)
        for (name, system), detections in zip(systems.items(), poses, strict=True)
    }


@dataclass(frozen=True)
class Comparison:
    """Detections of one or two systems, or decodings of one, in the same images.

    Attributes:
        totals: one row per system, by its name: ``AP``, ``AP50``, ``AP75`` and ``AR`` of its
            evaluation; of the detections compared ``detections``, how many there are, and ``OKS``,
            the mean over annotated people; of two systems also ``better``, the number of images in
            which its OKS is higher.
        poses: the detections of each image by the name of the system, px of the image files.
        images: one row per image with annotated people, by its index in the dataset: ``people``
            and, under the name of each system, the mean OKS of the image as in ``rank_images``.
    """

    totals: pd.DataFrame
    poses: dict[str, list[Poses]]
    images: pd.DataFrame

    @property
    def gain(self) -> pd.Series:
        """OKS of the second system minus that of the first, by image, in ascending order."""
        first, second = self.poses
        return (self.images[second] - self.images[first]).sort_values(kind="stable")

    def as_table(self) -> pd.DataFrame:
        """Return one row for all images, with each system's AP, and one row per image."""
        everyone = pd.DataFrame(
            {"people": self.images["people"].sum(), **self.totals["OKS"]}, ["all"]
        )
        table = pd.concat([everyone, self.images])
        if len(self.poses) == 2:
            first, second = self.poses
            table["gain"] = table[second] - table[first]
        for name, ap in self.totals["AP"].items():
            table.loc["all", f"AP {name}"] = ap
        table = table.rename(columns={name: f"OKS {name}" for name in self.poses})
        return table.rename_axis("image").reset_index()


def compare_detections(
    dataset: SampleSource,
    evaluations: Mapping[str, Evaluation],
    skeleton: Skeleton,
    *,
    poses: Mapping[str, Sequence[Poses]] | None = None,
    min_score: float = 0.0,
) -> Comparison:
    """Compare the detections of two systems, or of two decodings of one, image by image.

    Args:
        evaluations: on this dataset, by the name of the system; of a single one there are no gains.
        poses: detections to compare instead of the evaluations' own, such as
            ``VariantResults.unrefined``; px of the image files.
        min_score: detections with a lower person score count for AP alone.

    Raises:
        ValueError: there is no evaluation or more than two, or a number of poses is not that of
            the images.
    """
    if not 1 <= len(evaluations) <= 2:
        raise ValueError(f"one or two evaluations can be compared, not {len(evaluations)}")
    compared = poses or {name: each.poses for name, each in evaluations.items()}
    kept = {name: [each.above(min_score) for each in compared[name]] for name in evaluations}
    ranked = {
        name: rank_images(dataset, each, skeleton).set_index("index").sort_index()
        for name, each in kept.items()
    }
    people = next(iter(ranked.values()))["people"]
    images = pd.DataFrame(
        {"people": people, **{name: table["oks"] for name, table in ranked.items()}}
    )
    rows = {
        name: {
            **{metric: getattr(each.ap, metric) for metric in ("AP", "AP50", "AP75", "AR")},
            "detections": int(ranked[name]["detections"].sum()),
            "OKS": mean_oks(ranked[name]),
        }
        for name, each in evaluations.items()
    }
    totals = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    if len(evaluations) == 2:
        one, two = (images[name] for name in evaluations)
        totals["better"] = [int((one > two).sum()), int((two > one).sum())]
    return Comparison(totals, kept, images)


def comparison_panels(
    dataset: SampleSource,
    comparison: Comparison,
    selected: Mapping[str, Sequence[int]],
    skeleton: Skeleton,
) -> list[Panel]:
    """Return three panels per image: the annotated people, and the detections of both systems.

    A detection has the color of the annotated person it is matched to. All of its keypoints are
    drawn, whatever their scores.

    Args:
        selected: indices of images by the reason for their selection.
    """
    panels = []
    for reason, indices in selected.items():
        for index in indices:
            sample, oks = dataset[index], comparison.images.loc[index]
            title = f"image {index}, {reason}: {comparison.gain[index]:+.2f}"
            panels.append(Panel(sample.image, sample.keypoints, title=title))
            for name, poses in comparison.poses.items():
                drawn = replace(poses[index], scores=poses[index].found.astype(np.float32))
                partners = classify_keypoints(poses[index], sample, skeleton).partners
                title = f"{name}: OKS {oks[name]:.2f}"
                panels.append(Panel(sample.image, sample.keypoints, drawn, partners, title))
    return panels
