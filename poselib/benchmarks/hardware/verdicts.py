"""Targets of speed, and whether the measured rows meet them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Row = dict[str, Any]
Verdict = dict[str, Any]

PREDICTION = 4.0  # times the images a second of float32, from images to poses
TRAINING = 3.0  # times those of float32
DECODING = 0.1  # of the time of the network
GROWTH = 1.5  # times one person's refinement, for the most people
STREAM_MS = {1: 9.0, 32: 12.0}  # a frame, by the number of streams
AP_LOSS = 0.005  # of what is faster
_EAGER = "float32"


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Return for each target what was wanted, what was measured and whether it is met.

    ``met`` is None, and ``measured`` says what is missing, where a row is absent.
    """
    return [*_predictions(rows), *_trainings(rows), *_decodings(rows), *_others(rows)]


def _predictions(rows: Sequence[Row]) -> Iterator[Verdict]:
    """The large batch of the main system, by its fastest setup."""
    whole = _chosen(rows, task="inference", system="hae", part="end to end")
    batch = max((row["batch"] for row in whole), default=32)
    yield _ratio(
        f"HigherHRNet, batch {batch}, images to poses: images/s beside float32",
        [row for row in whole if row["batch"] == batch],
        PREDICTION,
    )


def _trainings(rows: Sequence[Row]) -> Iterator[Verdict]:
    steps = _chosen(rows, task="training")
    for system in _systems(steps) or ["hae"]:
        yield _ratio(f"training of {system}: images/s beside float32", _of(steps, system), TRAINING)


def _decodings(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Decoding of the first number of people, beside the network by its fastest setup."""
    decoded = _chosen(rows, task="decoding")
    networks = _chosen(rows, task="inference", part="network")
    for system in _systems(decoded) or ["hae"]:
        mine = _of(decoded, system)
        batch = max((row["batch"] for row in mine), default=32)
        people = min((row["people"] for row in mine), default=10)
        what = f"decoding of {system}, batch {batch}, {people} people: fraction of the network"
        times = [row["ms"] for row in mine if (row["batch"], row["people"]) == (batch, people)]
        beside = [row for row in _of(networks, system) if row["batch"] == batch]
        if not times or not beside:
            yield _unknown(what, f"at most {DECODING:.0%}", "no decoding or no network was timed")
            continue
        best = min(beside, key=lambda row: row["ms"])
        fraction = times[-1] / best["ms"]
        text = f"{fraction:.1%} ({best['setup']})"
        if eager := [row["ms"] for row in beside if row["setup"] == _EAGER]:
            text += f", {times[-1] / eager[-1]:.1%} of float32's"
        yield _verdict(what, f"at most {DECODING:.0%}", text, fraction <= DECODING)


def _others(rows: Sequence[Row]) -> Iterator[Verdict]:
    refined = {row["people"]: row["ms"] for row in _chosen(rows, task="adaptation")}
    what, wanted = "refinement: time of the most people beside one", f"at most {GROWTH:g} times"
    if 1 in refined and len(refined) > 1:
        most = max(refined)
        grown = refined[most] / refined[1]
        yield _verdict(what, wanted, f"{grown:.2f} times with {most} people", grown <= GROWTH)
    else:
        yield _unknown(what, wanted, "not timed")
    streams = _chosen(rows, task="stream", part="end to end")
    for batch, limit in STREAM_MS.items():
        what, wanted = f"stream of rpstn, batch {batch}: a frame", f"below {limit:g} ms"
        mine = [row for row in streams if row["batch"] == batch]
        if not mine:
            yield _unknown(what, wanted, "not timed")
            continue
        best = min(mine, key=lambda row: row["ms"])
        text = f"{best['ms']:.2f} ms ({best['setup']})"
        yield _verdict(what, wanted, text, best["ms"] < limit)
    values = {row["setup"]: row["AP"] for row in _chosen(rows, task="accuracy")}
    what, wanted = (
        "AP of the bundled model beside float32",
        f"at most {100 * AP_LOSS:g} points less",
    )
    lost = {name: values[_EAGER] - ap for name, ap in values.items() if _EAGER in values}
    lost.pop(_EAGER, None)
    if not lost:
        yield _unknown(what, wanted, "not measured")
        return
    worst = max(lost, key=lambda name: lost[name])
    text = f"{-100 * lost[worst]:+.2f} points ({worst})"
    yield _verdict(what, wanted, text, lost[worst] <= AP_LOSS)


def _ratio(what: str, rows: Sequence[Row], wanted: float) -> Verdict:
    said = f"at least {wanted:g} times"
    eager = [row for row in rows if row["setup"] == _EAGER]
    others = [row for row in rows if row["setup"] != _EAGER]
    if not eager or not others:
        return _unknown(what, said, "float32 or all else was not timed")
    best = max(others, key=lambda row: row["images_per_second"])
    ratio = best["images_per_second"] / eager[-1]["images_per_second"]
    return _verdict(what, said, f"{ratio:.2f} times ({best['setup']})", ratio >= wanted)


def _verdict(what: str, wanted: str, measured: str, met: bool | None) -> Verdict:
    return {"target": what, "wanted": wanted, "measured": measured, "met": met}


def _unknown(what: str, wanted: str, missing: str) -> Verdict:
    return _verdict(what, wanted, missing, None)


def _chosen(rows: Sequence[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def _of(rows: Sequence[Row], system: str) -> list[Row]:
    return _chosen(rows, system=system)


def _systems(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["system"] for row in rows))
