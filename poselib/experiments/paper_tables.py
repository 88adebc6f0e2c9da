"""The tables in which papers compare themselves with others, and how they test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from poselib.engine.variants import Variant
from poselib.metrics.pck import PartAP
from poselib.papers.published import published_table

Protocol = Literal["coco", "crowdpose", "mpii"]

_AP = {"AP": "AP", "AP50": "AP50", "AP75": "AP75"}
_AR = {"AR": "AR", "AR50": "AR50", "AR75": "AR75"}
_EASY = {"APE": "AP_crowd_easy", "APM": "AP_crowd_medium", "APH": "AP_crowd_hard"}
# The names that the published tables use for what is measured here, in their order, and its own.
METRICS: Mapping[Protocol, Mapping[str, str]] = {
    "coco": {**_AP, "APM": "AP_M", "APL": "AP_L", **_AR, "ARM": "AR_M", "ARL": "AR_L"},
    "crowdpose": {**_AP, **_EASY, **_AR},
    "mpii": {f"AP_{part.name}": part.name for part in fields(PartAP)},
}
# The one to tell in a word.
MAIN: Mapping[Protocol, str] = {"coco": "AP", "crowdpose": "AP", "mpii": "AP_total"}

# Of multi-scale testing: DEKR, Sec. 4.1, and GRM/MFA, Sec. IV-A.
SCALES = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class ComparisonTable:
    """A table in which a paper compares itself with others, and how it is measured here.

    Attributes:
        paper: its short name.
        number: as the paper has it, with what tells two parts of a table apart: see ``published``.
        about: what the published numbers were obtained on, and at which size.
        dataset: its name for ``open_dataset`` where its folder is at hand.
        drawn: drawn scenes to take where it is not; empty if there are none to take.
        protocol: which numbers are counted, and how.
    """

    paper: str
    number: str
    about: str
    dataset: str
    drawn: str
    protocol: Protocol

    @property
    def published(self) -> pd.DataFrame:
        """What the paper prints: a line a method."""
        return published_table(self.paper, self.number)

    @property
    def metrics(self) -> list[str]:
        """The columns of it that the protocol measures, in the order of the papers."""
        printed = set(self.published)
        return [name for name in METRICS[self.protocol] if name in printed]


_512 = "short side 512 px"
_BOTH = "the paper's own at 512 px (W32) or 640 px (W48), multi-scale at 0.5, 1 and 2"
_CROWD, _VAL = f"CrowdPose test, {_BOTH}", f"COCO val2017, {_BOTH}"
_TESTDEV = f"COCO test-dev2017, {_BOTH}"

_ONCE = "one scale unless the row says otherwise, sizes not told"
_TRAINED = "the paper's own trained on COCO, sizes not told"

# By paper. The labels of COCO's test-dev are not public: nothing but drawn scenes can be measured
# for it.
COMPARISONS: Mapping[str, tuple[ComparisonTable, ...]] = {
    "hae": (
        ComparisonTable("hae", "II", f"COCO test-dev2017, {_512}", "", "synthetic", "coco"),
        ComparisonTable("hae", "III", f"COCO val2017, {_512}", "coco", "synthetic", "coco"),
        ComparisonTable("hae", "IV", f"CrowdPose test, {_512}", "crowdpose", "crowd", "crowdpose"),
        ComparisonTable("hae", "V", "MPII test, groups of people, 384 px", "mpii", "", "mpii"),
    ),
    "dekr": (
        ComparisonTable("dekr", "2", _VAL, "coco", "synthetic", "coco"),
        ComparisonTable("dekr", "4", _TESTDEV, "", "synthetic", "coco"),
        ComparisonTable("dekr", "7", _CROWD, "crowdpose", "crowd", "crowdpose"),
    ),
    "grm": (
        ComparisonTable("grm", "II", _CROWD, "crowdpose", "crowd", "crowdpose"),
        ComparisonTable("grm", "III", _VAL, "coco", "synthetic", "coco"),
        ComparisonTable("grm", "IV", _TESTDEV, "", "synthetic", "coco"),
    ),
    # Its tables have two sets of images each. OCHuman's people hide each other, as drawn crowds do.
    "logocap": (
        ComparisonTable("logocap", "1 val", f"COCO val2017, {_ONCE}", "coco", "synthetic", "coco"),
        ComparisonTable(
            "logocap", "1 test-dev", f"COCO test-dev2017, {_ONCE}", "", "synthetic", "coco"
        ),
        ComparisonTable(
            "logocap", "2 val", f"OCHuman val, {_TRAINED}", "ochuman_val", "crowd", "coco"
        ),
        ComparisonTable(
            "logocap", "2 test", f"OCHuman test, {_TRAINED}", "ochuman", "crowd", "coco"
        ),
    ),
}


def variants_of(paper: str, scales: Sequence[float] = SCALES) -> tuple[Variant, ...]:
    """Return the ways of testing that a paper compares.

    HAE decodes progressively or in a fixed order. DEKR and GRM/MFA look at one scale or several,
    the poses of all of which are candidates; matching moves keypoints to the peaks of the mean
    heatmap (DEKR, Table 6; GRM/MFA does not tell of it). LOGO-CAP adapts the poses that centers and
    offsets give, or leaves them as they are.

    Args:
        paper: key in ``COMPARISONS``.
        scales: of multi-scale testing, where the paper has it.

    Raises:
        ValueError: the paper is unknown, or there are fewer than two ``scales``.
    """
    if paper not in COMPARISONS:
        raise ValueError(f"unknown paper {paper!r}; known: {', '.join(COMPARISONS)}")
    if paper == "hae":
        return (
            Variant("progressive", {"progressive": True}),
            Variant("fixed order", {"progressive": False}),
        )
    if paper == "logocap":
        return (
            Variant("adapted", {"adapt": True}),
            Variant("center-offset", {"adapt": False}),
        )
    if len(set(scales)) < 2:
        raise ValueError(f"multi-scale testing needs two scales or more, not {tuple(scales)}")
    return (
        Variant("single scale", off=("match",)),
        Variant("multi-scale", off=("match",), scales=tuple(scales)),
        Variant("multi-scale, matched", {"match": True}, scales=tuple(scales)),
    )
