"""GRM/MFA: global relation modeling and multi-branch feature alignment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from poselib.papers import dekr
from poselib.papers.comparison_table import ComparisonTable
from poselib.papers.paper import CountedNetwork, Paper
from poselib.papers.preset import Options

_TINY: Options = {**dekr.TINY, "backbone": "hrnet_tiny_light"}
_table = partial(ComparisonTable, "grm")

# The paper prints neither parameters nor operations; those of HRNet with the same head are DEKR's.
_ROWS: dict[str, Options] = {
    "light-weight": {"relation": False, "align": False},
    "light-weight, GRM": {"align": False},
    "light-weight, MFA": {"relation": False},
    "light-weight, GRM, MFA": {},
}
NETWORKS = tuple(
    network
    for width, size in ((32, 512), (48, 640))
    for network in (
        CountedNetwork(
            f"W{width}, {size} px",
            "HRNet (DEKR)",
            "dekr",
            size,
            {"backbone": f"hrnet_w{width}"},
            ("dekr", "3", f"DEKR{width}"),
        ),
        *(
            CountedNetwork(
                f"W{width}, {size} px",
                row,
                "grm",
                size,
                {"backbone": f"hrnet_w{width}_light", **options},
            )
            for row, options in _ROWS.items()
        ),
    )
)

GRM = Paper(
    name="grm",
    title="GRM/MFA",
    options={
        "smoke": _TINY,
        "demo": _TINY,
        "small": _TINY,
        "paper": {"backbone": "hrnet_w32_light"},
    },
    dataset_options={
        ("paper", "coco"): dekr.COCO_OPTIONS,
        ("paper", "crowdpose"): dekr.CROWDPOSE_OPTIONS,
    },
    presets={
        # Feature alignment replaces the last stage's blocks: all rows of its table have that stage
        # at random.
        ("small", "crowd"): replace(dekr.SMALL_CROWD_ADAPTIVE, pretrained_stages=3),
        # GRM/MFA, Sec. IV-A: as DEKR.
        ("paper", ""): dekr.PUBLISHED,
        ("paper", "crowdpose"): dekr.PUBLISHED_CROWDPOSE,
    },
    tables=(
        _table("II", f"CrowdPose test, {dekr.SIZES}", "crowdpose", "crowd", "crowdpose"),
        _table("III", f"COCO val2017, {dekr.SIZES}", "coco", "synthetic", "coco"),
        _table("IV", f"COCO test-dev2017, {dekr.SIZES}", "", "synthetic", "coco"),
    ),
    variants=dekr.VARIANTS,
    networks=NETWORKS,
    claim=(
        "With global relation modeling and feature alignment, a regression of poses with a lighter "
        "network is more precise than other bottom-up methods, above all in crowds (GRM/MFA, "
        "Section IV-B): 66.8 AP on CrowdPose where DEKR has 65.7, with HRNet-W32 at one scale "
        "(Table II)."
    ),
    notes=(
        "In Table II E, M and H are easy, medium and hard images by their crowd index; AP^M and "
        "AP^L are those of medium and large people in Tables III and IV. A star in Table IV marks "
        "poses that are refined afterwards. All is as in the paper: also, in Table III, the 67.1 "
        "AP^M of HRNet-W32, which is above the 65.9 of W48, and HrHRNet's AR^M and AR^L, which are "
        "AP^M and AP^L in other papers (HAE, Table III). DEKR is not among the methods of Tables "
        "III and IV; by its own Tables 2 and 4 it has an AP of 68.0 (W32) and 71.0 (W48) on COCO "
        "val2017 and of 67.3 and 70.0 on test-dev2017, at one scale.\n\n"
        f"{dekr.VARIANTS_NOTE} (DEKR, Table 6; this paper does not mention it). A network with "
        "`head=associative` has nothing to match."
    ),
)
