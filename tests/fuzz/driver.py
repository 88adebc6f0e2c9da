"""Run generated inputs through the library in a process of their own and count what happens.

``make fuzz`` runs 100,000; ``make fuzz SEED=3 CASES=2000`` fewer, of another seed; and
``make fuzz SEED=3 CASES=coco:1234`` one alone, which prints everything and keeps its files.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import math
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from poselib.ops.console import out_of_memory
from tests.fuzz.corpus import Corpus, Refusals
from tests.fuzz.datasets import DATASETS
from tests.fuzz.files import FILES
from tests.fuzz.own_data import OWN_DATA
from tests.fuzz.records import RECORDS
from tests.fuzz.video_labels import VIDEOS
from tests.fuzz.weights import MARKER

CORPORA: dict[str, Corpus] = {**DATASETS, **VIDEOS, **OWN_DATA, **RECORDS, **FILES}
CLEAN = ("accepted", "refused")
OUTCOMES = (*CLEAN, "unclear", "warning", "traceback", "crash", "hang", "executed")
SECONDS = 30.0  # that one input may take
MEMORY = 3 << 30  # bytes that the inputs may take
LONGEST = 1200  # characters of a message, without the names of files
# What libpng, libjpeg and libtiff print of files that they can read; OpenCV cannot stop them.
NATIVE = re.compile(
    r"^(libpng warning: .*|Corrupt JPEG data: .*|Premature end of JPEG file|"
    r"Warning: unknown JFIF .*|Inconsistent progression sequence .*|"
    r"_?TIFF\w+: .*|tempfile\.tif: .*)?$"
)
KEPT = 200  # inputs that are not clean, in the report


class Case(NamedTuple):
    """One input: the seed, the corpus and the number say what it is."""

    corpus: str
    number: int


class Result(NamedTuple):
    """What happened with one input, and how many seconds it took."""

    case: Case
    outcome: str
    detail: str
    seconds: float


def cases(total: int) -> list[Case]:
    """Return the cases of all corpora by their shares, mixed evenly."""
    counts = {name: max(1, math.ceil(total * corpus.share)) for name, corpus in CORPORA.items()}
    found = [(n / count, Case(name, n)) for name, count in counts.items() for n in range(count)]
    return [case for _, case in sorted(found)]


def judge(error: BaseException, folder: Path) -> tuple[str, str]:
    """Return the outcome of an error, and why it is not clean."""
    if isinstance(error, Refusals):
        each = [(error.message, ""), *(judge(one, folder) for one in error.exceptions)]
        worst = max(each, key=lambda found: OUTCOMES.index(found[0]))
        return each[0] if worst[0] in CLEAN else worst
    if out_of_memory(error):
        return "refused", ""
    if not isinstance(error, ValueError | OSError):
        return "traceback", "".join(traceback.format_exception(error))
    message = str(error)
    plain = message.replace(str(folder), "")
    faults = {
        "does not name the file": str(folder) not in message,
        "is long": len(plain) > LONGEST,
        "has several lines": "\n" in plain.strip(),
        "has the address of an object": re.search(r"\b(at|object) 0x[0-9a-f]+", plain),
        "advises to load unsafely": "weights_only" in plain or "arbitrary code" in plain,
    }
    found = [fault for fault, present in faults.items() if present]
    if not found:
        return "refused", ""
    trace = "".join(traceback.format_exception(error)[-6:])
    return "unclear", f"{', '.join(found)}: {plain[:1000]}\n{trace}"


def run_case(seed: int, case: Case, folder: Path, errors: int) -> tuple[str, str]:
    """Write one input and use it; ``errors`` is the descriptor that native code complains to."""
    corpus = CORPORA[case.corpus]
    rng = np.random.default_rng([seed, zlib.crc32(case.corpus.encode()), case.number])
    marker = folder / MARKER
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corpus.write(rng, folder)
    os.ftruncate(errors, 0)
    outcome, detail = "accepted", ""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            corpus.read(folder)
        except Exception as error:
            outcome, detail = judge(error, folder)
    noise = [str(w.message) for w in heard if not issubclass(w.category, DeprecationWarning)]
    sys.stdout.flush()
    printed = os.pread(errors, 2000, 0).decode(errors="replace").splitlines()
    noise += [line for line in printed if not NATIVE.match(line)]
    unnamed = [text for text in noise if text.strip() and str(folder) not in text]
    if unnamed and outcome == "accepted":  # what is refused has been named
        outcome, detail = "warning", " | ".join(unnamed)
    if marker.exists() or Path(MARKER).exists():
        marker.unlink(missing_ok=True)
        outcome, detail = "executed", "a marker file was written"
    return outcome, detail


def work(seed: int, todo: Sequence[Case], answers: Connection, folder: Path) -> None:
    """Run cases one after another and send what happened; in a process that may die of it."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    errors = os.open(folder / "stderr", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(errors, stream)
    faulthandler.enable(errors)
    with open("/proc/self/statm") as memory:
        used = int(memory.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in todo:
        place = folder / case.corpus
        if not place.exists():
            place.mkdir()
            CORPORA[case.corpus].prepare(place)
        start = time.perf_counter()
        outcome, detail = run_case(seed, case, place, errors)
        answers.send(Result(case, outcome, detail, time.perf_counter() - start))


def supervise(seed: int, todo: Sequence[Case], folder: Path) -> Iterator[Result]:
    """Yield the result of each case; start another process when one dies or does not return."""
    forks = multiprocessing.get_context("fork")
    waiting = collections.deque(todo)
    while waiting:
        here, there = forks.Pipe(duplex=False)
        worker = forks.Process(target=work, args=(seed, tuple(waiting), there, folder / "work"))
        worker.start()
        there.close()
        try:
            while waiting:
                if not here.poll(SECONDS):
                    yield Result(waiting.popleft(), "hang", f"more than {SECONDS} s", SECONDS)
                    break
                yield here.recv()
                waiting.popleft()
        except EOFError:
            worker.join()
            said = (folder / "work" / "stderr").read_text(errors="replace")[-2000:]
            number = -(worker.exitcode or 0)
            name = signal.Signals(number).name if number > 0 else f"exit {-number}"
            yield Result(waiting.popleft(), "crash", f"{name}: {said}", 0.0)
        finally:
            worker.kill()
            worker.join()
            here.close()


def report(results: Sequence[Result], seed: int) -> dict[str, object]:
    """Return the counts by corpus and outcome, the slowest inputs, and those not clean."""
    counts = {name: dict.fromkeys(OUTCOMES, 0) for name in CORPORA}
    for result in results:
        counts[result.case.corpus][result.outcome] += 1
    unclean = [r for r in results if r.outcome not in CLEAN]
    slowest = sorted(results, key=lambda r: -r.seconds)[:5]
    return {
        "seed": seed,
        "inputs": len(results),
        "clean": not unclean,
        "counts": counts,
        "slowest": {f"{r.case.corpus}:{r.case.number}": round(r.seconds, 2) for r in slowest},
        "not clean": [
            {"case": f"{r.case.corpus}:{r.case.number}", "outcome": r.outcome, "detail": r.detail}
            for r in unclean[:KEPT]
        ],
    }


def table(counts: dict[str, dict[str, int]]) -> str:
    """Return counts as lines of text, with a last one for all."""
    total = {name: sum(row[name] for row in counts.values()) for name in OUTCOMES}
    lines = [f"{'':12}" + "".join(f"{name:>10}" for name in OUTCOMES)]
    for name, row in {**counts, "all": total}.items():
        lines.append(f"{name:12}" + "".join(f"{row[outcome]:>10}" for outcome in OUTCOMES))
    return "\n".join(lines)


def run(seed: int, todo: Sequence[Case], folder: Path, progress: bool = False) -> list[Result]:
    """Run cases in a folder of their own; print those that are not clean as they come."""
    results = []
    for result in supervise(seed, todo, folder):
        results.append(result)
        if progress and result.outcome not in CLEAN:
            line = result.detail.strip().splitlines()[-1:] or [""]
            print(f"{result.case.corpus}:{result.case.number} {result.outcome}: {line[0][:200]}")
        if progress and len(results) % 5000 == 0:
            print(f"{len(results)} of {len(todo)}", flush=True)
    return results


def main() -> int:
    """Fuzz from the command line; the exit status is 1 if anything is not clean."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.driver")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="100000", help="how many, or one such as coco:1234")
    parser.add_argument("--report", type=Path, default=Path("runs/fuzz.json"))
    options = parser.parse_args()
    name, single, number = options.cases.partition(":")
    if single:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        (result,) = run(options.seed, [Case(name, int(number))], folder)
        print(
            f"{result.outcome} in {result.seconds:.2f} s\n{result.detail}\n{folder / 'work' / name}"
        )
        return int(result.outcome not in CLEAN)
    report_path = options.report.resolve()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        results = run(options.seed, cases(int(options.cases)), Path(place), progress=True)
    content = report(results, options.seed)
    report_path.parent.mkdir(parents=True, exist_ok=True)
    report_path.write_text(json.dumps(content, indent=1) + "\n")
    print(table(content["counts"]))  # type: ignore[arg-type]
    print(f"{report_path}: {'clean' if content['clean'] else 'not clean'}")
    return int(not content["clean"])


if __name__ == "__main__":
    sys.exit(main())
