"""Published weights by name: what each file is, where it lies, and the system that it belongs to.

``published.csv`` lists names, files and AP; the options follow from the names by the rules below,
which say what the public configurations say. The rows of mmpose follow the model index files of its
releases 0.29.0 and 1.x: the eight hexadecimal digits in a file's name begin its SHA-256. The
authors' own files lie on pages that need a browser, or in an archive.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from poselib.ops.map_coordinates import CropFrame
from poselib.ops.normalization import MEAN, STD
from poselib.structures import Size
from poselib.systems.system import OptionValue

Layout = Literal["official", "mmpose_0.x", "mmpose_1.x"]
Color = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file of published weights, and how a system is built that predicts with them.

    Attributes:
        name: by which it is loaded.
        system, options, skeleton: of ``poselib.systems.build``; the options include how its maps
            are decoded.
        file: its name.
        address: where it is downloaded from; empty if it has no address of its own.
        page: where a person finds it in that case.
        sha256: of the file, or the beginning that its name carries; empty if unknown.
        layout: whose names and order its parameters have.
        input_size: short side, px, of the images that it is shown; None if it is shown crops.
        multiple: whole images are padded to a multiple of this many px.
        maps: heatmaps in the file, if more than the skeleton's, which are the first; 0 if as many.
        license: of the file, as far as its publishers state one.
        data: what ``ap`` was measured on.
        ap: the published AP, in percent, at one scale with flip test.
        ap_scales: at several scales; None if not listed.
        setting: how ``ap`` was measured, where more than that.
        unsupported: why it cannot be loaded; empty if it can.
        mean, std: by which images are normalized, RGB in [0, 1].
    """

    name: str
    system: str
    options: Mapping[str, OptionValue]
    skeleton: str
    file: str
    address: str = ""
    page: str = ""
    sha256: str = ""
    layout: Layout
    input_size: int | None = None
    multiple: int = 64
    maps: int = 0
    license: str = "Apache-2.0"
    data: str = "COCO val2017"
    ap: float | None = None
    ap_scales: float | None = None
    setting: str = ""
    unsupported: str = ""
    mean: Color = MEAN
    std: Color = STD

    @property
    def crop(self) -> Size | None:
        """(H, W), px, of the crops of one person that it is shown; None of whole images."""
        sides = self.options.get("height"), self.options.get("width")
        return None if None in sides else (int(sides[0] or 0), int(sides[1] or 0))

    @property
    def frame(self) -> CropFrame:
        """What a cell of its maps stands for; see ``ops.map_coordinates``."""
        frames: tuple[CropFrame, ...] = ("index", "aligned")
        return next((each for each in frames if self.options.get("frame") == each), "center")


# Unbiased data processing of several people: maps are decoded at their own resolution.
_ALIGNED: Mapping[str, OptionValue] = {
    "frame": "aligned",
    "resolution": "map",
    "nms_kernel": 5,
    "subpixel": "newton",
}
_DATA = {"crowdpose": "CrowdPose test", "aic": "AI Challenger val", "coco": "COCO val2017"}
# The published associative embedding, without what HAE adds to it; pairs that are too far apart are
# assigned too, and then parted.
_CLASSICAL: Mapping[str, OptionValue] = {
    "hierarchical": False,
    "focal": False,
    "progressive": False,
    "threshold_before_assignment": False,
}
_BACKBONES = {
    **{f"simple_baseline_r{depth}": f"resnet{depth}" for depth in (50, 101, 152)},
    "vipnas_mbv3": "vipnas_mobilenetv3",
    "vipnas_r50": "vipnas_resnet50",
}


def _row(name: str, ap: str, ap_scales: str, file: str, source: str) -> PublishedWeights:
    """Return an entry of the catalog from a row of the file; ``source`` is a folder or a page."""
    words = name.split("_")
    skeleton = next(each for each in ("crowdpose", "coco", "aic") if each in words)
    official, stated = words[-1] == "official", re.search(r"[-_]([0-9a-f]{8})[-_]\d{8}\.pth$", file)
    known: dict[str, Any] = {
        "name": name,
        "skeleton": skeleton,
        "file": file,
        "page" if official else "address": source if official else source + file,
        "sha256": stated[1] if stated else "",
        "layout": "official" if official else "mmpose_1.x" if "/v1/" in source else "mmpose_0.x",
        "license": "MIT" if official else "Apache-2.0",
        "data": _DATA[skeleton],
        "ap": float(ap),
        "ap_scales": float(ap_scales) if ap_scales else None,
    }
    backbone = next((each for part, each in _BACKBONES.items() if name.startswith(part)), "")
    options: dict[str, OptionValue] = {
        "backbone": backbone or ("hrnet_w48" if "w48" in words else "hrnet_w32")
    }
    if words[-1] in ("256x192", "384x288"):
        return PublishedWeights(**known | _cropped(words, options))
    if words[0] in ("dekr", "logocap"):
        return PublishedWeights(**known | _regressed(words, options, official))
    return PublishedWeights(**known | _grouped(words, options, official))


def _cropped(words: list[str], options: dict[str, OptionValue]) -> dict[str, Any]:
    """Return what is known of heatmaps of one person; DARK and UDP are in the name."""
    large, aligned = words[-1] == "384x288", "udp" in words
    smoothed = aligned or "dark" in words
    options |= {
        "relation": "none",
        "height": 384 if large else 256,
        "width": 288 if large else 192,
        "frame": "aligned" if aligned else "index",
        "subpixel": "newton" if aligned else "taylor" if smoothed else "quarter",
        "sigma": 3.0 if large else 2.0,
        "subpixel_targets": smoothed,
    }
    if {"r152", "dark", "384x288"} <= set(words):  # of this configuration alone
        options["kernel"] = 17
    if "regress" in words:
        options["offsets"] = True
    return {
        "system": "jre",
        "options": options,
        "maps": 19 if "combine" in words else 0,
        "setting": "boxes of a person detector with an AP of 56.4",
    }


def _regressed(words: list[str], options: dict[str, OptionValue], official: bool) -> dict[str, Any]:
    """Return what is known of poses regressed from centers; mmpose's files hold a scoring net."""
    options |= {"frame": "index"}
    found: dict[str, Any] = {"system": words[0], "options": options}
    found["input_size"] = 640 if "w48" in words else 512
    if words[0] == "logocap":
        return found | {"license": "not stated"}
    crowd = "crowdpose" in words
    if official:
        options |= {"scale_decrease": 0.8} if crowd else {}
        return found | {"setting": "poses rated by a scoring net, which is a file of its own"}
    options |= {"nms_kernel": 5, "nms_distance": 0.05}
    # the mean of two limbs is their unit: the sides of the torso for COCO, a leg for CrowdPose
    options |= {"scoring": True, "scoring_unit": "left_leg" if crowd else "torso"}
    setting = (
        "the scoring net was given heatmap values; here, as its authors do, times the center's"
    )
    return found | {"multiple": 32, "setting": setting}


def _grouped(words: list[str], options: dict[str, OptionValue], official: bool) -> dict[str, Any]:
    """Return what is known of associative embedding, on whatever network."""
    host = {"higherhrnet": "higher", "hourglass": "hourglass"}.get(words[0], "plain")
    if host == "hourglass":  # mmpose's normalizes every convolution
        options = {"stack_norm": True, "stack_norm_all": True}
    order = "torso_first" if "coco" in words else "dataset"
    aligned = "udp" in words
    options |= {"host": host, **_CLASSICAL, "subpixel_targets": aligned, "order": order}
    options["max_people"] = 30 if official else None  # mmpose's ignore_too_much=False: no limit
    if aligned:
        options |= _ALIGNED
    found: dict[str, Any] = {"system": "hae", "options": options}
    found["input_size"] = 640 if "640" in words else 512
    return found


def _read() -> dict[str, PublishedWeights]:
    with Path(__file__).with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: _row(**row) for row in csv.DictReader(file)}


PUBLISHED: Mapping[str, PublishedWeights] = _read()
