"""The comparison with other methods in HAE's Tables II to V, measured on what is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import Evaluated, score
from poselib.engine.predict import PredictOptions, predict_ways
from poselib.experiments.evaluation_sets import evaluation_set
from poselib.experiments.inspection import with_switches
from poselib.experiments.presets import Preset
from poselib.experiments.published import published_table

Protocol = Literal["coco", "crowdpose", "mpii"]

# The names that the published tables use for what is measured here.
_COCO = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "APM": "AP_M", "APL": "AP_L", "AR": "AR",
         "ARM": "AR_M", "ARL": "AR_L"}  # fmt: skip
_CROWD = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "APE": "AP_crowd_easy",
          "APM": "AP_crowd_medium", "APH": "AP_crowd_hard"}  # fmt: skip


@dataclass(frozen=True)
class ComparisonTable:
    """One of the paper's tables, and how it is measured here.

    Attributes:
        number: Roman, as the paper has it.
        about: what the published numbers were obtained on, and at which size.
        dataset: its name for ``open_dataset`` where its folder is at hand.
        drawn: drawn scenes to take where it is not; empty if there are none to take.
        protocol: which numbers are counted, and how.
    """

    number: str
    about: str
    dataset: str
    drawn: str
    protocol: Protocol


# The labels of COCO's test-dev are not public: nothing but drawn scenes can be measured for it.
COMPARISONS = (
    ComparisonTable("II", "COCO test-dev2017, short side 512 px", "", "synthetic", "coco"),
    ComparisonTable("III", "COCO val2017, short side 512 px", "coco", "synthetic", "coco"),
    ComparisonTable("IV", "CrowdPose test, short side 512 px", "crowdpose", "crowd", "crowdpose"),
    ComparisonTable("V", "MPII test, groups of people, 384 px", "mpii", "", "mpii"),
)


def scores_of(protocol: Protocol, found: Evaluated) -> dict[str, float]:
    """Return the numbers of a protocol under the names of the published tables, in per cent.

    Args:
        protocol: ``"coco"``, AP and AR by size; ``"crowdpose"``, AP by crowding; ``"mpii"``, AP by
            part of the body.
        found: an evaluation on images that the protocol fits.

    Raises:
        ValueError: images have no crowd index or people no head size, though the protocol needs
            them.
    """
    if protocol == "mpii":
        if found.pckh_ap is None:
            raise ValueError("protocol 'mpii' needs people together, with head sizes")
        return {f"AP_{part}": 100 * value for part, value in found.pckh_ap.as_dict().items()}
    values, names = found.ap.as_dict(), _COCO if protocol == "coco" else _CROWD
    if not set(names.values()) <= set(values):
        raise ValueError(f"protocol {protocol!r} needs images that have a crowd index")
    return {name: 100 * values[field] for name, field in names.items()}


def measured_table(
    table: ComparisonTable,
    loaded: Checkpoint,
    preset: Preset,
    folder: Path | str = "",
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> tuple[pd.DataFrame, str]:
    """Measure a checkpoint for one of the tables, with progressive decoding and in fixed order.

    Args:
        table: which one.
        loaded: the checkpoint.
        preset: says how drawn scenes look and how images are presented.
        folder: where the table's dataset lies; if empty, the drawn scenes of the preset, if it
            has any, take its place.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Returns:
        One row a way of decoding, one column a metric of the published table, in per cent, with
        ``params_m``, millions of weights; and the data and size of it all. Where there is
        nothing to measure on, no row and an empty text.

    Raises:
        FileNotFoundError, ValueError: the dataset cannot be read, or its people do not have the
            keypoints of the checkpoint.
    """
    name = table.dataset if folder else table.drawn if preset.test_scenes else ""
    if not name:
        return pd.DataFrame(), ""
    system = loaded.system
    dataset, words = evaluation_set(name, preset, folder, system.skeleton)
    size = loaded.size or preset.predict.size
    options = PredictOptions(size, preset.predict.multiple, flip=True)
    ways = {"progressive": {"progressive": True}, "fixed order": {"progressive": False}}
    systems = [with_switches(system, **switches) for switches in ways.values()]
    found = predict_ways(systems, dataset, options, device=device, progress=progress)
    network = system.switches.get("backbone") or system.switches.get("host")
    rows = {
        f"poselib, {network}, {way}": {
            "params_m": sum(p.numel() for p in system.model.parameters()) / 1e6,
            **scores_of(table.protocol, score(system, dataset, poses)),
        }
        for way, poses in zip(ways, found, strict=True)
    }
    return pd.DataFrame.from_dict(rows, orient="index"), f"{words}, network input {size} px"


def comparison_lines(
    table: ComparisonTable, measured: pd.DataFrame, measured_on: str, checkpoint: str
) -> pd.DataFrame:
    """Return published and measured numbers as lines of one long table, in columns of their own.

    Args:
        table: which one.
        measured, measured_on: from ``measured_table``.
        checkpoint: what was measured.

    Returns:
        Columns ``table``, ``row``, ``metric``, ``published``, ``published_on``, ``measured``,
        ``measured_on`` and ``checkpoint``. Every line has a number in one of the two columns and
        leaves the other columns about the other one empty.
    """
    printed = published_table("hae", table.number)
    published = _lines(table.number, printed, "published").assign(published_on=table.about)
    ours = _lines(table.number, measured, "measured")
    ours = ours.assign(measured_on=measured_on, checkpoint=checkpoint)
    columns = ["table", "row", "metric", "published", "published_on", "measured", "measured_on"]
    parts = [part for part in (published, ours) if len(part)]
    return pd.concat(parts, ignore_index=True).reindex(columns=[*columns, "checkpoint"])


def _lines(number: str, table: pd.DataFrame, name: str) -> pd.DataFrame:
    rows = [
        {"table": number, "row": row, "metric": metric, name: value}
        for row, values in table.to_dict("index").items()
        for metric, value in values.items()
        if pd.notna(value)
    ]
    return pd.DataFrame(rows, columns=["table", "row", "metric", name])
