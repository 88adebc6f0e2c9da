"""Atomic writing, JSON and JSON lines: an interrupted write leaves the old file or the new one."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from poselib.ops.io import (
    LineFollower,
    append_line,
    atomic_write,
    check_output,
    read_json,
    read_lines,
    visible_files,
    write_json,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from poselib.ops.io import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_atomic_write_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    for content in ("first", "second"):
        with atomic_write(path) as temporary:
            assert temporary.parent == path.parent, "a rename must stay on one file system"
            assert temporary.suffix == ".json", "writers choose the format by the suffix"
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, "old"])
def test_atomic_write_keeps_the_old_file_on_failure(
    tmp_path: Path, error: type[BaseException], before: str | None
) -> None:
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == (["a.txt"] if before else [])
    assert not before or path.read_text() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_atomic_write_keeps_the_old_file_when_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".txt", "." + "a" * 254, "\u5bf9" * 80, b"caf\xe9.txt"]
)
def test_atomic_write_of_names_of_any_length_and_bytes(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    check_output(path)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole" and len(list(tmp_path.iterdir())) == 1


def test_a_link_stays_and_leads_to_the_new_content(tmp_path: Path) -> None:
    link, target = tmp_path / "link.txt", tmp_path / "there" / "target.txt"
    link.symlink_to(target)
    for content in ("first", "second"):
        with atomic_write(link) as temporary:
            temporary.write_text(content)
        assert link.is_symlink() and target.read_text() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_output(pipe)
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(pipe.read_text)
        with atomic_write(pipe) as temporary:
            temporary.write_text("whole")
        assert received.result(timeout=30) == "whole"
    assert stat.S_ISFIFO(pipe.stat().st_mode) and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
def test_a_device_is_written_to_and_not_replaced() -> None:
    master, slave = os.openpty()
    device = Path(os.ttyname(slave))
    try:
        check_output(device)
        with atomic_write(device) as temporary:
            temporary.write_text("whole")
        assert os.read(master, 99) == b"whole" and stat.S_ISCHR(device.stat().st_mode)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_an_open_file_of_the_process_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        log.write("before, ")
        log.flush()
        with atomic_write(Path(f"/dev/fd/{log.fileno()}")) as temporary:
            temporary.write_text("whole")
    assert (tmp_path / "log").read_text() == "before, whole"


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent" / "too")
    for name, reason in (
        ("folder", "this is a folder"),
        ("a" * 256, "too long"),
        ("a" * 256 + "/b", "too long"),
        ("file/below/x", "file is not a folder that can be written to"),
        ("dangling/x", "dangling is not a folder that can be written to"),
    ):
        with pytest.raises(ValueError, match=reason):
            check_output(tmp_path / name)
        with pytest.raises((ValueError, OSError)), atomic_write(tmp_path / name):
            pytest.fail("the work began")
    with pytest.raises(ValueError, match="file is not a folder"):
        check_output(tmp_path / "file", folder=True)
    check_output(tmp_path / "new" / "folder", folder=True)
    assert {p.name for p in tmp_path.iterdir()} == {"folder", "file", "dangling"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a virtual file system")
def test_a_file_system_that_takes_no_files_is_refused_whoever_asks() -> None:
    with pytest.raises(ValueError, match="/proc is not a folder that can be written to"):
        check_output(Path("/proc/poses/out"), folder=True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_atomic_write_file_permissions(tmp_path: Path, usual_umask: None) -> None:
    write_json(tmp_path / "a.json", {})
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644
    assert os.umask(0o022) == 0o022, "the umask is as before"


def test_write_json_round_trip(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None], "a": "Größe"}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == content
    assert text.startswith('{\n  "b"') and text.endswith("}\n")


def test_write_json_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"key": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_append_line_and_read_lines(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log.jsonl"
    assert read_lines(path) == []
    lines = [{"step": i, "text": "two\nlines \u2028 and more"} for i in range(3)]
    for line in lines:
        append_line(path, line)
    assert read_lines(path) == lines
    assert path.read_text().count("\n") == 3


def test_append_line_failure_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_line(path, {"a": 1})
    with pytest.raises(TypeError):
        append_line(path, {"a": object()})
    assert read_lines(path) == [{"a": 1}]


def test_read_lines_skips_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n\n  \n{"a": 2}\n')
    assert read_lines(tmp_path / "log.jsonl") == [{"a": 1}, {"a": 2}]


def test_read_lines_names_a_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2: not JSON"):
        read_lines(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", r"expected an object, found \[1\]"),
        ('{"loss": 1}', "step: expected a finite number, found None"),
        ('{"step": "2"}', "step: expected a finite number, found '2'"),
        ('{"step": NaN}', "step: expected a finite number, found nan"),
    ],
)
def test_read_lines_names_a_line_that_is_none_of_a_training(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=rf"log\.jsonl, line 2: {message}"):
        read_lines(path, "step")


def test_append_line_from_several_processes(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    def write(writer: int) -> None:
        for _ in range(50):
            append_line(path, {"writer": writer, "filling": "x" * 3000})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = [line["writer"] for line in read_lines(path)]
    assert sorted(found) == sorted([*range(4)] * 50)


def test_read_json_refuses_other_than_objects(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}
    for content, reason in (
        (b"{", "not JSON"),
        (b"[1]", "not a list"),
        (b"\xff", "not JSON"),
    ):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.json.*{reason}"):
            read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")


def test_hidden_files_of_other_systems_are_not_listed(tmp_path: Path) -> None:
    for name in ("2.json", "sub/1.json", "._2.json", "sub/._1.json", ".trash/3.json", "4.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert visible_files(tmp_path, "*.json") == [tmp_path / "2.json"]
    found = [tmp_path / "2.json", tmp_path / "sub" / "1.json"]
    assert visible_files(tmp_path, "**/*.json") == found


def test_a_growing_file_is_read_line_by_line(tmp_path: Path) -> None:
    follower = LineFollower(tmp_path / "lines.jsonl")
    assert not follower.read() and follower.lines == []
    append_line(follower.path, {"step": 1})
    with follower.path.open("a") as file:
        file.write('{"step": 2')
    assert follower.read() and follower.lines == [{"step": 1}] and not follower.read()
    with follower.path.open("a") as file:
        file.write('}\n{"step": 3}\nno JSON\n{"step": 4}\n')
    with pytest.raises(ValueError, match=r"lines.jsonl: not JSON"):
        follower.read()
    assert [line["step"] for line in follower.lines] == [1, 2, 3, 4] and not follower.read()
    follower.path.write_text('{"step": 1}\n')  # a training that goes on from an earlier step
    assert follower.read() and follower.lines == [{"step": 1}]
