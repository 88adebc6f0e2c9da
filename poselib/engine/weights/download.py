"""Downloads into a folder that is kept: resumed after a break, verified, never half a file."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

from poselib.ops.file_kinds import HEAD, stand_in

CACHE_VARIABLE = "POSELIB_CACHE"
TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # breaks in a row, without a byte in between, after which it is given up
_PAUSE = 0.5  # seconds after a break, times how many there were in a row
_BLOCK = 1 << 18


def cache_folder() -> Path:
    """Return where published weights are kept: ``POSELIB_CACHE``, or a folder of the user's cache.

    Nothing is created. Without the variable it is ``poselib`` in ``XDG_CACHE_HOME``, by default
    ``~/.cache``.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "poselib"


def download(
    address: str,
    path: Path,
    *,
    sha256: str = "",
    progress: bool = True,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a file once, and return where it lies; one that lies there is verified and used.

    What has arrived of a download that broke off is kept beside it, as ``path`` with ``.part``
    behind its name, and the next call goes on from there. Several processes may call at once: the
    first one downloads, the others wait.

    Args:
        address: of the file, http or https.
        path: of the result.
        sha256: of the file, hexadecimal, or the beginning of it; empty if unknown.
        progress: show a bar, if standard error is a terminal.
        timeout: seconds to wait for a connection or for the next bytes.

    Raises:
        FileNotFoundError: the file cannot be had; the message says why, from where, and where to
            put it by hand.
        ValueError: what came, or lies there, is another file; or the address is none of the web.
        OSError: it cannot be written.
    """
    if path.is_file():
        check_file(path, sha256)
        return path
    if not re.match(r"https?://", address):
        raise ValueError(f"{address!r} is no address of the web, from which {path} could come")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.is_file():  # another process was first
            check_file(path, sha256)
            return path
        part = _Part(path.with_name(f"{path.name}.part"), address, timeout)
        try:
            part.fetch(progress)
            check_file(part.path, sha256, address)
        except _NetworkError as error:
            raise FileNotFoundError(
                f"{address} could not be downloaded ({error}); try again, which goes on where it "
                f"stopped, or put the file at {path}"
            ) from error
        except ValueError:
            part.remove()
            raise
        os.replace(part.path, path)
        part.remove()
    return path


def check_file(path: Path, sha256: str = "", source: str = "") -> None:
    """Check that a file is the one that was published.

    Args:
        path: of the file.
        sha256: of the file, hexadecimal, or the beginning of it; empty if unknown.
        source: what a message calls it; by default its path.

    Raises:
        ValueError: it is another file; the message says what it is as far as its content tells.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and not found.startswith(sha256.lower()):
        what = stand_in(head) or f"of {path.stat().st_size} bytes"
        advice = "" if source else "; remove it to download it anew"
        raise ValueError(
            f"{source or path}: not the file that was published: {what}; its SHA-256 begins with "
            f"{found[: len(sha256)]} and not with {sha256}{advice}"
        )
    if not sha256 and (what := stand_in(head)):
        raise ValueError(f"{source or path}: not a file of weights: {what}")


class _NetworkError(Exception):
    """The server cannot be reached, refuses, or breaks off."""


@dataclass(frozen=True)
class _Part:
    """What has arrived of a file; which version that is stands in a file beside it."""

    path: Path
    address: str
    timeout: float

    @property
    def _version(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def remove(self) -> None:
        for each in (self.path, self._version):
            each.unlink(missing_ok=True)

    def fetch(self, progress: bool) -> None:
        """Fetch what is missing, over as many breaks as there are while something arrives.

        Raises:
            _NetworkError: nothing more arrives.
        """
        breaks, furthest, quiet = 0, self._size(), None if progress else True
        with tqdm(desc=self.path.stem, unit="B", unit_scale=True, disable=quiet) as bar:
            while True:
                before = self._size()
                try:
                    if self._fetch_rest(bar):
                        return
                    stated = f" of {bar.total}" if bar.total else ""
                    problem = _NetworkError(f"it broke off after {self._size()}{stated} bytes")
                except _NetworkError as error:
                    problem = error
                breaks = breaks + 1 if self._size() <= furthest else 0
                furthest = max(furthest, self._size())
                if breaks == TRIES or self._size() == before == 0:
                    raise problem
                time.sleep(_PAUSE * breaks)

    def _fetch_rest(self, bar: tqdm) -> bool:
        """Append what a server sends of the rest; return whether that is all of it."""
        start, version = self._size(), ""
        headers = {"User-Agent": "poselib", "Accept-Encoding": "identity"}
        if start and self._version.is_file():
            version = self._version.read_text(encoding="latin-1")
        if version and version.isprintable():
            # a server that has another version now sends all of it
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        with self._open(headers) as response:
            total, first = _extent(response)
            if first and first != start:
                self.remove()
                raise _NetworkError(f"it was asked for bytes from {start} and sends from {first}")
            if not first:
                self._begin(response)
            bar.total, bar.n = total, first
            bar.refresh()
            with self.path.open("ab") as file:
                while block := _read(response):
                    file.write(block)
                    bar.update(len(block))
        return total is None or self._size() >= total

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            response = urlopen(Request(self.address, headers=headers), timeout=self.timeout)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()
                if error.code == 416:  # what is there is no part of the file
                    self.remove()
            raise _network_error(error) from error
        return cast(http.client.HTTPResponse, response)

    def _begin(self, response: http.client.HTTPResponse) -> None:
        """Forget what is there, and note which version comes now."""
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        self.remove()
        # a weak tag does not tell whether bytes are the same
        version = modified if etag.startswith("W/") or not etag else etag
        self._version.write_text(version, encoding="latin-1")


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the next bytes; none at the end, or where a server breaks off."""
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _network_error(error) from error


def _network_error(error: Exception) -> _NetworkError:
    reason = getattr(error, "reason", None) or error
    text = "".join(c if c.isprintable() else " " for c in str(reason))  # servers' own words too
    return _NetworkError(textwrap.shorten(text, 300) or type(error).__name__)


def _extent(response: http.client.HTTPResponse) -> tuple[int | None, int]:
    """Return how many bytes the file has, if that is stated, and the first that comes."""
    stated = response.headers.get("Content-Range", "")
    if response.status == 206 and (found := re.match(r"bytes (\d+)-\d+/(\d+|\*)", stated)):
        return (int(found[2]) if found[2].isdigit() else None), int(found[1])
    length = response.headers.get("Content-Length", "")
    return (int(length) if length.isdigit() else None), 0
