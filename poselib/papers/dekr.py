"""DEKR: disentangled keypoint regression."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from poselib.engine.variants import Variant
from poselib.papers.common_presets import SMALL_CROWD
from poselib.papers.comparison_table import ComparisonTable
from poselib.papers.hae import PUBLISHED as HAE_PUBLISHED
from poselib.papers.paper import CountedNetwork, Paper
from poselib.papers.preset import Options

# A map of 32 x 32 cells is a sixteenth of the paper's: Gaussians and center regions of published
# size would cover most of it. A branch is as wide as fits vector registers, and the only branch as
# wide as all others together. A cell near any keypoint counts fully on every map: see HAE's.
TINY: Options = {
    "backbone": "hrnet_tiny",
    "width": 8,
    "shared_width": 128,
    "heatmap_width": 32,
    "sigma": 1.0,
    "center_sigma": 1.5,
    "radius": 2.0,
    "foreground": "any",
}
# What the official code does for COCO alone: people too small to be evaluated have no center.
COCO_OPTIONS: Options = {"min_area": 32.0**2}
CROWDPOSE_OPTIONS: Options = {"scale_decrease": 0.8}

# Regression was tried with AdamW alone. Adaptive convolutions need more steps than other networks:
# DEKR had 37.4 AP after 300, 47.5 after 500.
SMALL_CROWD_REGRESSION = replace(
    SMALL_CROWD, recipe=replace(SMALL_CROWD.recipe, optimizer="adamw", learning_rate=4e-3)
)
SMALL_CROWD_ADAPTIVE = replace(
    SMALL_CROWD_REGRESSION,
    recipe=replace(SMALL_CROWD_REGRESSION.recipe, steps=500, average=0.99),
    train_scenes=4000,
)
# DEKR, Secs. 4.1 and 4.4. The paper does not say how many images a batch has: 4 GPUs of 10 in the
# official configuration.
PUBLISHED = replace(
    HAE_PUBLISHED,
    recipe=replace(
        HAE_PUBLISHED.recipe, batch_size=40, learning_rate=1e-3, milestones=(90 / 140, 120 / 140)
    ),
    epochs=140,
)
PUBLISHED_CROWDPOSE = replace(
    PUBLISHED, recipe=replace(PUBLISHED.recipe, milestones=(200 / 300, 260 / 300)), epochs=300
)

# Of multi-scale testing: DEKR, Sec. 4.1, and GRM/MFA, Sec. IV-A.
SCALES = (0.5, 1.0, 2.0)
# Poses of all scales are candidates; matching moves keypoints to peaks of the mean heatmap (DEKR,
# Table 6).
VARIANTS = (
    Variant("single scale", off=("match",)),
    Variant("multi-scale", off=("match",), scales=SCALES),
    Variant("multi-scale, matched", {"match": True}, scales=SCALES),
)
VARIANTS_NOTE = (
    "**single scale**, **multi-scale** and **multi-scale, matched** are three test variants of "
    "the same weights, always with the mirrored image too. With several scales the heatmaps "
    "are averaged, and the poses regressed at each scale are candidates; matched keypoints are "
    "moved to the nearest peak of the averaged heatmap"
)

SIZES = "the paper's own at 512 px (W32) or 640 px (W48), multi-scale at 0.5, 1 and 2"
_table = partial(ComparisonTable, "dekr")


def _network(table: str, row: str, system: str, size: int, **options: str | bool) -> CountedNetwork:
    digits = {"1": 2, "3": 1}[table]
    published = ("dekr", table, row)
    return CountedNetwork(f"Table {table}", row, system, size, options, published, digits)


NETWORKS = (
    _network("1", "Baseline", "dekr", 512, adaptive=False, separate=False),
    _network("1", "AA", "dekr", 512, separate=False),
    _network("1", "SR", "dekr", 512, adaptive=False),
    _network("1", "AA+SR", "dekr", 512),
    _network("3", "AE-HG", "hae", 512, host="hourglass"),
    _network("3", "PersonLab", "", 1401),
    _network("3", "HrHRNet", "hae", 640, backbone="hrnet_w48"),
    _network("3", "DEKR32", "dekr", 512),
    # The official configuration widens the heatmap head with the backbone.
    _network("3", "DEKR48", "dekr", 640, backbone="hrnet_w48"),
)

DEKR = Paper(
    name="dekr",
    title="DEKR",
    options={"smoke": TINY, "demo": TINY, "small": TINY, "paper": {"backbone": "hrnet_w32"}},
    dataset_options={("paper", "coco"): COCO_OPTIONS, ("paper", "crowdpose"): CROWDPOSE_OPTIONS},
    presets={
        ("small", "crowd"): SMALL_CROWD_ADAPTIVE,
        ("paper", ""): PUBLISHED,
        ("paper", "crowdpose"): PUBLISHED_CROWDPOSE,
    },
    tables=(
        _table("2", f"COCO val2017, {SIZES}", "coco", "synthetic", "coco"),
        _table("4", f"COCO test-dev2017, {SIZES}", "", "synthetic", "coco"),
        _table("7", f"CrowdPose test, {SIZES}", "crowdpose", "crowd", "crowdpose"),
    ),
    variants=VARIANTS,
    networks=NETWORKS,
    claim=(
        "Poses that are regressed directly from disentangled representations are more precise than "
        "those of bottom-up methods that detect keypoints and group them, on COCO and on "
        "CrowdPose, and testing at several scales improves them (DEKR, Sections 4.2 and 4.4)."
    ),
    notes=(
        "AP^M and AP^L are those of medium and large people in Tables 2 and 4; in Table 7 E, M and "
        "H are easy, medium and hard images by their crowd index. A star in Table 4 marks poses "
        "that are refined afterwards. What Table 2 prints for HrHRNet below AR^M and AR^L is AP^M "
        "and AP^L in other papers (HAE, Table III). The paper ranks poses by a scoring net; here "
        "one does if the checkpoint has it.\n\n"
        f"{VARIANTS_NOTE} (Table 6)."
    ),
)
