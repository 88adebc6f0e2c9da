"""RPSTN for videos, and JRE, its relations of keypoints, for single images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from poselib.engine.inference import PredictOptions
from poselib.engine.train_config import TrainConfig
from poselib.engine.variants import Variant
from poselib.papers.common_presets import COMMON_PRESETS
from poselib.papers.comparison_table import ComparisonTable
from poselib.papers.paper import CountedNetwork, Paper
from poselib.papers.preset import Options, Preset

# A network for CPUs: maps of 16 cells in smoke and of 32 beyond it, of which the propagator makes
# kernels of 3x3 cells; cells near no keypoint count a tenth, or the maps stay at zero for most of
# a short training.
_HOST: Options = {"backbone": "hrnet_tiny", "sigma": 1.5, "background": 0.1}
_SMALL_CROP: Options = {"height": 128, "width": 128}
_SMOKE_CROP: Options = {"height": 64, "width": 64}
_VIDEO: Options = {**_HOST, "initializer_backbone": "hrnet_tiny", "channels": 32}

# RPSTN, Sec. IV: the rate falls to a tenth at epochs 8, 15, 25, 40 and 80. The number of epochs
# and of clips a batch, and the augmentation, are those of the official configuration.
_PUBLISHED = Preset(
    recipe=TrainConfig(
        batch_size=8,
        optimizer="adam",
        learning_rate=5e-4,
        weight_decay=0.0,
        schedule="steps",
        warmup=0.0,
        milestones=(0.08, 0.15, 0.25, 0.4, 0.8),
        average=0.0,
        workers=8,
        log_every=50,
        checkpoint_every=2000,
    ),
    input_size=256,
    augment={"rotation": 40.0, "scale": (0.8, 1.4), "translation": 0.0},
    predict=PredictOptions(flip=True, batch_size=8),
    epochs=100,
)
# Of the hosts: SimpleBaseline, Sec. 4.1, for COCO.
_PUBLISHED_HOST = replace(
    _PUBLISHED,
    recipe=replace(
        _PUBLISHED.recipe, batch_size=128, learning_rate=1e-3, milestones=(90 / 140, 120 / 140)
    ),
    augment={"rotation": 40.0, "scale": (0.7, 1.3), "translation": 0.0},
    pretrained="imagenet",
    epochs=140,
)
_table = partial(ComparisonTable, "rpstn")
_SUB_JHMDB = "sub_jhmdb_1 sub_jhmdb_2 sub_jhmdb_3"
_TORSO, _BOX = "PCK at 0.2 of the torso", "PCK at 0.2 of the longer side of the box"

VARIANTS = (
    Variant("state kept"),
    Variant("renewed every 5 frames", renew=5),
)


# As the official code is built, with ResNet-101 in the initializer of every row. Most numbers are
# printed without their further digits, not rounded.
_CLIP_COSTS = partial(
    CountedNetwork, system="rpstn", size=256, digits=2, tolerance=0.02, skeleton="penn_action"
)
_IMAGE_COSTS = partial(
    CountedNetwork, "Table VIII", system="jre", size=256, digits=3, tolerance=0.001
)
_BUILT: Mapping[str, Options] = {
    "RPSTN": {"official": True},
    "DKD": {"official": True, "relation": "none", "propagator_layers": 3},
}
_HOSTS: Mapping[str, Options] = {
    "SBL": {"backbone": "resnet50"},
    "HRNet-W32": {"backbone": "hrnet_w32"},
    "S-ViPNAS": {"backbone": "vipnas_resnet50"},
    "PoseFix": {"backbone": "resnet50", "refine": True},
    "UDP": {"backbone": "resnet50", "frame": "aligned"},
    "DarkPose": {"backbone": "resnet50", "subpixel": "taylor"},
}


def _networks() -> Iterator[CountedNetwork]:
    """Yield the networks whose costs the paper prints, in Tables V, IV and VIII."""
    for name, built in _BUILT.items():
        for depth in (18, 50):
            row = f"{name}, ResNet-{depth}"
            yield _CLIP_COSTS(
                "Table V",
                row,
                frames=5,
                options={**built, "backbone": f"resnet{depth}"},
                published=("rpstn", "V torso", row),
            )
    frames_of_rows = {"RPSTN": (5, 7, 10), "RPSTN-w/o-JRE": (7, 10)}
    for name, several in frames_of_rows.items():
        relation = "none" if name.endswith("JRE") else "joint"
        for frames in several:
            row = f"{name}, {frames} frames"
            yield _CLIP_COSTS(
                "Table IV",
                row,
                frames=frames,
                options={"official": True, "backbone": "resnet50", "relation": relation},
                published=("rpstn", "IV", row),
            )
    for host, options in _HOSTS.items():
        for ending, relation in (("", "none"), ("-JRE", "joint")):
            row = f"{host}{ending}"
            yield _IMAGE_COSTS(
                row,
                options={**options, "relation": relation},
                published=("rpstn", "VIII", row),
                part="refinement" if host == "PoseFix" else "",
            )


def _of_clips(name: str, dataset: str, clips: int) -> Preset:
    """Return a preset that all papers share for a batch of clips instead of single images."""
    preset = COMMON_PRESETS[name, dataset]
    return replace(preset, recipe=replace(preset.recipe, batch_size=clips))


RPSTN = Paper(
    name="rpstn",
    title="RPSTN",
    options={
        "smoke": {**_VIDEO, **_SMOKE_CROP},
        "demo": {**_VIDEO, **_SMALL_CROP},
        "small": {**_VIDEO, **_SMALL_CROP},
        # As in the official code, crops are stretched boxes of each frame.
        "paper": {"backbone": "resnet18", "margin": 1.0, "per_frame": True, "stretch": True},
    },
    presets={
        **{
            (name, dataset): _of_clips(name, dataset, clips)
            for name, clips in (("smoke", 2), ("demo", 4), ("small", 4))
            for dataset in ("clips", "clip_crowd")
        },
        ("paper", ""): _PUBLISHED,
    },
    tables=(
        _table("V person", f"Penn Action, {_BOX}", "penn_action", "clips", "pck_person"),
        _table("V torso", f"Penn Action, {_TORSO}", "penn_action", "clips", "pck_torso"),
        _table("VI person", f"Sub-JHMDB, {_BOX}", _SUB_JHMDB, "clips", "pck_person"),
        _table("VI torso", f"Sub-JHMDB, {_TORSO}", _SUB_JHMDB, "clips", "pck_torso"),
        _table("VII", "PoseTrack18 val", "posetrack18", "clip_crowd", "posetrack"),
        _table("IX", "HiEve, four videos held back", "hieve_clips", "clip_crowd", "hieve"),
    ),
    variants=VARIANTS,
    claim=(
        "Relations of joints, and the semantics of the pose that are carried from frame to frame, "
        "make joints more precise in videos than other methods do, above all occluded ones "
        "(RPSTN, Section IV-B)."
    ),
    notes=(
        "PCK counts labeled joints of every frame of every test video in image pixels; what the "
        "published code counts is another measure, `official_pck`. Sub-JHMDB's numbers are means "
        "of three splits. Boxes are those of the annotations, where the paper's Tables VII and IX "
        "have detected ones. **state kept** and "
        "**renewed every 5 frames** are two ways to test the same weights: the network carries "
        "the pose through the whole video, or starts anew as in training."
    ),
    networks=tuple(_networks()),
)
JRE = replace(
    RPSTN,
    name="jre",
    title="JRE",
    options={
        "smoke": {**_HOST, **_SMOKE_CROP},
        "demo": {**_HOST, **_SMALL_CROP},
        "small": {**_HOST, **_SMALL_CROP},
        "paper": {},
    },
    presets={
        ("paper", ""): _PUBLISHED_HOST,
    },
    tables=(),
    variants=(Variant("boxes of the annotations"),),
    claim=(
        "Relations of joints behind any network of heatmaps make it more precise on COCO "
        "(RPSTN/JRE, Table VIII)."
    ),
    notes="",
    networks=(),
)
