"""Tables in which a paper compares itself with other methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from poselib.metrics.pck import PartAP
from poselib.papers.published import published_table

Protocol = Literal["coco", "crowdpose", "mpii", "pck_torso", "pck_person", "posetrack", "hieve"]

_AP = {"AP": "AP", "AP50": "AP50", "AP75": "AP75"}
_AR = {"AR": "AR", "AR50": "AR50", "AR75": "AR75"}
_EASY = {"APE": "AP_crowd_easy", "APM": "AP_crowd_medium", "APH": "AP_crowd_hard"}
_PARTS = [part.name for part in fields(PartAP)]
_WEIGHTED = ("AP", "AP50", "AP75", "AP90")
# Names of the metrics in published tables, in their order, and in ``APResult``, ``PartAP`` or
# ``Evaluation.videos``.
METRICS: Mapping[Protocol, Mapping[str, str]] = {
    "coco": {**_AP, "APM": "AP_M", "APL": "AP_L", **_AR, "ARM": "AR_M", "ARL": "AR_L"},
    "crowdpose": {**_AP, **_EASY, **_AR},
    "mpii": {f"AP_{part}": part for part in _PARTS},
    "pck_torso": {f"PCK_{part}": f"pck_torso_{part}" for part in _PARTS},
    "pck_person": {f"PCK_{part}": f"pck_person_{part}" for part in _PARTS},
    "posetrack": {f"AP_{part}": f"posetrack_{part}" for part in _PARTS},
    "hieve": {name: f"video_{name}" for name in _WEIGHTED},
}
MAIN_METRIC: Mapping[Protocol, str] = {
    "coco": "AP",
    "crowdpose": "AP",
    "mpii": "AP_total",
    "pck_torso": "PCK_total",
    "pck_person": "PCK_total",
    "posetrack": "AP_total",
    "hieve": "AP",
}


@dataclass(frozen=True)
class ComparisonTable:
    """A table in which a paper compares itself with others, and how it is measured here.

    Attributes:
        paper: short name.
        number: as in the paper, with what tells two parts of a table apart: see ``published``.
        about: what the published numbers were obtained on, and at which size.
        dataset: name of the real dataset for ``open_dataset``; empty where its labels are not
            public. Several with spaces between are splits, whose mean is reported.
        synthetic: name of the synthetic dataset used in its place; empty if there is none.
        protocol: evaluation protocol.
    """

    paper: str
    number: str
    about: str
    dataset: str
    synthetic: str
    protocol: Protocol

    @property
    def published(self) -> pd.DataFrame:
        """The published numbers: one row per method."""
        return published_table(self.paper, self.number)

    @property
    def metrics(self) -> list[str]:
        """Columns of ``published`` that the protocol measures, in the order of the papers."""
        columns = set(self.published)
        return [name for name in METRICS[self.protocol] if name in columns]
