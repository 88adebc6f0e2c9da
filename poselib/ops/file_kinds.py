"""What lies in a file in the place of what its name promises."""

from __future__ import annotations

HEAD = 1024  # bytes that tell
_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer and not the file; run git lfs pull"),
    (b"\x1f\x8b", "compressed by gzip; unpack it first"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")


def stand_in(head: bytes) -> str:
    """Say what a file is that another was expected to be; "" if it is none of these.

    It may be a pointer of a version control system, the page of a download that failed, or the
    file itself in an archive.

    Args:
        head: the first ``HEAD`` bytes of the file, or all of a shorter one.

    Example:
        >>> stand_in(b"<!DOCTYPE html><html>Quota exceeded")
        'a web page, which a download that failed leaves; download the file again'
    """
    if not head:
        return "empty"
    if head.lstrip().lower().startswith(_PAGES):
        return "a web page, which a download that failed leaves; download the file again"
    if b"/annex/objects/" in head[:300]:
        return "a git-annex pointer and not the file; run git annex get"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    return next((what for start, what in _STARTS if head.startswith(start)), "")
