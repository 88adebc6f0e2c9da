"""The switches with which presets build systems, by the names of both."""

from __future__ import annotations

from collections.abc import Mapping

from poselib.systems import Switch

Switches = Mapping[str, Switch]

# A network for CPUs has minutes, not days: what differs from the papers is there to be quick. Cells
# near no keypoint count a tenth, or the maps stay at zero for most of the time; push counts more
# than pull, or the tags first collapse to one value and have no gradient there to part again; the
# bends of the Gaussians are fitted (parabola), which matters where a cell is 2 of 128 px; and weak
# peaks, of which a short training leaves many, do not start people.
_TINY: Switches = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 1,
    "deconv_channels": 16,
    "stacks": 2,
    "features": 32,
    "depth": 3,
    "increase": 16,
    "stack_norm": True,
    "sigma": 2.0,
    "background": 0.1,
    "push_weight": 1e-2,
    "pull_weight": 3e-3,
    "subpixel": "parabola",
    "detection_threshold": 0.3,
}
# A map of 32 x 32 cells is a sixteenth of the paper's: Gaussians and center regions of published
# size would cover most of it. A branch is as wide as fits vector registers, and the only branch as
# wide as all others together. A cell near any keypoint counts fully on every map: see above.
_TINY_REGRESSION: Switches = {
    "backbone": "hrnet_tiny",
    "width": 8,
    "shared_width": 128,
    "heatmap_width": 32,
    "sigma": 1.0,
    "center_sigma": 1.5,
    "radius": 2.0,
    "foreground": "any",
}
_TINY_RELATED: Switches = {**_TINY_REGRESSION, "backbone": "hrnet_tiny_light"}
# People are half as large as in images of 512 px, and so is all that is measured in their maps: the
# Gaussians of keypoints and of centers, center regions, and the reach of a global window, whose
# Gaussian is twice as wide as those of the heatmaps then, as published. Places stay a pixel apart:
# between the cells there is no more to be read, and by these places a training is long.
_TINY_ADAPTED: Switches = {
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
_TINY_OF: Mapping[str, Switches] = {
    "hae": _TINY,
    "dekr": _TINY_REGRESSION,
    "grm": _TINY_RELATED,
    "logocap": _TINY_ADAPTED,
}

SWITCHES: Mapping[str, Mapping[str, Switches]] = {
    "smoke": _TINY_OF,
    "demo": _TINY_OF,
    "small": {**_TINY_OF, "hae": {**_TINY, "deconv_channels": 32}},
    "paper": {
        "hae": {"backbone": "hrnet_w32"},
        "dekr": {"backbone": "hrnet_w32"},
        "grm": {"backbone": "hrnet_w32_light"},
        "logocap": {"backbone": "hrnet_w32"},
    },
}

# What the official code does for COCO alone: people too small to be evaluated have no center.
_COCO: Switches = {"least_area": 32.0**2}
_OWN: Mapping[tuple[str, str, str], Switches] = {
    ("paper", "dekr", "coco"): _COCO,
    ("paper", "grm", "coco"): _COCO,
    ("paper", "logocap", "coco"): _COCO,
    ("paper", "dekr", "crowdpose"): {"decrease": 0.8},
    ("paper", "grm", "crowdpose"): {"decrease": 0.8},
}


def switches_named(preset: str, system: str, dataset: str) -> Switches:
    """Return the switches of a system in a preset, as they are for a dataset."""
    return {**SWITCHES[preset][system], **_OWN.get((preset, system, dataset), {})}
