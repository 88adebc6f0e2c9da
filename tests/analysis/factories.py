"""People, images and systems without training that detect people, for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from poselib.analysis.occlusion import JointResults
from poselib.analysis.saliency import regular_taps
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.decoders.regression import decode_regression
from poselib.engine.inference import PredictOptions
from poselib.experiments.training import init_system
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO, POSETRACK18, Skeleton
from poselib.structures import AffineTransform, Poses, Sample
from poselib.systems import OptionValue, System, build
from tests.toy_people import TOY, Annotated

OPTIONS = PredictOptions(size=128, multiple=64, flip=False)
SCENES = SyntheticScenes(SceneConfig(size=96, people=(2, 3)), 3, 4, COCO).cached()
CLIP_FRAMES = SyntheticClips(ClipConfig(size=64, frames=6), 2, 3, POSETRACK18).cached()

STANDING = np.array(
    [
        *((50, 10), (53, 8), (47, 8), (56, 10), (44, 10), (62, 25), (38, 25), (68, 45)),
        *((32, 45), (70, 62), (30, 62), (58, 65), (42, 65), (59, 92), (41, 92), (60, 118)),
        (40, 118),
    ],
    dtype=np.float32,
)


def moved(x: float, y: float) -> np.ndarray:
    return STANDING + np.array([x, y])


def sample_of(people: np.ndarray, to_original: AffineTransform | None = None) -> Sample:
    """People (N, 17, 3) in an image of 128 px."""
    return Sample(
        image=np.zeros((3, 128, 128), np.uint8),
        keypoints=people.astype(np.float32),
        areas=np.full(len(people), 2000, np.float32),
        ignore_mask=np.zeros((128, 128), bool),
        image_id=0,
        to_original=to_original or AffineTransform.identity(),
    )


def labeled(points: np.ndarray, visibility: int = 2) -> np.ndarray:
    return np.concatenate([points, np.full((17, 1), visibility)], axis=1)


def poses_at(*points: np.ndarray, heat: float = 0.5) -> Poses:
    count = len(points)
    places = np.array(points, np.float32).reshape(count, 17, 2)
    return Poses(places, np.full((count, 17), heat, np.float32), np.ones(count, np.float32))


def build_tiny(skeleton: Skeleton = COCO, name: str = "dekr", **options: OptionValue) -> System:
    """An untrained system, which finds people everywhere."""
    backbone = "hrnet_tiny" if name == "dekr" else "hrnet_tiny_light"
    tiny = {"backbone": backbone, "width": 4, "heatmap_width": 8, "center_threshold": 0.0}
    return build(name, skeleton, **{**tiny, **options})


def eager_regressor(seed: int = 0) -> System:
    """Return an untrained regressor that takes every cell of an image for a person's center."""
    smoke = get_preset("smoke", "", "dekr")
    system = init_system(smoke, COCO, seed, "dekr", nms_kernel=1, nms_distance=0.0)
    with torch.no_grad():
        system.model.head_heatmap[1].bias += 0.5
    return system


TINY: dict[str, OptionValue] = {
    "backbone": "hrnet_tiny",
    "heatmap_width": 4,
    "offset_width": 4,
    "embedding": 2,
    "message_width": 4,
    "global_window": 25,
}
STRIDE = 4  # px per cell


class KnownPeopleNetwork(nn.Module):
    """Predicts the same people for every image, with keypoints regressed beside the heatmap peaks.

    Args:
        people: (N, 17, 2) px, locations of the heatmap peaks.
        off: px by which regressed keypoints are to the right of them.
    """

    def __init__(self, people: np.ndarray, off: float) -> None:
        super().__init__()
        self.truth, self.off = torch.from_numpy(people.astype(np.float32)), off

    def forward(self, images: Tensor) -> LocalGlobalOutputs:
        cells = [side // STRIDE for side in images.shape[-2:]]
        y, x = ((torch.arange(n) + 0.5) * STRIDE for n in cells)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # (2, h, w) px
        heat = _gaussians(grid, self.truth).amax(dim=0)
        centers = self.truth.mean(dim=1)
        owner = (grid[None] - centers[..., None, None]).norm(dim=1).argmin(dim=0)
        regressed = self.truth + torch.tensor([self.off, 0.0])
        offsets = (grid[None] - regressed[owner].permute(2, 3, 0, 1)) / STRIDE
        batch = (len(images), 1, 1, 1)
        return LocalGlobalOutputs(
            heatmaps=heat.repeat(batch),
            centers=_gaussians(grid, centers[:, None]).amax(dim=0).repeat(batch),
            offsets=offsets.repeat((*batch, 1)),
            image_size=(images.shape[-2], images.shape[-1]),
            embedding=torch.zeros(len(images), 2, *cells),
            attraction_network=_centered_filters,
        )


def _gaussians(grid: Tensor, points: Tensor) -> Tensor:
    """Return (N, K, h, w) Gaussians of 4 px around points (N, K, 2)."""
    apart = (grid - points[..., None, None]).square().sum(dim=2)
    return torch.exp(-apart / (2 * 4.0**2))


def _centered_filters(context: Tensor) -> Tensor:
    """Return filters that move nothing: bright at the center, the more for later keypoints."""
    filters = context.new_zeros(len(context), len(COCO), *context.shape[2:])
    middle = context.shape[-1] // 2
    filters[:, :, middle, middle] = torch.linspace(0.5, 1.0, len(COCO))
    return filters


def known_people_system(*people: np.ndarray, off: float = 3.0, **options: OptionValue) -> System:
    """Return a system of that network; by default with one person in the middle."""
    system = build("logocap", COCO, **{**TINY, **options})
    truth = np.stack(people or (STANDING,))
    return replace(system, model=KnownPeopleNetwork(truth, off))


def standing(*people: np.ndarray) -> Sample:
    """Return an image of these people, all labeled; by default one in the middle."""
    return sample_of(np.stack([labeled(each) for each in people or (STANDING,)]))


SMALL_OPTIONS = PredictOptions(size=64, multiple=32, flip=False)


class LinearRegressor(nn.Module):
    """Regress offsets by one convolution over 3x3 cells of 4 px; taps are ``shift`` cells off."""

    def __init__(self, shift: float = 0.0, blocks: int = 2) -> None:
        super().__init__()
        side = 3 * STRIDE
        self.conv = nn.Conv2d(3, 2 * len(TOY), side, stride=STRIDE, padding=STRIDE)
        nn.init.normal_(self.conv.weight, generator=torch.Generator().manual_seed(0))
        self.shift, self.blocks = shift, blocks

    def forward(self, images: Tensor) -> RegressionOutputs:
        offsets = self.conv(images).unflatten(1, (len(TOY), 2))
        heat = torch.zeros_like(offsets[:, :, 0])
        size = (images.shape[2], images.shape[3])
        return RegressionOutputs(heat, heat[:, :1], offsets, size)

    def taps(self, images: Tensor) -> tuple[Tensor, ...]:
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        taps = (regular_taps(size) + self.shift).expand(1, len(TOY), -1, -1, -1, -1)
        return (taps,) * self.blocks


def linear_regressor(model: nn.Module | None = None, frame: str = "center") -> System:
    return System(
        name="toy",
        skeleton=TOY,
        model=LinearRegressor() if model is None else model,
        encode=lambda batch: batch,  # type: ignore[arg-type,return-value]
        losses=lambda outputs, targets: {},
        decode=partial(decode_regression),
        options={"frame": frame},
    )


def image_of(*people: Annotated, seed: int = 0) -> Sample:
    """A noisy image of 64 x 64 px with these people, of √area 10 px."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 64, 64), np.uint8)
    keypoints = np.array(people, np.float32).reshape(-1, len(TOY), 3)
    areas = np.full(len(keypoints), 100, np.float32)
    return Sample(noise, keypoints, areas, np.zeros((64, 64), bool), 1, AffineTransform.identity())


def around(x: float, y: float) -> Annotated:
    """A person whose center is (x, y)."""
    return [(x - 6, y - 2, 2), (x + 6, y - 2, 2), (x - 6, y + 2, 2), (x + 6, y + 2, 2)]


def constant_results(value: float) -> JointResults:
    """Results on ``CLIP_FRAMES`` of which all joints are right (1) or wrong (0)."""
    poses, right = [], []
    for index in range(len(CLIP_FRAMES)):
        points = CLIP_FRAMES[index].keypoints
        ones = np.ones(points.shape[:2], np.float32)
        poses.append(Poses(points[..., :2], ones, ones[:, 0]))
        right.append(np.full(points.shape[:2], value))
    return JointResults(poses, right)
