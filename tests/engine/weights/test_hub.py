"""Models for Hugging Face's hub: written, and loaded from a server that answers as the hub does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
import yaml

import poselib
from poselib.engine.seed import seed_everything
from poselib.engine.weights.hub import load_from_hub, save_pretrained
from poselib.systems import System, build
from tests.engine.weights.servers import running

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def system() -> System:
    seed_everything(1)
    built = build("dekr", "crowdpose", backbone="hrnet_tiny", width=3, frame="index")
    return replace(built, input_size=64, multiple=32)


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[str]:
    """Yield the endpoint of a hub whose repository me/tiny has the files, at main and v1."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> bytes:
            known = {f"/me/tiny/resolve/{at}/": COMMIT for at in ("main", "v1", COMMIT)}
            place = next((at for at in known if self.path.startswith(at)), None)
            content = files.get(self.path.removeprefix(place or "/none"))
            if content is None:
                self.send_response(404)
                missing = "RepoNotFound" if "/me/tiny/" not in self.path else "EntryNotFound"
                self.send_header("X-Error-Code", missing)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return b""
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.wfile.write(self.answer())

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as address:
        yield address


def same(one: System, other: System) -> bool:
    weights = other.model.state_dict()
    return (one.name, one.skeleton, one.options, one.input_size, one.multiple) == (
        *(other.name, other.skeleton, other.options, other.input_size),
        other.multiple,
    ) and all(torch.equal(value, weights[key]) for key, value in one.model.state_dict().items())


def test_a_folder_is_written_and_read(system: System, tmp_path: Path) -> None:
    model = poselib.load(system)
    folder = model.save_pretrained(
        tmp_path / "mine", license="MIT", metrics={"AP": 61.5}, data="CrowdPose test"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors"]
    loaded = poselib.Predictor.from_pretrained(folder, size=96)
    assert same(loaded.system, system)
    assert loaded.options.size == 96
    assert same(poselib.load(folder).system, system)


def test_the_card_says_what_it_is(system: System, tmp_path: Path) -> None:
    origin = {"published": "dekr_w32_crowdpose", "license": "Apache-2.0", "ap": 66.3, "none": None}
    save_pretrained(
        tmp_path, system, name="tiny", provenance=origin, metrics={"AP": 61.5}, data="CrowdPose"
    )
    _, front, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "apache-2.0"
    assert facts["library_name"] == "poselib"
    assert facts["pipeline_tag"] == "keypoint-detection"
    assert facts["metrics"] == ["AP"]
    (result,) = facts["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "AP", "value": 61.5}]
    assert result["dataset"] == {"name": "CrowdPose", "type": "CrowdPose"}
    for part in ("# tiny", 'poselib.load("hf:OWNER/NAME")', "left_shoulder", "- AP on CrowdPose"):
        assert part in body
    assert "- ap: 66.3" in body and "none" not in body


def test_a_card_without_facts_claims_none(system: System, tmp_path: Path) -> None:
    save_pretrained(tmp_path, system, license="not stated")
    facts = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    assert (facts["license"], facts["license_name"]) == ("other", "not stated")
    assert not {"metrics", "model-index"} & set(facts)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="not a folder"):
        save_pretrained(tmp_path / "file", system)


def test_a_hub_is_loaded_from(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_pretrained(tmp_path / "mine", system)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with hub(files) as endpoint:
        for name in ("me/tiny", "me/tiny@v1"):
            found = load_from_hub(name, endpoint=endpoint, cache=tmp_path / "cache")
            assert same(found.system, system)
        with pytest.raises(FileNotFoundError, match="hf:me/other could not be downloaded"):
            load_from_hub("me/other", endpoint=endpoint, cache=tmp_path / "cache")
    with monkeypatch.context() as patch:  # nobody listens any more, and nobody waits
        patch.setattr("time.sleep", pytest.fail)
        found = load_from_hub("me/tiny", endpoint=endpoint, cache=tmp_path / "cache")
        assert same(found.system, system)
        with pytest.raises(FileNotFoundError, match=r"hf:me/tiny could not be .*refused"):
            load_from_hub("me/tiny", endpoint=endpoint, cache=tmp_path / "another")
    with hub({"README.md": b""}) as endpoint, pytest.raises(ValueError, match=r"no model\.safet"):
        load_from_hub("me/tiny", endpoint=endpoint, cache=tmp_path / "other")


@pytest.mark.slow
def test_the_variables_of_the_hub_have_their_effect(system: System, tmp_path: Path) -> None:
    folder = save_pretrained(tmp_path / "mine", system)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    code = (
        "import sys, poselib; print(poselib.load('hf:me/tiny').skeleton.name);"
        "slow = {'torchvision', 'torch._dynamo', 'scipy.signal'} & set(sys.modules);"
        "assert not slow, f'{slow} double the time of a start'"
    )

    def skeleton_with(**variables: str) -> str:
        places = {**os.environ, "HF_HOME": str(tmp_path / "home"), **variables}
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, env=places, capture_output=True, text=True, check=True
        ).stdout.strip()

    with hub(files) as endpoint:
        assert skeleton_with(HF_ENDPOINT=endpoint) == "crowdpose"
    assert skeleton_with(HF_HUB_OFFLINE="1") == "crowdpose"


@pytest.mark.parametrize("name", ["tiny", "me/tiny/more", "me/ti ny", "me/tiny@", ""])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="OWNER/NAME"):
        poselib.load(f"hf:{name}")
