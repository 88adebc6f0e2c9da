"""Adaptation against the official code, and against the plain reference of one image.

Exceptions, all of them derived from the maps:

- The official code reads a place in the last column or row of a map as 0 or in part (see
  ``plain_adaptation.taps``). The plain reference with this slip equals it everywhere; poselib and
  the plain reference without it are equal everywhere, and equal to the official arrays wherever no
  place that is read lies there: for the message passing no place of any keypoint of the person.
- A keypoint whose adapted heat is not above 0 stays where it was regressed; the official code
  puts it at any place of a window of zeros.
- Of equal centers any may come first, and any of the lowest may be the last that is taken.
- Of places of equal heat, as they are many beyond the image and about its border, any may be the
  highest, and rounding decides: so it is with noise (see ``decided``). The heat found is the same.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.benchmarks.references.plain_adaptation import local_codes, local_mesh
from poselib.decoders.local_global import LocalGlobalOptions, propose_poses, refine_poses
from poselib.models.local_global import LocalGlobalHRNet
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import KeypointExpansion, local_expansion_maps
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from tests.decoders.factories import RATES, random_outputs
from tests.models.adapting import message_passing_of_functions, official_network
from tests.models.official import relative
from tests.references.plain_local_global import adapt_by_prior, decided, propose_plainly

torch.set_num_threads(1)

OFFICIAL = LocalGlobalOptions(KeypointExpansion(RATES, frame="index"))
WAYS: dict[str, dict[str, object]] = {
    "refine": {},
    "refine_partial": {"prior": "attraction"},
    "refine_none": {"adapt": False},
}


@pytest.fixture(scope="module")
def network(golden_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalGlobalHRNet:
    return official_network(golden_dir, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def arrays(golden_dir: Path) -> dict[str, np.ndarray]:
    with np.load(golden_dir / "logocap_w32.npz") as golden:
        return dict(golden)


def slips(people: CenterPoses, size: tuple[int, int], options: LocalGlobalOptions) -> Tensor:
    """Say which keypoints (n, K) are read anywhere in the last column or row of a map."""
    limit = torch.tensor([size[1], size[0]])

    def last(places: Tensor, stride: int) -> Tensor:
        return ((places >= limit - stride) & (places < limit)).any(dim=-1)

    reach = options.expansion.global_window // 2 if options.adapt else 0
    steps = torch.arange(-reach, reach + 1)
    window = last(people.points[:, :, None] + steps[:, None], 1).any(dim=2)
    mesh = last(local_expansion_maps(people, options.expansion), 4).flatten(1).any(dim=1)
    if options.adapt and options.prior != "expansion":
        window = window & torch.tensor(options.prior == "both") | mesh[:, None]
    return window


def same_order(found: Tensor, expected: np.ndarray, compared: Tensor | None = None) -> Tensor:
    """Return which of the poses found is which of those expected; each is one.

    Only the keypoints (n, K) that are ``compared`` must be equal.
    """
    apart = (found[None] - torch.from_numpy(expected)[:, None]).abs().amax(dim=3)
    if compared is not None:
        apart = torch.where(compared, apart, 0)
    best = apart.sum(dim=2).argmin(dim=1)
    assert len(best.unique()) == len(found)
    assert apart.amax(dim=2)[range(len(best)), best].max() < 1e-3
    return best


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("flip", [False, True])
def test_whole_network_equals_official_code(
    network: LocalGlobalHRNet, arrays: dict[str, np.ndarray], flip: bool
) -> None:
    images, prefix = torch.from_numpy(arrays["input"]), "flip_" * flip
    poses, scores = arrays[f"{prefix}poses"], arrays[f"{prefix}scores"]
    with torch.no_grad():
        outputs = network(images)
        if flip:
            outputs = outputs.merge_flipped(network(images.flip(-1)).flip(COCO))
        people = propose_plainly(outputs, OFFICIAL)
        points, heat = adapt_by_prior(outputs, people, OFFICIAL, slip=True)
        sure = decided(outputs, people, OFFICIAL, slip=True)
        order = same_order(points, poses[..., :2], sure)
        weighted = (heat * people.centers[:, None])[order]
        assert relative(points[order][sure[order]], poses[sure[order].numpy(), :2]) < 1e-5
        assert relative(weighted, poses[..., 2]) < 1e-5
        assert relative(weighted.mean(dim=1), scores) < 1e-5
        centers = people.centers.sort(descending=True).values
        assert relative(centers, arrays[f"{prefix}centers"][:, 2]) < 1e-5

        ours = refine_poses(outputs, people, OFFICIAL)
        sure &= decided(outputs, people, OFFICIAL)
    equals_plain(ours.people.points, ours.scores, outputs, people, OFFICIAL)
    free = (sure & ~slips(people, (128, 192), OFFICIAL) & (ours.scores > 0))[order]
    assert free.any()
    assert relative(ours.people.points[order][free], poses[free.numpy(), :2]) < 1e-5
    ours_weighted = (ours.scores * people.centers[:, None])[order]
    assert relative(torch.where(free, ours_weighted, weighted), poses[..., 2]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
def test_local_context_and_attraction_maps_equal_official_code(
    network: LocalGlobalHRNet, arrays: dict[str, np.ndarray]
) -> None:
    with torch.no_grad():
        outputs = network(torch.from_numpy(arrays["input"]))
        people = propose_plainly(outputs, OFFICIAL)
        points, _ = adapt_by_prior(outputs, people, OFFICIAL, slip=True)
        sure = decided(outputs, people, OFFICIAL, slip=True)
        people = people[same_order(points, arrays["poses"][..., :2], sure)]
        codes = local_codes(outputs, people.points, OFFICIAL.expansion, slip=True)
        mesh = local_mesh(people.points, OFFICIAL.expansion).permute(0, 2, 3, 1, 4)
        assert relative(mesh[::5], arrays["allposes_n_step5"]) < 1e-5
        assert relative(codes[:1, ::32], arrays["latent_n0_ch_step32"]) < 1e-5
        attraction = network.joints_mlp(codes)
        assert relative(attraction[::3], arrays["joints_mlp_out_step3"]) < 1e-5


@pytest.mark.golden
@pytest.mark.parametrize("flip", [False, True])
def test_proposed_poses_equal_plain_reference(
    network: LocalGlobalHRNet, arrays: dict[str, np.ndarray], flip: bool
) -> None:
    images = torch.from_numpy(arrays["input"])
    with torch.no_grad():
        outputs = network(images)
        if flip:
            outputs = outputs.merge_flipped(network(images.flip(-1)).flip(COCO))
    same_people(propose_poses(outputs, OFFICIAL), propose_plainly(outputs, OFFICIAL))


def same_people(found: CenterPoses, expected: CenterPoses) -> None:
    assert len(found) == len(expected)
    torch.testing.assert_close(*(p.centers.sort().values for p in (found, expected)))
    if len(found) == OFFICIAL.max_people:
        # Of centers as low as the last one any may be left out.
        least = expected.centers.min() + 1e-6
        found, expected = (p[p.centers > least] for p in (found, expected))
    order = same_order(found.points, expected.points.numpy())
    torch.testing.assert_close(found.points[order], expected.points)
    torch.testing.assert_close(found.centers[order], expected.centers)


def equals_plain(
    points: Tensor,
    scores: Tensor,
    outputs: LocalGlobalOutputs,
    people: CenterPoses,
    options: LocalGlobalOptions,
) -> None:
    """Compare; where rounding decides keypoints may be put elsewhere, with the same heat."""
    with torch.no_grad():
        plain, heat = adapt_by_prior(outputs, people, options)
        sure = decided(outputs, people, options)
    torch.testing.assert_close(scores, heat.clamp(min=0), rtol=1e-4, atol=1e-5)
    plain = torch.where((heat > 0)[..., None], plain, people.points)
    elsewhere = (points - plain).abs().amax(dim=2) > 1e-3
    assert not (elsewhere & sure).any() and sure.any()


def functions_outputs(golden_dir: Path, case: int) -> tuple[LocalGlobalOutputs, dict]:
    with np.load(golden_dir / "logocap_funcs.npz") as golden:
        prefix = f"d{case}_"
        of = {n.removeprefix(prefix): golden[n] for n in golden if n.startswith(prefix)}
    heat, offsets, embedding = (
        torch.from_numpy(of[f"{name}_f16"].astype(np.float32))
        for name in ("heatmap", "offset", "embedding")
    )
    outputs = LocalGlobalOutputs(
        heat[:, :-1],
        heat[:, -1:],
        offsets.unflatten(1, (-1, 2)),
        (96, 144),
        embedding=embedding,
        attraction_network=message_passing_of_functions(golden_dir),
    )
    return outputs, of


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", range(3))
def test_each_prior_equals_official_code(golden_dir: Path, case: int, way: str) -> None:
    outputs, of = functions_outputs(golden_dir, case)
    options = replace(OFFICIAL, **WAYS[way])
    people = propose_plainly(outputs, options)
    assert np.array_equal(people.points, of["centerposes"])
    torch.testing.assert_close(people.centers, torch.tensor(of["centers"][0, : len(people), 2]))
    same_people(propose_poses(outputs, options), people)
    with torch.no_grad():
        points, heat = adapt_by_prior(outputs, people, options, slip=True)
        mesh = local_mesh(people.points[:1], options.expansion).permute(0, 2, 3, 1, 4)
        assert relative(mesh[0], of["allposes_n0"]) < 1e-6
        codes = local_codes(outputs, people.points[:1], options.expansion, slip=True)
        assert relative(outputs.attraction_network(codes)[0], of["mlp_out_n0"]) < 1e-5
        sure = decided(outputs, people, options, slip=True)
        assert relative(points[sure], of[way][sure.numpy(), :2]) < 1e-5
        assert relative(heat, of[way][..., 2]) < 1e-5

        ours = refine_poses(outputs, people, options)
        sure &= decided(outputs, people, options)
    equals_plain(ours.people.points, ours.scores, outputs, people, options)
    # Windows of 97 places seldom keep clear of the last column and row of images of 96 x 144 px.
    free = sure & ~slips(people, (96, 144), options) & (ours.scores > 0)
    if free.any():
        expected = of[way][free.numpy()]
        assert relative(ours.people.points[free], expected[..., :2]) < 1e-5
        assert relative(ours.scores[free], expected[..., 2]) < 1e-5


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    "changes",
    [{}, {"prior": "expansion"}, {"prior": "attraction"}, {"adapt": False}, {"top_weight": 1.0}],
    ids=str,
)
@pytest.mark.parametrize("mesh", [(5, 21, 1.0, True), (11, 15, 0.5, False)], ids=str)
def test_noise_equals_plain_reference(
    frame: Frame, changes: dict[str, object], mesh: tuple[int, int, float, bool]
) -> None:
    outputs = random_outputs(1)
    options = LocalGlobalOptions(KeypointExpansion(RATES, *mesh, frame), **changes)  # type: ignore[arg-type]
    people = propose_poses(outputs, options)
    assert len(people) == 60
    ours = refine_poses(outputs, people, options)
    for image in (0, 1):
        of = people.images == image
        one = replace(
            outputs,
            **{n: getattr(outputs, n)[image, None] for n in ("heatmaps", "centers", "embedding")},
        )
        equals_plain(ours.people.points[of], ours.scores[of], one, people[of], options)
