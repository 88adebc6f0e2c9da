"""What every test may use: the folders of golden arrays and of real samples."""

from __future__ import annotations

import atexit
import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples every time, and as long as each takes on a busy machine.
settings.register_profile("poselib", deadline=None, derandomize=True, database=None)
settings.load_profile("poselib")

# A shell that starts the tests in the background lets them ignore interrupts; some send themselves
# one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a process that computes; the one that hands tests to others imports nothing for it.

    Several processes share the cores, and threads that wait by spinning take them from others.
    """
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    import cv2
    import torch

    from poselib.engine.device import keep_freed_memory

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt what is imported and collected from garbage collection.

    It is a million objects that stay to the end. Looking through all of them, while they come and
    again every few seconds of tests, takes half a second each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        # Else compiled libraries report at the end all that they think has leaked.
        atexit.register(gc.unfreeze)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no process is left with one at the end.

    Those in the browser come first of all: at the end two processes would share them, and each
    would start a server.
    """
    for marker in ("notebooks", "overfit", "browser"):
        items.sort(key=lambda item: item.get_closest_marker(marker) is None)


def _place(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or ROOT / default).resolve()


def _folder(variable: str, default: str) -> Path:
    folder = _place(variable, default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set {variable} to the folder")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder of inputs and outputs of the official implementations."""
    return _folder("POSELIB_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session", params=["official", "drawn"])
def arrays_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder, and one of arrays drawn from another seed: see ``drawn_arrays``."""
    if request.param == "official":
        return _folder("POSELIB_GOLDEN", "../shared/golden")
    from tests.references.drawn_arrays import write_arrays

    folder = tmp_path_factory.mktemp("drawn")
    write_arrays(folder, seed=3)
    return folder


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """Folder of a few real images with their annotations, one folder a dataset."""
    return _folder("POSELIB_SAMPLES", "../shared/samples")


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Folder of small inputs that went wrong for others, see its README.md."""
    return _folder("POSELIB_CASES", "../shared/cases")


@pytest.fixture(scope="session")
def photographs() -> Path | None:
    """The same folder for tests that use something else where it is absent."""
    folder = _place("POSELIB_SAMPLES", "../shared/samples")
    return folder if folder.is_dir() else None


@pytest.fixture
def undrawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all weights of new networks one value: drawing them takes most of the time."""
    from torch import nn

    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: nn.init.constant_(tensor, 0.01))
