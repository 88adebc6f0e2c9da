"""Tables and panels of measured times beside published ones, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from poselib.benchmarks.adaptation_stages import STAGES
from poselib.benchmarks.random_systems import Network
from poselib.papers.published import published_table
from poselib.wording import people_label

PUBLISHED_ON = "COCO val2017, TITAN RTX"

_METHODS = {"LOGO-CAP": "logocap", "DEKR": "dekr", "AE": "hae"}  # as Table 3 names them
_STAGE_NAMES = {
    f"{stage}_ms": stage.replace("_", " ").replace("kems", "KEMs").replace("kams", "KAMs")
    for stage in STAGES
}
_SPEED_NAMES = {
    "AP": "AP, %",
    "network_ms": "network, ms",
    "decoding_ms": "decoding, ms",
    "time_ms": "time, ms",
    "fps": "FPS",
}


def compared_networks(backbones: Sequence[str]) -> dict[str, Network]:
    """Return the networks of LOGO-CAP's Table 3 that are built here, by the names of its rows."""
    return {
        f"{method}, {name.replace('hrnet_w', 'HRNet-W')}": (system, name)
        for method, system in _METHODS.items()
        for name in backbones
    }


def adapting_networks(backbones: Sequence[str]) -> dict[str, Network]:
    """Return the networks of LOGO-CAP's Table 4, by the names of its rows."""
    return {name.replace("hrnet_w", "W"): ("logocap", name) for name in backbones}


def with_published(table: str, measured: pd.DataFrame) -> pd.DataFrame:
    """Return published, then measured rows of a LOGO-CAP table; column ``by`` says which."""
    paper = published_table("logocap", table).rename(columns={"backbone_ms": "network_ms"})
    lines = [paper.rename_axis("row").reset_index().assign(by="published")]
    return pd.concat([*lines, measured.assign(by="measured")], ignore_index=True).round(4)


def speed_columns(speed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return LOGO-CAP's Table 3, published and measured, with readable headings.

    Args:
        speed: of ``speed.time_systems``; its first setting is what is shown.
    """
    paper = published_table("logocap", "3").rename(columns=_SPEED_NAMES)
    measured = main_setting(speed).rename(columns=_SPEED_NAMES)
    return paper, measured[[name for name in _SPEED_NAMES.values() if name in measured]]


def main_setting(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first setting, by network."""
    return lines[lines["setting"] == lines["setting"].iloc[0]].set_index("row")


def summarize_speed(speed: pd.DataFrame, people: int) -> str:
    """Summarize ``speed.time_systems`` in a sentence, for its first setting."""
    main = main_setting(speed)
    times = [
        f"{row}: {line['time_ms']:.0f} ms ({line['network_ms'] / line['time_ms']:.0%} network)"
        for row, line in main.iterrows()
    ]
    setting = main["setting"].iloc[0]
    return f"one image of {people_label(people)}, {setting}, random weights: {'; '.join(times)}"


def summarize_stages(grown: pd.DataFrame) -> str:
    """Summarize ``speed.growth`` in a sentence."""
    told = []
    for line in grown.to_dict("records"):
        few, many = people_label(int(line["fewest"])), people_label(int(line["most"]))
        told.append(
            f"{line['row']}, {line['setting']}: adapting {many} takes {line['decoding']:.2f} times "
            f"as long as {few}, an image with the network {line['image']:.2f} times; of adapting "
            f"{many}, {line['overhead']:.0%} are not convolutions of message passing"
        )
    return "; ".join(told)


def stage_panels(stages: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return panels for ``plots.bars``: LOGO-CAP's Table 4, then what was measured.

    Args:
        stages: of ``speed.time_stages``.
    """
    paper = published_table("logocap", "4")
    panels = {}
    for row in (name for name in stages["row"].unique() if name in paper.index):
        some = paper[paper.index.str.startswith(row)].rename({row: "mean of COCO"})
        some.index = some.index.str.removeprefix(f"{row}, ").str.replace("persons", "people")
        network = paper.loc[row, "backbone_ms"]
        panels[f"published, {row}, TITAN RTX: besides a network of {network:.1f} ms"] = some
    for (row, setting), some in stages.groupby(["row", "setting"], sort=False):
        network = some["network_ms"].median()
        heading = f"measured, {row}, {setting}: besides a network of {network:.0f} ms"
        panels[heading] = some.set_index(some["people"].map(people_label))
    return {
        heading: some.reindex(columns=list(_STAGE_NAMES)).rename(columns=_STAGE_NAMES)
        for heading, some in panels.items()
    }


def tradeoff_panels(measured: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return panels for ``plots.timings``: LOGO-CAP's Table 3, then what was measured.

    Args:
        measured: of ``speed.speed_accuracy``, by dataset and machine; may be empty.
    """
    paper = published_table("logocap", "3").rename(columns={"time_ms": "ms"})[["ms", "AP"]]
    method = [row.partition(",")[0] for row in paper.index]
    panels = {f"published: {PUBLISHED_ON}": paper.assign(method=method)}
    panels |= {f"measured: {where}": found for where, found in measured.items()}
    return {
        heading: some.rename(index=lambda row: row.rpartition(", ")[2])
        for heading, some in panels.items()
    }


def summarize_tradeoff(measured: Mapping[str, pd.DataFrame]) -> str:
    """Summarize ``speed.speed_accuracy`` in a sentence, by dataset and machine."""
    told = [
        f"{where}: "
        + "; ".join(f"{n} AP {found.AP[n]:.1f} % at {found.ms[n]:.1f} ms" for n in found.index)
        for where, found in measured.items()
    ]
    return "; ".join(told) or "no checkpoint was given to be measured"
