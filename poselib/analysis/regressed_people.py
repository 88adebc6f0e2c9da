"""What a network that regresses poses from centers finds in one image, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poselib.analysis.saliency import (
    offset_saliency,
    points_of_cells,
    regular_taps,
    to_sample_px,
)
from poselib.data.collation import collate
from poselib.decoders import local_global, regression
from poselib.decoders.center_options import CenterOptions
from poselib.decoders.local_global import LocalGlobalOptions, RefinedPoses
from poselib.decoders.regression import RegressionOptions
from poselib.engine.inference import PredictOptions, device_of, infer, present
from poselib.ops.center_poses import CenterPoses
from poselib.ops.dynamic_convolution import convolve_each
from poselib.ops.keypoint_expansion import global_context
from poselib.ops.map_coordinates import Frame, cell_to_px, half_pixel
from poselib.ops.normalization import normalize
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.poses import Poses
from poselib.structures import Sample, Size
from poselib.systems import System
from poselib.typing import FloatArray

Cell = tuple[int, int]  # column, row
Options = RegressionOptions | LocalGlobalOptions


@dataclass(frozen=True, eq=False)
class RegressedPeople:
    """The people of an image as decoded, highest person score first.

    Attributes:
        poses: n people as the decoder returns them, px of the network input.
        scores: (n, K) heatmap scores of the keypoints.
        regressed: the n poses as regressed at their centers, px of the frame.
        suppressed: the other candidates, which pose NMS or a score of 0 removed.
    """

    poses: Poses
    scores: FloatArray
    regressed: CenterPoses
    suppressed: CenterPoses

    @property
    def cells(self) -> list[Cell]:
        """The cell of each person."""
        return cells_of(self.regressed)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Poses before pose NMS: as regressed, their keypoint scores (n, K), and as adapted if so."""

    people: CenterPoses
    scores: Tensor
    refined: RefinedPoses | None


def cells_of(people: CenterPoses) -> list[Cell]:
    """Return the cells from which poses were regressed."""
    assert people.cells is not None
    return [(column, row) for column, row in people.cells.tolist()]


@dataclass(frozen=True, eq=False)
class LocalFilter:
    """The context by which one keypoint is moved (LOGO-CAP, Eqs. 1-3).

    Attributes:
        heatmap: (a, a), heatmap values in its global window, weighted by a Gaussian if the
            options say so.
        attraction: (r, r), its keypoint attraction map: the filter, from 0 to 1.
        response: (a, a), what the highest cells are taken from: the first convolved with the
            second, or with what the option ``prior`` says instead.
        step: px between neighboring cells of the global window.
        spacing: px between neighboring cells of the attraction map, its expansion map.
    """

    heatmap: FloatArray
    attraction: FloatArray
    response: FloatArray
    step: float
    spacing: float


@dataclass(frozen=True, eq=False)
class RegressedImage:
    """The outputs of a network that regresses poses, for one image at one scale.

    Attributes:
        system: its model is in evaluation mode.
        sample: image and people, px of the network input.
        image: (1, 3, H, W) float, normalized, on the network's device.
        outputs: of the network, averaged with those of the mirrored image if the options say so.
    """

    system: System
    sample: Sample
    image: Tensor
    outputs: RegressionOutputs

    @property
    def frame(self) -> Frame:
        """The frame of the network's maps."""
        return frame_of(self.system.decode_options)

    @property
    def size(self) -> Size:
        """(h, w) of the network's maps."""
        return self.outputs.centers.shape[-2], self.outputs.centers.shape[-1]

    @cached_property
    def taps(self) -> tuple[Tensor, ...]:
        """Sampling locations of the offset head, see ``CenterAnalysis``; none if it has none."""
        if not hasattr(self.system.model, "taps"):
            return ()
        with torch.no_grad():
            found = self.system.model.taps(self.image)  # type: ignore[operator]
        return tuple(block[0].float() for block in found)

    def cell_at(self, x: float, y: float) -> Cell:
        """Return the cell whose center is nearest to a point, px of the network input."""
        height, width = self.size
        first, second = self.px_of((0, 0)), self.px_of((1, 1))
        column, row = np.rint((np.array([x, y]) - first) / (second - first))
        return int(np.clip(column, 0, width - 1)), int(np.clip(row, 0, height - 1))

    def px_of(self, cell: Cell) -> FloatArray:
        """Return the center (2,) of a cell, px of the network input."""
        return to_sample_px(torch.tensor(cell), self.sample.size, self.size, self.frame)

    def score_of(self, cell: Cell) -> float:
        """Return the value of the center map in a cell."""
        return float(self.outputs.centers[0, 0, cell[1], cell[0]])

    @property
    def highest_cell(self) -> Cell:
        """The cell with the highest value of the center map."""
        row, column = divmod(int(self.outputs.centers[0, 0].argmax()), self.size[1])
        return column, row

    def pose_of(self, cell: Cell) -> CenterPoses:
        """Return the pose that a cell regresses, whether or not it is a center, px of the frame."""
        column, row = cell
        offsets = self.outputs.offsets[0, :, :, row, column].float()
        place = torch.tensor([[column, row]], device=offsets.device)
        points = cell_to_px(place - offsets, self.sample.size, self.size, self.frame)
        score = self.outputs.centers[0, 0, row, column].float()
        return CenterPoses(place.new_zeros(1), score[None], points[None], place)

    @torch.no_grad()
    def candidates(self, options: Options) -> Candidates:
        """Return the poses regressed at all detected centers, moved as the options say."""
        if isinstance(options, LocalGlobalOptions):
            people = local_global.propose_poses(self.outputs, options)
            refined = local_global.refine_poses(self.outputs, people, options)
            return Candidates(people, refined.scores, refined)
        return Candidates(*regression.propose_poses(self.outputs, options), None)

    @torch.no_grad()
    def people(self, options: Options, candidates: Candidates | None = None) -> RegressedPeople:
        """Return the people as the decoder finds them with these options.

        Args:
            candidates: those of the same options but for pose NMS; found if not given.
        """
        found = self.candidates(options) if candidates is None else candidates
        if isinstance(options, LocalGlobalOptions):
            assert found.refined is not None
            kept = local_global.nms_rows(found.refined, options)
            (poses,) = local_global.finalize(found.refined, options, 1)
        else:
            kept = regression.nms_rows(found.people, found.scores, options, 1)
            (poses,) = regression.decode_regression(self.outputs, options)
        order = np.argsort(-poses.person_scores, kind="stable")
        left_out = torch.ones(len(found.people), dtype=torch.bool, device=kept.device)
        left_out[kept] = False
        rows = kept[torch.from_numpy(order).to(kept.device)]
        scores = found.scores[rows].double().cpu().numpy()
        return RegressedPeople(poses[order], scores, found.people[rows], found.people[left_out])

    @torch.no_grad()
    def adapted(self, people: CenterPoses, options: Options) -> tuple[FloatArray, FloatArray]:
        """Return regressed poses as the decoder moves their keypoints, and the keypoint scores.

        Returns:
            (n, K, 2) px of the network input and (n, K) heatmap scores.
        """
        if isinstance(options, LocalGlobalOptions):
            refined = local_global.refine_poses(self.outputs, people, options)
            return self.px(refined.people.points), refined.scores.double().cpu().numpy()
        scores = regression.keypoint_values(self.outputs, people, options)
        points = regression.matched_keypoints(self.outputs, people, options)
        return self.px(points), scores.double().cpu().numpy()

    def px(self, points: Tensor) -> FloatArray:
        """Convert points in px of the frame to px of the network input."""
        return points.double().cpu().numpy() + half_pixel(self.frame)

    @torch.no_grad()
    def attraction(self, people: CenterPoses, options: LocalGlobalOptions) -> Tensor:
        """Return the keypoint attraction maps (n, K, r, r) of regressed poses.

        Raises:
            ValueError: the system was built without adaptation.
        """
        if not isinstance(self.outputs, LocalGlobalOutputs):
            raise ValueError(f"system {self.system.name!r} was built without adaptation of poses")
        context = local_global.read_local_context(self.outputs, people, options.expansion)
        return local_global.attraction_maps(self.outputs, context)

    @torch.no_grad()
    def local_filter(
        self, person: CenterPoses, keypoint: int, attraction: Tensor, options: LocalGlobalOptions
    ) -> LocalFilter:
        """Return what moves one keypoint of a regressed pose.

        Args:
            person: one row.
            attraction: of that row, (1, K, r, r).
        """
        expansion, outputs = options.expansion, self.outputs
        place, kernel = (
            replace(person, points=person.points[:, [keypoint]]),
            attraction[:, [keypoint]],
        )
        heatmap = global_context(
            outputs.heatmaps[:, [keypoint]], place, expansion, outputs.image_size
        )
        response = kernel if options.prior == "attraction" else heatmap
        if options.prior in ("both", "box"):
            response = convolve_each(
                heatmap, torch.ones_like(kernel) if options.prior == "box" else kernel
            )
        maps = [each[0, 0].double().cpu().numpy() for each in (heatmap, kernel, response)]
        spacing = expansion.step * float(expansion.rates[keypoint])
        return LocalFilter(maps[0], maps[1], maps[2], expansion.step, spacing)

    def saliency(self, cell: Cell, keypoint: int, *, guided: bool = False) -> NDArray[np.float32]:
        """Return how much each pixel (H, W) changes an offset; see ``CenterAnalysis.saliency``."""
        return offset_saliency(self.system, self.image, cell, [keypoint], guided=guided)[0]

    def sampling_points(self, cell: Cell, keypoint: int) -> FloatArray:
        """Return the locations (P, 2), px, that the regression of a keypoint in a cell samples."""
        return self._points(self.taps, cell, keypoint)

    def regular_points(self, cell: Cell) -> FloatArray:
        """Return the ``sampling_points`` of as many ordinary convolutions."""
        return self._points([regular_taps(self.size)] * len(self.taps), cell, 0)

    def _points(self, taps: Sequence[Tensor], cell: Cell, keypoint: int) -> FloatArray:
        if not taps:
            raise ValueError(f"system {self.system.name!r} has no offset head of convolutions")
        cells = np.array([cell], dtype=np.int64)
        return points_of_cells(taps, cells, self.sample.size, self.frame)[0, keypoint]


def frame_of(options: Options) -> Frame:
    """Return the frame of the maps that are decoded with these options."""
    return options.expansion.frame if isinstance(options, LocalGlobalOptions) else options.frame


def regress_image(system: System, sample: Sample, options: PredictOptions) -> RegressedImage:
    """Run the network of a system that regresses poses from centers on one image.

    Args:
        system: its model is put into evaluation mode.
        sample: the image; its people are dropped if they have other keypoints than the system's.
        options: how the image is presented; only the first scale is.

    Raises:
        ValueError: the system does not regress poses from centers.
    """
    if not isinstance(system.decode_options, CenterOptions):
        raise ValueError(f"system {system.name!r} does not regress poses from centers")
    if sample.keypoints.shape[1] != len(system.skeleton):
        none = np.zeros((0, len(system.skeleton), 3), np.float32)
        sample = replace(
            sample, keypoints=none, areas=np.zeros(0, np.float32), boxes=None, tracks=None
        )
    system.model.eval()
    views = present(system, sample, replace(options, scales=(1.0,)))
    outputs = infer(system, [views], options.flip)
    image = normalize(collate(views).images.to(device_of(system)))
    return RegressedImage(system, views[0], image, outputs)
