"""What lies in the place of a file is named by all readers."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from poselib.data.image_io import check_image, read_image
from poselib.engine.decode_maps import read_maps
from poselib.ops.file_kinds import stand_in
from poselib.ops.io import read_json
from poselib.ops.weights_io import read_stored


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return buffer.getvalue()


STAND_INS = {
    b"": "empty",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n": "a Git LFS pointer",
    b"../.git/annex/objects/SHA256E-s9--0/SHA256E-s9--0": "a git-annex pointer",
    b"  \n<!DOCTYPE html><title>Quota exceeded</title>": "a web page",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "a web page",
    gzip.compress(b"the file"): "compressed by gzip",
    tar(): "a tar archive",
}


@pytest.mark.parametrize("content", STAND_INS, ids=STAND_INS.get)
def test_every_reader_says_what_lies_there_instead(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    for read in (check_image, read_image, read_json, read_maps, read_stored):
        with pytest.raises(ValueError, match=rf"file\.png: .*{STAND_INS[content]}"):
            read(path)


def test_other_files_are_not_taken_for_those() -> None:
    for head in (b"{}", b"\x89PNG", b"PK\x03\x04", b"some text", b"[1]"):
        assert stand_in(head) == ""
