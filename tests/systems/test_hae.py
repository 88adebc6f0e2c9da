"""HAE/PAD: every ablation runs from images to poses, and each loss term is what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from poselib.decoders.associative import AssociativeOptions, decode_associative
from poselib.decoders.keypoint_order import keypoint_order
from poselib.losses.associative import (
    classical_pull,
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import PullOptions, PushOptions
from poselib.losses.heatmap import heatmap_mse
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.normalization import normalize
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.structures import AffineTransform, Batch, Poses, Targets
from poselib.systems import LossTerms, OptionValue, System, build

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"backbone": "hrnet_tiny", "deconv_blocks": 0}
HIERARCHIES = ("anatomy", "spatial_prior", "mutual_information")
TERMS = ["heatmap", "push", "pull_low", "pull_high"]


def batch_of(skeleton: Skeleton, size: int = 64, seed: int = 0) -> Batch:
    """Two noise images: three people, of whom one lacks keypoints, and nobody."""
    rng = np.random.default_rng(seed)
    keypoints = np.zeros((2, 4, len(skeleton), 3), np.float32)
    keypoints[0, :3, :, :2] = rng.uniform(4, size - 4, (3, len(skeleton), 2))
    keypoints[0, :3, :, 2] = rng.integers(1, 3, (3, len(skeleton)))
    keypoints[0, 2, ::3, 2] = 0
    ignore = torch.zeros(2, size, size, dtype=torch.bool)
    ignore[:, :8, :16] = True
    return Batch(
        images=torch.tensor(rng.integers(0, 256, (2, 3, size, size), dtype=np.uint8)),
        keypoints=torch.tensor(keypoints),
        areas=torch.tensor([[400.0, 400, 400, 0], [0, 0, 0, 0]]),
        ignore_mask=ignore,
        image_ids=(1, 2),
        to_original=(AffineTransform.identity(), AffineTransform.identity()),
    )


@cache
def system_of(skeleton: Skeleton = COCO, **options: OptionValue) -> System:
    return build("hae", skeleton, **{**QUICK, **options})


@cache
def given(host: str = "higher") -> tuple[TagOutputs, Targets]:
    """Random outputs and the targets they are compared with."""
    targets = system_of(host=host).encode(batch_of(COCO))
    rng = np.random.default_rng(2)
    heatmaps = tuple(torch.tensor(rng.random(h.shape, np.float32)) for h in targets.heatmaps)
    tags = torch.tensor(rng.standard_t(1.5, (2, 17, 1, *targets.heatmaps[0].shape[-2:]))).float()
    return TagOutputs(heatmaps, tags, targets.image_size), targets


def terms_of(host: str = "higher", **options: OptionValue) -> dict[str, float]:
    terms = system_of(host=host, **options).losses(*given(host))
    return {name: term.item() for name, term in terms.items()}


# Every ablation


# Tables VII and XI: without the hierarchical loss its groups play no part.
ABLATIONS = [
    {"hierarchical": hal, "hierarchy": hierarchy, "focal": fpl, "progressive": pad, "host": host}
    for hal, hierarchy, fpl, pad, host in product(
        (True, False), HIERARCHIES, (True, False), (True, False), ("higher", "plain")
    )
    if hal or hierarchy == "anatomy"
]


def run(system: System, batch: Batch) -> tuple[LossTerms, list[Poses]]:
    """One step of training and the decoding of what came out."""
    torch.manual_seed(0)
    outputs = system.model(normalize(batch.images))
    terms = system.losses(outputs, system.encode(batch))
    system.model.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    # A network that has learned nothing finds nobody; in noise there are many to decode.
    noise = replace(outputs, heatmaps=tuple(torch.rand_like(h) for h in outputs.heatmaps))
    return terms, [*system.decode(outputs), *system.decode(noise)]


@pytest.mark.parametrize("options", ABLATIONS, ids=lambda s: "-".join(map(str, s.values())))
def test_every_ablation_runs(options: dict[str, Any]) -> None:
    check_one_step(build("hae", COCO, **{**QUICK, **options}))


@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_other_skeleton(hierarchy: str) -> None:
    check_one_step(build("hae", CROWDPOSE, **QUICK, hierarchy=hierarchy))


@pytest.mark.parametrize(
    "options",
    [
        *({"order": order, "progressive": False} for order in ("top_down", "bottom_up")),
        *({"tie_rule": "nearest"}, {"tie_rule": "largest"}, {"max_people": 2}),
        *({"round_distance": False}, {"threshold_before_assignment": False}),
        {"progressive_unit": "keypoint"},
        *({"resolution": "map"}, {"refine": False}, {"subpixel": "parabola", "nms_kernel": 3}),
        *({"outlier_scope": "group"}, {"missing_keypoints": "rescale"}, {"per_keypoint": False}),
        *({"push_form": "hinge"}, {"subpixel_targets": False}, {"background": 0.1}),
        *(
            {"mining": "ohkm"},
            {"mining": "ohkm", "ohkm_rest": "keep"},
            {"mining": "ohkm", "hardest": 3},
        ),
        *({"focal_levels": "low"}, {"overlap": "sum"}),
        {"hierarchy": "none"},
        {"hierarchy": "whole"},
        {"deconv_blocks": 1, "deconv_channels": 8},
    ],
    ids=str,
)
def test_every_other_option_runs(options: dict[str, Any]) -> None:
    check_one_step(build("hae", COCO, **{**QUICK, **options}))


def check_one_step(system: System) -> None:
    batch = batch_of(system.skeleton)
    terms, poses = run(system, batch)
    assert list(terms) == TERMS
    assert all(t.shape == () and t.isfinite() and t >= 0 for t in terms.values())
    assert terms["heatmap"] > 0 and terms["push"] > 0
    gradients = {name: p.grad for name, p in system.model.named_parameters()}
    missing = [name for name, g in gradients.items() if g is None or not g.isfinite().all()]
    assert not missing
    assert sum(float(g.abs().sum()) for g in gradients.values() if g is not None) > 0
    assert len(poses) == 4 and len(poses[2]) > 1 and len(poses[3]) > 1
    for each in poses:
        assert each.keypoints.shape[1:] == (len(system.skeleton), 2)
        assert np.isfinite(each.keypoints).all()


@pytest.mark.parametrize(("host", "sizes"), [("higher", [16, 32]), ("plain", [16])])
def test_targets_have_the_scales_of_the_outputs(host: str, sizes: list[int]) -> None:
    system, batch = system_of(host=host), batch_of(COCO)
    outputs, targets = system.model(normalize(batch.images)), system.encode(batch)
    assert [h.shape for h in outputs.heatmaps] == [h.shape for h in targets.heatmaps]
    assert [h.shape[-1] for h in targets.heatmaps] == sizes
    assert outputs.tags.shape == (2, 17, 1, 16, 16)


# Loss terms


@pytest.mark.parametrize("host", ["higher", "plain"])
def test_terms_are_batch_means_of_the_losses(host: str) -> None:
    """HAE, Eq. (17), with the weights of the official configuration."""
    outputs, targets = given(host)
    values, visible = tags_at_keypoints(outputs.tags, targets.keypoints, targets.image_size)
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    low, high = hierarchical_pull(values, visible, groups, PullOptions(2.0, per_keypoint=True))
    apart = push_loss(masked_mean(values, visible, dim=2), visible.any(-1), PushOptions())
    maps = zip(outputs.heatmaps, targets.heatmaps, targets.masks, strict=True)
    expected = {
        "heatmap": sum(heatmap_mse(*m).mean().item() for m in maps),
        "push": 1e-3 * apart.mean().item(),
        "pull_low": 1e-3 * low.mean().item(),
        "pull_high": 1e-3 * 1.5 * high.mean().item(),
    }
    assert all(expected.values())
    assert terms_of(host) == pytest.approx(expected)


@pytest.mark.parametrize("focal", [True, False])
def test_without_the_hierarchy_the_loss_is_the_classical_one(focal: bool) -> None:
    outputs, targets = given()
    values, visible = tags_at_keypoints(outputs.tags, targets.keypoints, targets.image_size)
    pull = PullOptions(2.0 if focal else 1.0, per_keypoint=True)
    classical = classical_pull(values, visible, pull).mean().item()
    for high_weight in (1.5, 3.0):
        terms = terms_of(hierarchical=False, focal=focal, high_weight=high_weight)
        assert terms["pull_low"] == pytest.approx(1e-3 * classical)
        assert terms["pull_high"] == pytest.approx(0, abs=1e-12)
    assert terms["push"] == terms_of()["push"]


@pytest.mark.parametrize(
    ("option", "default", "changed"),
    [
        ("heatmap_weight", 1.0, {"heatmap"}),
        ("push_weight", 1e-3, {"push"}),
        ("push_factor", 1.0, {"push"}),
        ("pull_weight", 1e-3, {"pull_low", "pull_high"}),
        ("high_weight", 1.5, {"pull_high"}),
    ],
)
def test_weights_scale_their_terms(option: str, default: float, changed: set[str]) -> None:
    plain, tripled = terms_of(), terms_of(**{option: 3 * default})
    for name in TERMS:
        factor = 3 if name in changed else 1
        assert tripled[name] == pytest.approx(factor * plain[name])


def readable(parameter: object) -> str:
    """Name a test alike in every process: sets of strings print in any order."""
    return " ".join(sorted(parameter)) if isinstance(parameter, set) else str(parameter)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"background": 0.1}, {"heatmap"}),
        ({"push_sigma": 2.0}, {"push"}),
        ({"push_form": "hinge"}, {"push"}),
        ({"hierarchy": "spatial_prior"}, {"pull_low", "pull_high"}),
        ({"focal": False}, {"pull_low", "pull_high"}),
        ({"alpha": 3.0}, {"pull_low", "pull_high"}),
        ({"outlier_scope": "group"}, {"pull_low"}),
        ({"focal_levels": "low"}, {"pull_high"}),
        ({"mining": "ohkm"}, {"pull_low", "pull_high"}),
        ({"missing_keypoints": "rescale"}, {"pull_low"}),
        ({"per_keypoint": False}, {"pull_low", "pull_high"}),
        ({"progressive": False}, set()),
        ({"refine": False}, set()),
    ],
    ids=readable,
)
def test_options_change_their_terms_alone(options: dict[str, Any], changed: set[str]) -> None:
    plain, other = terms_of(), terms_of(**options)
    assert {name for name in TERMS if plain[name] != pytest.approx(other[name])} == changed


def test_focal_off_is_alpha_one() -> None:
    assert terms_of(focal=False) == terms_of(alpha=1.0)
    assert terms_of(focal=False)["pull_low"] < terms_of()["pull_low"]


def test_focal_off_is_off_whatever_is_mined() -> None:
    assert terms_of(focal=False) == terms_of(focal=False, mining="ohkm", hardest=17)


@pytest.mark.parametrize(
    "changed", [{"hardest": 5}, {"ohkm_rest": "keep"}, {"focal_levels": "low"}], ids=str
)
def test_options_of_mining(changed: dict[str, Any]) -> None:
    """Table VIII; the fences and alpha play no part where only the hardest count."""
    plain, other = terms_of(mining="ohkm"), terms_of(mining="ohkm", **changed)
    assert plain != pytest.approx(other)
    assert plain == terms_of(mining="ohkm", alpha=3.0, outlier_scope="group")
    outputs, targets = given()
    values, visible = tags_at_keypoints(outputs.tags, targets.keypoints, targets.image_size)
    pull = PullOptions(2.0, per_keypoint=True, **{"mining": "ohkm", **changed})
    groups = torch.as_tensor(COCO.group_indices("anatomy"))
    low, high = hierarchical_pull(values, visible, groups, pull)
    assert other["pull_low"] == pytest.approx(1e-3 * low.mean().item())
    assert other["pull_high"] == pytest.approx(1e-3 * 1.5 * high.mean().item())


def test_mining_of_all_keypoints_is_refused() -> None:
    with pytest.raises(ValueError, match="hardest must be less than 17 keypoints, not 17"):
        build("hae", COCO, **QUICK, mining="ohkm", hardest=17)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"subpixel_targets": False}, {"subpixel": False}),
        ({"overlap": "sum"}, {"overlap": "sum"}),
        ({"sigma": 1.0}, {"sigma": 1.0}),
    ],
)
def test_options_of_the_targets(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    batch = batch_of(COCO)
    plain = system_of().encode(batch).heatmaps
    other = system_of(**changes).encode(batch).heatmaps
    for each, default, size in zip(other, plain, ((16, 16), (32, 32)), strict=True):
        drawn = gaussian_heatmaps(batch.keypoints, (64, 64), size, **{"sigma": 2.0, **expected})
        assert torch.equal(each, drawn) and not torch.equal(each, default)


def test_pulling_per_keypoint_divides_by_their_number() -> None:
    whole, divided = terms_of(per_keypoint=False), terms_of()
    for name in ("pull_low", "pull_high"):
        assert whole[name] == pytest.approx(17 * divided[name])


def test_ignored_regions_are_not_heard() -> None:
    outputs, targets = given()
    spoilt = tuple(
        torch.where(w > 0, h, h + 100) for h, w in zip(outputs.heatmaps, targets.masks, strict=True)
    )
    losses = system_of().losses
    assert not torch.equal(spoilt[0], outputs.heatmaps[0])
    a, b = (losses(o, targets)["heatmap"] for o in (outputs, replace(outputs, heatmaps=spoilt)))
    assert torch.equal(a, b)


def test_perfect_outputs_have_no_loss_but_what_pushing_leaves() -> None:
    targets = system_of().encode(scene())
    terms = system_of().losses(truth(targets, apart=1.5), targets)
    assert terms["heatmap"] == terms["pull_low"] == terms["pull_high"] == 0
    # Eq. (7) for references 1.5 apart; the other image of the batch has nobody.
    assert terms["push"].item() == pytest.approx(1e-3 * math.exp(-(1.5**2)) / 2)


def test_half_precision_outputs_are_judged_in_full() -> None:
    outputs, targets = given()
    tags, heatmaps = outputs.tags.bfloat16(), tuple(h.bfloat16() for h in outputs.heatmaps)
    half = replace(outputs, tags=tags, heatmaps=heatmaps)
    full = replace(outputs, tags=tags.float(), heatmaps=tuple(h.float() for h in heatmaps))
    a, b = (system_of().losses(o, targets) for o in (half, full))
    assert all(a[name].dtype == torch.float32 and torch.equal(a[name], b[name]) for name in TERMS)


def test_a_batch_without_people_trains_the_heatmaps_alone() -> None:
    system, batch = system_of(), batch_of(COCO)
    nobody = replace(batch, keypoints=batch.keypoints[:, :0], areas=batch.areas[:, :0])
    terms, _ = run(system, nobody)
    assert terms["heatmap"] > 0
    assert not any(terms[name].item() for name in TERMS[1:])


# Decoding


def truth(targets: Targets, apart: float) -> TagOutputs:
    """The targets as outputs: every cell of a person's keypoints holds its number as tag."""
    batch, people, kinds, _ = targets.keypoints.shape
    height, width = targets.heatmaps[0].shape[-2:]
    tags = torch.zeros(batch, kinds, 1, height, width)
    rows = torch.arange(height)[:, None] + 0.5
    columns = torch.arange(width) + 0.5
    stride = targets.image_size[0] / height
    nearest = torch.full((batch, kinds, height, width), torch.inf)
    for b, n, k in np.ndindex(batch, people, kinds):
        x, y, labeled = targets.keypoints[b, n, k].tolist()
        if labeled > 0:
            distance = (columns - x / stride) ** 2 + (rows - y / stride) ** 2
            closer = distance < nearest[b, k]
            tags[b, k, 0][closer] = apart * n
            nearest[b, k] = torch.minimum(nearest[b, k], distance)
    return TagOutputs(targets.heatmaps, tags, targets.image_size)


def scene() -> Batch:
    """Two people side by side at 128 px, keypoints of one type far apart, one keypoint missing."""
    batch = batch_of(COCO, 128)
    rng = np.random.default_rng(5)
    keypoints = torch.zeros(2, 2, 17, 3)
    for person, left in enumerate((8, 72)):
        keypoints[0, person, :, :2] = torch.tensor(
            rng.uniform((left, 40), (left + 48, 88), (17, 2))
        )
    keypoints[0, ..., 2] = 2
    keypoints[0, 1, 9, 2] = 0
    return replace(batch, keypoints=keypoints, areas=torch.full((2, 2), 900.0))


@pytest.mark.parametrize(
    "options",
    [
        *({"progressive": True}, {"progressive": False}),
        *({"progressive": False, "order": order} for order in ("top_down", "bottom_up")),
        {"resolution": "map"},
    ],
    ids=str,
)
@pytest.mark.parametrize("host", ["higher", "plain"])
def test_targets_decode_to_the_people_they_were_made_from(
    host: str, options: dict[str, Any]
) -> None:
    system = system_of(host=host, refine=False, **options)
    batch = scene()
    found, nobody = system.decode(truth(system.encode(batch), apart=5.0))
    assert len(found) == 2 and len(nobody) == 0
    expected = batch.keypoints[0].numpy()
    order = np.argsort(found.keypoints[:, 5, 0])
    for person, keypoints, seen in zip(
        expected, found.keypoints[order], found.found[order], strict=True
    ):
        labeled = person[:, 2] > 0
        assert (seen == labeled).all()
        error = np.abs(keypoints - person[:, :2])[labeled]
        assert error.max() < (2.0 if host == "higher" else 3.0)


def test_order_of_decoding_is_an_option() -> None:
    """In noise with crowded tags each order groups in its own way."""
    outputs, _ = given()
    found: dict[str, list[Poses]] = {}
    orders: dict[str, Any] = {"progressive": "progressive"}
    orders |= {o: keypoint_order(COCO, o) for o in ("dataset", "top_down", "bottom_up")}
    for name, order in orders.items():
        chosen = {"progressive": True} if name == "progressive" else {"order": name}
        system = system_of(refine=False, **{"progressive": False, **chosen})
        found[name] = system.decode(outputs)
        options = AssociativeOptions(order=order, refine=False)
        for ours, expected in zip(found[name], decode_associative(outputs, options), strict=True):
            assert np.array_equal(ours.keypoints, expected.keypoints)
    # COCO lists its keypoints from head to toe.
    assert orders["dataset"] == orders["top_down"]
    for a, b in (("progressive", "dataset"), ("dataset", "bottom_up")):
        assert not np.array_equal(found[a][0].scores, found[b][0].scores)


def test_refinement_is_an_option() -> None:
    """A missing keypoint is looked for or not; both people keep what was found without."""
    batch = scene()
    outputs = truth(system_of().encode(batch), apart=5.0)
    without, _ = system_of(refine=False).decode(outputs)
    refined, _ = system_of().decode(outputs)
    assert len(without) == len(refined) == 2
    both = without.found
    assert both.sum() == 33
    assert np.array_equal(without.keypoints[both], refined.keypoints[both])


def test_thresholds_are_options() -> None:
    outputs = truth(system_of().encode(scene()), apart=5.0)
    assert len(system_of(detection_threshold=1.5).decode(outputs)[0]) == 0
    joined = system_of(tag_threshold=50.0, refine=False, max_candidates=1).decode(outputs)[0]
    assert len(joined) == 1, "one candidate a type, near enough: one person"
