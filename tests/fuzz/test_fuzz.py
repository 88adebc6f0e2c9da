"""A few hundred generated inputs, and that the driver finds what it looks for."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import driver
from tests.fuzz.corpus import Corpus, try_all
from tests.fuzz.weights import MARKER, malicious


def unclean(results: list[driver.Result]) -> list[str]:
    return [
        f"{r.case.corpus}:{r.case.number} {r.outcome}: {r.detail}"
        for r in results
        if r.outcome not in driver.CLEAN
    ]


@pytest.mark.slow
def test_inputs_are_accepted_or_refused_in_a_sentence(tmp_path: Path) -> None:
    results = driver.run(1, driver.cases(400), tmp_path)
    assert not (found := unclean(results)), "\n".join(found)
    assert {result.case.corpus for result in results} == set(driver.CORPORA)
    counts = {o: sum(r.outcome == o for r in results) for o in driver.CLEAN}
    assert min(counts.values()) > 50


def raising(error: Exception) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        raise error

    return read


def refusing(text: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        raise ValueError(text.format(folder))

    return read


OUTCOMES: dict[str, tuple[Callable[[Path], object], str]] = {
    "fine": (lambda folder: None, "accepted"),
    "named": (refusing("{}/a.json: id 3: expected a number"), "refused"),
    "one use": (lambda folder: try_all(folder, refusing("{}: no"), lambda f: None), "accepted"),
    "memory": (raising(MemoryError()), "refused"),
    "nameless": (refusing("expected a number"), "unclear"),
    "long": (refusing("{}: " + "x" * 2000), "unclear"),
    "lines": (refusing("{}: one\ntwo"), "unclear"),
    "address": (refusing("{}: <BytesIO object at 0x7f3a>"), "unclear"),
    "advice": (refusing("{}: set weights_only to False"), "unclear"),
    "partly": (lambda folder: try_all(folder, refusing("no"), lambda f: None), "unclear"),
    "type": (raising(TypeError("x")), "traceback"),
    "warning": (lambda folder: warnings.warn("overflow", RuntimeWarning, 2), "warning"),
    "named warning": (lambda folder: warnings.warn(f"{folder}: cut", UserWarning, 2), "accepted"),
    "noise": (lambda folder: os.write(2, b"libpng error"), "warning"),
    "abort": (lambda folder: os.abort(), "crash"),
    "exit": (lambda folder: os._exit(3), "crash"),
    "loop": (lambda folder: time.sleep(60), "hang"),
    "code": (lambda folder: (folder / MARKER).touch(), "executed"),
}


@pytest.mark.slow
def test_the_driver_tells_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpora = {
        name: Corpus(0.0, lambda folder: None, lambda rng, folder: None, read)
        for name, (read, _) in OUTCOMES.items()
    }
    monkeypatch.setattr(driver, "CORPORA", corpora)
    monkeypatch.setattr(driver, "SECONDS", 1.0)
    results = driver.run(0, driver.cases(2), tmp_path)
    found = {result.case.corpus: result.outcome for result in results}
    assert found == {name: outcome for name, (_, outcome) in OUTCOMES.items()}
    content = driver.report(results, 0)
    assert content["inputs"] == len(OUTCOMES) and not content["clean"]
    lines = driver.table(content["counts"]).splitlines()  # type: ignore[arg-type]
    assert lines[-1].split() == ["all", "3", "2", "6", "2", "1", "2", "1", "1"]


def test_an_input_follows_from_seed_and_number(tmp_path: Path) -> None:
    def written(seed: int, number: int) -> bytes:
        errors = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
        driver.run_case(seed, driver.Case("coco", number), tmp_path, errors)
        os.close(errors)
        return (tmp_path / "a.json").read_bytes()

    assert written(3, 5) == written(3, 5)
    assert len({written(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_malicious_pickles_do_run_where_they_are_trusted(tmp_path: Path) -> None:
    marker, executed = tmp_path / MARKER, 0
    for seed in range(40):
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            pickle.loads(malicious(np.random.default_rng(seed), tmp_path))
        executed += marker.exists()
        marker.unlink(missing_ok=True)
    assert executed > 5
