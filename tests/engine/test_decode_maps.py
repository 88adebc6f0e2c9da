from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.benchmarks.workloads import decode_inputs
from poselib.decoders.associative import STAGES, AssociativeOptions, decode_associative
from poselib.engine.decode_maps import decode_stages, read_maps, write_poses
from poselib.structures import Poses


def arrays(length: int = 2) -> dict[str, np.ndarray]:
    """Maps of three people as they are stored: heatmaps (5, 48, 64), tags (5, 48, 64, L)."""
    outputs = decode_inputs(3, (48, 64), keypoints=5, length=length)
    tags = outputs.tags[0].permute(0, 2, 3, 1).contiguous()
    return {"heatmaps": outputs.heatmaps[0][0].numpy(), "tags": tags.numpy()}


def stored(folder: Path, content: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "maps.npz", **content)
    return folder / "maps.npz"


def assert_equal(one: Poses, other: Poses) -> None:
    for name in ("keypoints", "scores", "person_scores"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("order", ["progressive", (4, 2, 0, 1, 3)])
def test_timed_decoding_finds_what_decoding_finds(order) -> None:
    outputs, options = decode_inputs(3, (48, 64), keypoints=5, images=2), AssociativeOptions(order)
    times = decode_stages(outputs, options, repeats=3, warmup=1)
    assert len(times.poses) == 2
    for one, other in zip(times.poses, decode_associative(outputs, options), strict=True):
        assert_equal(one, other)
    for taken in (times.wall, times.cpu):
        assert taken.shape == (3, len(STAGES)) and (taken >= 0).all()


def test_medians_are_of_stages_and_of_whole_decodings(monkeypatch: pytest.MonkeyPatch) -> None:
    # Clocks that say when each stage of three decodings ends: 1 s for all, then 2 s, then 10 s.
    ticks = [0, 1, 2, 3, 4, 5, *range(5, 16, 2), *range(15, 66, 10)]
    wall, cpu = iter(ticks), iter([t / 2 for t in ticks])
    monkeypatch.setattr("time.perf_counter", lambda: float(next(wall)))
    monkeypatch.setattr("time.process_time", lambda: float(next(cpu)))
    times = decode_stages(decode_inputs(1, (16, 16), keypoints=2), repeats=3)
    monkeypatch.undo()
    assert times.medians() == {**dict.fromkeys(STAGES, 2000.0), "total": 10000.0}
    np.testing.assert_allclose(times.wall, np.array([1e3, 2e3, 1e4])[:, None].repeat(5, axis=1))
    np.testing.assert_allclose(times.cpu, times.wall / 2)


@pytest.mark.parametrize(("repeats", "warmup"), [(0, 0), (1, -1)])
def test_impossible_repeats_are_refused(repeats: int, warmup: int) -> None:
    with pytest.raises(ValueError, match=rf"{repeats}, {warmup}"):
        decode_stages(decode_inputs(1, (16, 16), keypoints=2), repeats=repeats, warmup=warmup)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_stored_maps_are_read_as_they_were(tmp_path: Path, save: Callable[..., None]) -> None:
    content = arrays()
    save(tmp_path / "maps.npz", **content, more=np.zeros(3))
    outputs = read_maps(tmp_path / "maps.npz")
    assert outputs.image_size == (48, 64) and outputs.tags.shape == (1, 5, 2, 48, 64)
    np.testing.assert_array_equal(outputs.heatmaps[0][0], content["heatmaps"])
    np.testing.assert_array_equal(outputs.tags[0].permute(0, 2, 3, 1), content["tags"])
    assert len(decode_associative(outputs)[0]) >= 3


def test_tags_of_one_channel_need_no_axis_for_it(tmp_path: Path) -> None:
    content = arrays(length=1)
    with_axis = read_maps(stored(tmp_path, content))
    without = read_maps(stored(tmp_path, {**content, "tags": content["tags"][..., 0]}))
    assert with_axis.tags.shape == (1, 5, 1, 48, 64)
    assert torch.equal(with_axis.tags, without.tags)


def test_arrays_of_any_order_in_memory_are_read(tmp_path: Path) -> None:
    content = arrays()
    fortran = {name: np.asfortranarray(array) for name, array in content.items()}
    one, other = (read_maps(stored(tmp_path, c)) for c in (content, fortran))
    assert torch.equal(one.tags, other.tags) and torch.equal(one.heatmaps[0], other.heatmaps[0])


@pytest.mark.parametrize("kind", ["f2", ">f4", "f8", "longdouble"])
def test_arrays_of_other_floating_point_types_are_converted(tmp_path: Path, kind: str) -> None:
    content = {name: array.astype(kind) for name, array in arrays().items()}
    outputs = read_maps(stored(tmp_path, content))
    assert outputs.tags.dtype == outputs.heatmaps[0].dtype == torch.float32
    np.testing.assert_array_equal(outputs.heatmaps[0][0], content["heatmaps"].astype("f4"))
    np.testing.assert_array_equal(outputs.tags[0].permute(0, 2, 3, 1), content["tags"].astype("f4"))


def bad_content() -> dict[str, tuple[dict[str, np.ndarray], str]]:
    good = arrays()
    heat, tags = good["heatmaps"], good["tags"]
    return {
        "no tags": ({"heatmaps": heat}, "no array 'tags', only ['heatmaps']"),
        "no heatmaps": ({"tags": tags, "x": tags}, "no array 'heatmaps', only ['tags', 'x']"),
        "integers": ({"heatmaps": heat, "tags": tags.astype(int)}, "tags must be floating-point"),
        "complex": ({"heatmaps": heat + 0j, "tags": tags}, "heatmaps must be floating-point"),
        "nan": (
            {"heatmaps": heat, "tags": np.where(tags > 0, np.nan, tags)},
            f"tags has {int((tags > 0).sum())} numbers that are not finite",
        ),
        "infinity": (
            {"heatmaps": np.where(heat == heat.max(), -np.inf, heat), "tags": tags},
            "heatmaps has 1 number that is not finite",
        ),
        "too large": (
            {"heatmaps": np.full(heat.shape, 1e300), "tags": tags},
            f"heatmaps has {heat.size} numbers that are not finite in float32",
        ),
        "one map": ({"heatmaps": heat[0], "tags": tags}, "heatmaps must be (K, H, W)"),
        "a batch": ({"heatmaps": heat[None], "tags": tags}, "heatmaps must be (K, H, W)"),
        "no cells": ({"heatmaps": heat[:, :0], "tags": tags}, "heatmaps must be (K, H, W)"),
        "channels first": (
            {"heatmaps": heat, "tags": tags.transpose(0, 3, 1, 2)},
            "tags must be (K, H, W, L) = (5, 48, 64, L), not (5, 2, 48, 64)",
        ),
        "no channels": ({"heatmaps": heat, "tags": tags[..., :0]}, "tags must be (K, H, W, L)"),
        "fewer tags": ({"heatmaps": heat, "tags": tags[:4]}, "not (4, 48, 64, 2)"),
        "objects": ({"heatmaps": heat, "tags": np.array([None])}, "allow_pickle"),
    }


@pytest.mark.parametrize("case", bad_content())
def test_maps_that_are_none_are_refused_by_name(tmp_path: Path, case: str) -> None:
    content, named = bad_content()[case]
    path = stored(tmp_path, content)
    with pytest.raises(ValueError) as error:
        read_maps(path)
    assert str(error.value).startswith(f"{path}: ") and named in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
def test_files_that_are_none_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "maps.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no npz file with heatmaps and tags"):
        read_maps(path)
    np.save(tmp_path / "one.npy", arrays()["heatmaps"])
    with pytest.raises(ValueError, match="no archive of arrays"):
        read_maps(tmp_path / "one.npy")
    whole = stored(tmp_path, arrays()).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"cut\.npz: no npz file"):
        read_maps(tmp_path / "cut.npz")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged\.npz: no npz file"):
        read_maps(tmp_path / "damaged.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (17 * 10**12, 1, 1)}
    )
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        for name in ("heatmaps.npy", "tags.npy"):
            archive.writestr(name, header.getvalue())
    with pytest.raises(ValueError, match=r"huge\.npz: no npz file .*Unable to allocate 61"):
        read_maps(tmp_path / "huge.npz")
    for absent in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(FileNotFoundError, match=absent.name):
            read_maps(absent)


def test_poses_are_written_whole_under_any_name(tmp_path: Path) -> None:
    (poses,) = decode_associative(decode_inputs(2, (48, 64), keypoints=5))
    path = tmp_path / "new" / "poses"
    write_poses(path, poses)
    assert [p.name for p in path.parent.iterdir()] == ["poses"]
    with np.load(path) as read:
        assert set(read.files) == {"keypoints", "scores", "person_scores"}
        assert all(array.dtype == np.float32 for array in read.values())
        assert_equal(Poses(**read), poses)
