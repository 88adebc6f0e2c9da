"""Downloads from a server that breaks off, lies about lengths and serves wrong bytes."""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poselib.engine.weights import download as module
from poselib.engine.weights.download import cache_folder, check_file, download
from tests.engine.weights.servers import Behavior, serving

CONTENT = np.random.default_rng(0).bytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()
CLOSED = "http://127.0.0.1:1/weights.pth"  # nothing listens there


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "weights.pth"
    with serving(behavior := Behavior(CONTENT)) as address:
        for _ in range(2):
            assert download(address, path, sha256=HASH[:8]) == path
            assert path.read_bytes() == CONTENT
    assert behavior.requests == [""]
    assert left(path.parent) == ["weights.pth"]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    breaks=st.lists(st.integers(1, 120_000), max_size=4),
    ranges=st.booleans(),
    tag=st.sampled_from(['"one"', "", 'W/"weak"']),
)
def test_a_break_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, breaks: list[int], ranges: bool, tag: str
) -> None:
    path = tmp_path_factory.mktemp("download") / "weights.pth"
    behavior = Behavior(CONTENT, breaks=list(breaks), ranges=ranges, tag=tag)
    with serving(behavior) as address:
        download(address, path, sha256=HASH)
    assert path.read_bytes() == CONTENT
    assert left(path.parent) == ["weights.pth"]
    resumed = [asked for asked in behavior.requests if asked]
    assert bool(resumed) == (tag == '"one"' and bool(breaks))


def test_a_later_call_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    behavior = Behavior(CONTENT, breaks=[100_000, *[0] * module.TRIES])
    with serving(behavior) as address:
        with pytest.raises(FileNotFoundError, match=r"broke off after 100000 of 300000 bytes"):
            download(address, path, sha256=HASH)
        assert not path.exists()
        download(address, path, sha256=HASH)
    assert path.read_bytes() == CONTENT
    assert set(behavior.requests) == {"", "bytes=100000-"}


def test_another_version_is_not_appended(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with (
        serving(Behavior(b"old" * 50_000, breaks=[90_000, *[0] * module.TRIES])) as address,
        pytest.raises(FileNotFoundError),
    ):
        download(address, path)
    with serving(Behavior(CONTENT, tag='"two"')) as address:
        download(address, path, sha256=HASH)
    assert path.read_bytes() == CONTENT


def test_more_than_there_is_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.with_name("weights.pth.part").write_bytes(b"x" * 400_000)
    path.with_name("weights.pth.part.version").write_text('"one"')
    with serving(behavior := Behavior(CONTENT)) as address:
        download(address, path, sha256=HASH)
    assert path.read_bytes() == CONTENT
    assert behavior.requests == ["bytes=400000-", ""]


def test_a_damaged_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.with_name("weights.pth.part").write_bytes(CONTENT[:1000])
    path.with_name("weights.pth.part.version").write_bytes(b'"one"\r\nX: y\xff')
    with serving(behavior := Behavior(CONTENT)) as address:
        download(address, path, sha256=HASH)
    assert path.read_bytes() == CONTENT and behavior.requests == [""]


@pytest.mark.parametrize("lie", [-1, -100_000, 1, 50_000])
def test_a_wrong_length_leaves_no_file(tmp_path: Path, lie: int) -> None:
    path = tmp_path / "weights.pth"
    with serving(Behavior(CONTENT, length=lie)) as address:
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            download(address, path, sha256=HASH)
        assert address in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"", "empty"),
        (CONTENT[:-1] + b"?", "of 300000 bytes; its SHA-256 begins with"),
        (CONTENT[:-1], "of 299999 bytes"),
    ],
)
def test_wrong_bytes_are_refused_and_named(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "weights.pth"
    with serving(Behavior(content)) as address, pytest.raises(ValueError, match=what) as caught:
        download(address, path, sha256=HASH[:8])
    assert address in str(caught.value)
    assert left(tmp_path) == []
    path.write_bytes(content)
    with pytest.raises(ValueError, match=what) as caught:
        download(CLOSED, path, sha256=HASH[:8])
    assert str(path) in str(caught.value)
    assert "remove it" in str(caught.value)


def test_a_page_is_no_file_of_unknown_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with serving(Behavior(b"<html>")) as address, pytest.raises(ValueError, match="a web page"):
        download(address, path)
    assert left(tmp_path) == []


def test_offline_one_sentence_says_where_to_put_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError) as caught:
        download(CLOSED, path, sha256=HASH[:8])
    for part in (CLOSED, str(path), "refused"):
        assert part in str(caught.value)
    path.write_bytes(CONTENT)  # put there by hand
    assert download(CLOSED, path, sha256=HASH[:8]) == path


def test_a_server_that_refuses_or_is_silent(tmp_path: Path) -> None:
    with (
        serving(Behavior(CONTENT, status=404)) as address,
        pytest.raises(FileNotFoundError, match="Not Found"),
    ):
        download(address, tmp_path / "weights.pth")
    with (
        serving(Behavior(CONTENT, silent=5.0)) as address,
        pytest.raises(FileNotFoundError, match="timed out"),
    ):
        download(address, tmp_path / "weights.pth", timeout=0.1)


def test_what_a_server_says_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("one\ntwo\x1b[1m" + " three" * 200)

    monkeypatch.setattr(module, "urlopen", refuse)
    with pytest.raises(FileNotFoundError, match=r"\(one two \[1m three") as caught:
        download(CLOSED, tmp_path / "weights.pth")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700


def test_only_addresses_of_the_web(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(CONTENT)
    with pytest.raises(ValueError, match="no address of the web"):
        download((tmp_path / "here").as_uri(), tmp_path / "weights.pth")


def test_processes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    context = multiprocessing.get_context("fork")
    with serving(behavior := Behavior(CONTENT, breaks=[1000, 2000])) as address:
        tasks = [context.Process(target=download, args=(address, path)) for _ in range(4)]
        for each in tasks:
            each.start()
        for each in tasks:
            each.join(60)
    assert [each.exitcode for each in tasks] == [0] * 4
    assert len(behavior.requests) == 3
    check_file(path, HASH)


def test_the_cache_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POSELIB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "poselib"
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert not (tmp_path / "own").exists()
