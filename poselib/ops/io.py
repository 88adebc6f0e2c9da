"""Atomic writing of files, and JSON and JSON lines."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poselib.ops.file_kinds import HEAD, stand_in
from poselib.wording import shown

# What temporary files and folders begin with, whatever they will be called.
TEMPORARY = ".poselib."
_LONGEST_NAME = 255  # bytes, of every usual file system
_LONGEST_SUFFIX = 16


@contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path whose content becomes that of ``path`` when the block succeeds.

    A file is replaced by a rename in its own folder, so that it keeps its old content or stays
    absent if the block is interrupted. A link stays, and leads to the new content. Pipes and
    character devices are never replaced: the content is written to them.

    Args:
        path: the file.
        durable: have the disk hold the content before the name leads to it, so that a loss of
            power leaves the old or the new one too; a kill alone always does.

    Raises:
        ValueError: there is a folder, a disk or a socket of that name, or the name is too long;
            before the block is entered.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_write(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [path.name for path in folder.iterdir()]
        ['a.txt']
    """
    _check_name(path)
    stream = _is_stream(path)
    if not stream:
        path = path.resolve() if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    folder = None if stream else path.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=TEMPORARY, suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if stream:
            with temporary.open("rb") as content, path.open("ab") as target:
                shutil.copyfileobj(content, target)
            return
        # mkstemp creates files that only their owner can read.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if durable:
            sync(temporary)
        os.replace(temporary, path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file or folder; nothing is done for an absent one.

    Raises:
        OSError: the disk is full or broken.
    """
    if os.name != "posix" or not path.exists():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot be asked
            raise
    finally:
        os.close(descriptor)


def check_output(path: Path, *, folder: bool = False) -> None:
    """Check that a file can be written, or files into a folder, before work on them begins.

    Nothing is created: a folder may still be absent.

    Raises:
        ValueError: it cannot; the message names the path.
    """
    if not folder:
        _check_name(path)
        if _is_stream(path):
            return
    _check_length(path)
    inside = path.absolute() if folder else path.absolute().parent
    existing = next(p for p in (inside, *inside.parents) if os.path.lexists(p))
    try:
        # Permissions alone do not tell of read-only and virtual file systems.
        with tempfile.TemporaryFile(dir=existing, prefix=TEMPORARY):
            pass
    except OSError as error:
        raise ValueError(
            f"{path}: {existing} is not a folder that can be written to: {error.strerror}"
        ) from error


def _check_name(path: Path) -> None:
    """Raise ValueError for a name to which no file can be written."""
    _check_length(path)
    if path.is_dir():
        raise ValueError(f"{path}: this is a folder; a file is wanted")
    if path.exists() and not (path.is_file() or _is_stream(path)):
        raise ValueError(f"{path}: neither a file nor a pipe; it is not replaced")


def _check_length(path: Path) -> None:
    for part in path.parts:
        if len(os.fsencode(part)) > _LONGEST_NAME:
            shown = f"{part[:40]}... of {len(os.fsencode(part))} bytes"
            raise ValueError(f"the name {shown} is too long; {_LONGEST_NAME} are possible")


def _is_stream(path: Path) -> bool:
    """Whether writing goes to a pipe or a device, also by a name such as ``/dev/stdout``."""
    if not path.exists():
        return False
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return True
    # Open files of the process, which may be what its output was sent to.
    link = os.readlink(path) if path.is_symlink() else ""
    return any(os.path.realpath(p).startswith("/proc/") for p in (path.parent, Path(link).parent))


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write JSON atomically, indented, with a final newline."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=indent) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a JSON object; the message names the file.
    """
    content = parse_json(path.read_bytes(), str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def parse_json(content: bytes | str, name: str) -> Any:
    """Return what JSON holds; raises ValueError that names the file if it cannot be read."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError(f"{name}: not JSON that can be read: it is nested too deeply") from error
    except (ValueError, MemoryError) as error:
        what = stand_in(content[:HEAD]) if isinstance(content, bytes) else ""
        raise ValueError(f"{name}: not JSON: {what or error}") from error


def is_finite(value: object) -> bool:
    """Whether a value of JSON is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def visible_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the files below a folder that match, sorted, without hidden ones.

    Systems leave files such as ``._1.json`` beside those of a dataset.
    """
    found = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(p for p in found if not re.search(r"(^|/)\.", p.relative_to(folder).as_posix()))


def append_line(path: Path, content: Any) -> None:
    """Append one JSON line in a single write, so that a killed process leaves no partial line.

    Raises:
        OSError: it cannot be written as a whole, as on a full disk; nothing of it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(content) + "\n").encode()
    descriptor, written = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), 0
    try:
        while written < len(line):  # a full disk takes what fits, and refuses the rest
            written += os.write(descriptor, line[written:])
    except OSError:
        if written:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise
    finally:
        os.close(descriptor)


def drop_cut_line(path: Path) -> None:
    """Cut a file of lines after its last whole one, as after a loss of power; it may be absent."""
    if path.is_file():
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(path, end)


def read_lines(path: Path, wanted: str = "") -> list[dict[str, Any]]:
    """Read a file of JSON lines; return an empty list if there is no such file.

    Args:
        path: the file.
        wanted: a field that each line must have, a finite number; empty for none.

    Raises:
        ValueError: a line is no JSON object, or lacks the field; the message names the file and
            the line.
    """
    if not path.exists():
        return []
    lines = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            content = parse_json(line, where)
            if not isinstance(content, dict):
                raise ValueError(f"{where}: expected an object, found {shown(content)}")
            if wanted and not is_finite(content.get(wanted)):
                found = shown(content.get(wanted))
                raise ValueError(f"{where}: {wanted}: expected a finite number, found {found}")
            lines.append(content)
    return lines


class LineFollower:
    """Reads a file of JSON lines that grows, each line once.

    Args:
        path: the file; it may be absent still.

    Attributes:
        lines: what was read so far, oldest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._offset = 0

    def read(self) -> bool:
        """Read the lines that are new, and return whether there are any.

        A line without its end is left for the next time; a file that became shorter, as that of a
        training that goes on from an earlier step, is read anew.

        Raises:
            ValueError: a line is not JSON; the message names the file. The others are read.
        """
        if not self.path.exists():
            return False
        if self.path.stat().st_size < self._offset:
            self._offset = 0
            self.lines.clear()
        before, fault = len(self.lines), None
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        for line in whole.splitlines():
            try:
                self.lines += [parse_json(line, str(self.path))] if line.strip() else []
            except ValueError as error:
                fault = fault or error
        if fault is not None:
            raise fault
        return len(self.lines) > before
