"""Tables in which a paper compares itself with other methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from poselib.metrics.pck import PartAP
from poselib.papers.published import published_table

Protocol = Literal["coco", "crowdpose", "mpii"]

_AP = {"AP": "AP", "AP50": "AP50", "AP75": "AP75"}
_AR = {"AR": "AR", "AR50": "AR50", "AR75": "AR75"}
_EASY = {"APE": "AP_crowd_easy", "APM": "AP_crowd_medium", "APH": "AP_crowd_hard"}
# Names of the metrics in published tables, in their order, and in ``APResult`` or ``PartAP``.
METRICS: Mapping[Protocol, Mapping[str, str]] = {
    "coco": {**_AP, "APM": "AP_M", "APL": "AP_L", **_AR, "ARM": "AR_M", "ARL": "AR_L"},
    "crowdpose": {**_AP, **_EASY, **_AR},
    "mpii": {f"AP_{part.name}": part.name for part in fields(PartAP)},
}
MAIN_METRIC: Mapping[Protocol, str] = {"coco": "AP", "crowdpose": "AP", "mpii": "AP_total"}


@dataclass(frozen=True)
class ComparisonTable:
    """A table in which a paper compares itself with others, and how it is measured here.

    Attributes:
        paper: short name.
        number: as in the paper, with what tells two parts of a table apart: see ``published``.
        about: what the published numbers were obtained on, and at which size.
        dataset: name of the real dataset for ``open_dataset``; empty where its labels are not
            public.
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
