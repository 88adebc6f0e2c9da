"""What lies in a file in the place of what its name promises."""

from __future__ import annotations

from pathlib import Path

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
# Tags of the fields that may follow the first in an ONNX model: its producer, graph, operators ...
_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")  # one of them begins an MP4
_PICTURES = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"avis")  # brands of its kin
# Matroska and WebM, Windows Media, MPEG streams and Flash
_VIDEOS = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1")
VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".m4v", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".webm", ".wmv"),
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


def why_no_image(path: Path) -> str:
    """Say what a file is that no reader of images knows."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if _is_video(head):
        return f"it is a video; give it by itself, as poselib.open_video({str(path)!r})"
    what = stand_in(head)
    return f"it is {what}" if what else "its format is not known"


def _is_video(head: bytes) -> bool:
    if head[4:8] in _BOXES:
        return head[8:12] not in _PICTURES
    return head.startswith(_VIDEOS) or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")


def is_onnx(head: bytes) -> bool:
    """Whether a file that begins so is an ONNX model: its first field is the format's version."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x80 and head[2] in _ONNX_FIELDS


def stated_bytes(path: Path) -> int:
    """Return how many bytes a video file says that it has, so that one cut short can be told.

    MP4, QuickTime, AVI, Matroska and WebM say it; for any other file it is 0.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if head[4:8] in _BOXES:  # boxes, one after the other
            place = 0
            while file.seek(place) < path.stat().st_size:
                header = file.read(16)
                size = int.from_bytes(header[:4])
                size = int.from_bytes(header[8:]) if size == 1 else size
                if size == 0:  # up to the end
                    return 0
                place += max(size, 8)
            return place
    if head.startswith(b"RIFF"):
        return int.from_bytes(head[4:8], "little") + 8
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return 0
    length, place = _variable_length(head, 4)
    place += length
    if head[place : place + 4] != b"\x18\x53\x80\x67":  # the segment, which holds all else
        return 0
    length, place = _variable_length(head, place + 4)
    return place + length if length else 0


def _variable_length(data: bytes, place: int) -> tuple[int, int]:
    """Return a length of Matroska, 0 if it is not known, and the place after it."""
    width = 9 - data[place].bit_length()
    bits = 7 * width
    value = int.from_bytes(data[place : place + width]) & ((1 << bits) - 1)
    return 0 if value == (1 << bits) - 1 else value, place + width
