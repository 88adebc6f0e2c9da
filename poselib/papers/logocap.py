"""LOGO-CAP: local-global contextual adaptation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from poselib.engine.variants import Variant
from poselib.papers import dekr
from poselib.papers.comparison_table import ComparisonTable
from poselib.papers.paper import Paper
from poselib.papers.preset import Options

# All that is measured in maps is half of what is published for images of 512 px: the Gaussians of
# keypoints and of centers, center regions, and the reach of a global window, whose Gaussian is
# twice as wide as those of the heatmaps then, as published. Cells stay a pixel apart: between them
# there is no more to be read. People are a third as large here (32 px, the root of the area), and
# windows have other proportions than the paper's; the study ``logocap_geometry`` keeps these.
_TINY: Options = {
    "backbone": "hrnet_tiny",
    "heatmap_width": 32,
    "offset_width": 128,
    "embedding": 16,
    "message_width": 64,
    "global_window": 49,
    "sigma": 1.0,
    "center_sigma": 1.5,
    "radius": 2.0,
    "refined_sigma": 2.0,
}
# LOGO-CAP's supplement is not at hand: the official configuration, 140 epochs of batches of 12 on
# each of an unknown number of GPUs, here one. The official code has a warm-up and does not call it.
_PUBLISHED = replace(dekr.PUBLISHED, recipe=replace(dekr.PUBLISHED.recipe, batch_size=12))

_COCO = "one scale unless the row says otherwise, sizes not given"
_OCHUMAN = "the paper's own trained on COCO, sizes not given"
_table = partial(ComparisonTable, "logocap")

LOGOCAP = Paper(
    name="logocap",
    title="LOGO-CAP",
    options={"smoke": _TINY, "demo": _TINY, "small": _TINY, "paper": {"backbone": "hrnet_w32"}},
    dataset_options={("paper", "coco"): dekr.COCO_OPTIONS},
    presets={
        ("small", "crowd"): dekr.SMALL_CROWD_REGRESSION,
        ("paper", ""): _PUBLISHED,
    },
    # Its tables have two sets of images each. OCHuman's people hide each other, as in crowds.
    tables=(
        _table("1 val", f"COCO val2017, {_COCO}", "coco", "synthetic", "coco"),
        _table("1 test-dev", f"COCO test-dev2017, {_COCO}", "", "synthetic", "coco"),
        _table("2 val", f"OCHuman val, {_OCHUMAN}", "ochuman_val", "crowd", "coco"),
        _table("2 test", f"OCHuman test, {_OCHUMAN}", "ochuman", "crowd", "coco"),
    ),
    variants=(Variant("adapted", {"adapt": True}), Variant("center-offset", {"adapt": False})),
    claim=(
        "Poses that start from centers and offsets, and are then adapted by what the image shows "
        "around each keypoint, are more precise than those of other bottom-up methods in a single "
        "forward pass: 69.6 AP on COCO val2017 with HRNet-W32, where DEKR without its scoring net "
        "has 67.2, and 38.1 AP on OCHuman's test set where DEKR has 36.5 (LOGO-CAP, Sections 4.2 "
        "and 4.3)."
    ),
    notes=(
        "AP^M and AP^L are those of medium and large people. Tables 1 and 2 each have two sets of "
        "images, which are shown one by one. The first three rows of Table 1 and of Table 2 are "
        "top-down methods, which process each detected person separately. DEKR's poses are ranked "
        "by a scoring net or, as LOGO-CAP's, are not; in Table 2 they are.\n\n"
        "All is as in the paper, but for SPM's AP^L on test-dev, printed as the fraction 0.731. "
        "Also as in the paper are Lite-HRNet's 76.2 AP^M and 92.8 AP^L on val2017, which can "
        "hardly be what they are called, since both are far above its AP of 70.4.\n\n"
        "**adapted** and **center-offset** are two decodings of the same weights at one scale, "
        "always with the mirrored image too: with local-global adaptation, and the poses it starts "
        "from, which are the center's location and the offsets there. The difference is what "
        "adaptation does to a network that was trained with it. The paper's own center-offset "
        "baseline is another network, trained without it (Table 5). OCHuman is for testing alone: "
        "the network that is tested on it is the one trained on COCO."
    ),
)
