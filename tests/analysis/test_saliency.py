"""Saliency and sampling points of small regressors, by hand and by symmetry."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.analysis.saliency import (
    analyze_center,
    compose_taps,
    guided_backpropagation,
    regular_taps,
)
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.experiments.training import init_system
from poselib.models.adaptive import AdaptiveBlock
from poselib.outputs import RegressionOutputs
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO
from poselib.structures import Sample
from tests.analysis.factories import (
    SMALL_OPTIONS,
    LinearRegressor,
    around,
    image_of,
    linear_regressor,
)
from tests.toy_people import TOY


def drawn() -> Sample:
    return SyntheticScenes(SceneConfig(size=64, people=(1, 1)), 1, 0, COCO)[0]


def test_the_cell_of_a_person_holds_its_center() -> None:
    view = analyze_center(
        linear_regressor(), image_of(around(20.1, 31.9), around(43.9, 40.1)), SMALL_OPTIONS
    )
    assert view.size == (16, 16)
    np.testing.assert_allclose(view.centers, [[20.1, 31.9], [43.9, 40.1]], atol=1e-5)
    assert view.cells.tolist() == [[5, 7], [10, 10]] and view.people == [0, 1]


def test_cells_in_the_index_frame() -> None:
    people = image_of(around(22.4, 30.6), around(42.6, 42.4))
    view = analyze_center(linear_regressor(frame="index"), people, SMALL_OPTIONS)
    assert view.cells.tolist() == [[5, 8], [11, 10]]  # nearest to 4 i + 0.5 px


def test_the_nearest_center_has_the_cell() -> None:
    near, far, alone = around(21.5, 30.0), around(20.5, 31.5), around(50, 50)
    view = analyze_center(linear_regressor(), image_of(far, near, alone), SMALL_OPTIONS)
    assert view.people == [1, 2]


def test_unlabeled_people_have_no_cell() -> None:
    people = image_of([(0, 0, 0)] * 4, around(6, 2))  # the first one's mean would be (0, 0)
    assert analyze_center(linear_regressor(), people, SMALL_OPTIONS).people == [1]
    assert analyze_center(linear_regressor(), image_of(), SMALL_OPTIONS).people == []


@pytest.mark.parametrize("frame", ["center", "index"])
def test_a_center_at_the_border_has_a_cell_of_the_map(frame: str) -> None:
    person = [(63.8, 63.9, 2), (63.8, 63.9, 2), (0, 0, 0), (0, 0, 0)]
    view = analyze_center(linear_regressor(frame=frame), image_of(person), SMALL_OPTIONS)
    assert view.cells.tolist() == [[15, 15]]


def test_missing_keypoints_do_not_move_the_center() -> None:
    person = [*around(30, 30)[:2], (0, 0, 0), (0, 0, 0)]
    view = analyze_center(linear_regressor(), image_of(person), SMALL_OPTIONS)
    assert view.centers.tolist() == [[30, 28]]


def test_saliency_of_a_linear_network_is_its_weights() -> None:
    view = analyze_center(
        linear_regressor(), image_of(around(30, 22), [(1, 1, 2)] * 4), SMALL_OPTIONS
    )
    weights = view.system.model.conv.weight.detach().view(len(TOY), 2, 3, 12, 12)
    expected = weights.square().sum((1, 2)).sqrt().numpy()
    found = view.saliency(0, [2, 0])
    assert found.shape == (2, 64, 64)
    rows, columns = slice(16, 28), slice(24, 36)  # cells 4 to 6 and 6 to 8
    np.testing.assert_allclose(found[:, rows, columns], expected[[2, 0]], rtol=1e-5)
    assert found.sum() == pytest.approx(expected[[2, 0]].sum(), rel=1e-5)
    corner = view.saliency(1, [3])[0]  # of a cell at the border, whose window is cut
    np.testing.assert_allclose(corner[:8, :8], expected[3, 4:, 4:], rtol=1e-5)


def test_saliency_is_mirrored_with_the_image_and_the_network() -> None:
    sample = image_of(around(30, 22))
    turned = sample.keypoints * [-1, 1, 1] + [64, 0, 0]
    mirrored = replace(
        sample, image=sample.image[..., ::-1].copy(), keypoints=turned.astype(np.float32)
    )
    system = linear_regressor()
    found = analyze_center(system, sample, SMALL_OPTIONS).saliency(0, [1])
    weights = system.model.conv.weight
    system.model.conv.weight = nn.Parameter(weights.detach().flip(-1))
    again = analyze_center(system, mirrored, SMALL_OPTIONS).saliency(0, [1])
    np.testing.assert_allclose(again[..., ::-1], found, rtol=1e-5, atol=1e-6)


class Rectified(LinearRegressor):
    """Offsets of the linear network of the positive and of the negative part of a feature."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(2 * len(TOY), 2 * len(TOY), 1, bias=False)
        nn.init.normal_(self.last.weight, generator=torch.Generator().manual_seed(1))

    def forward(self, images: Tensor) -> RegressionOutputs:
        offsets = self.last(self.relu(self.conv(images))).unflatten(1, (len(TOY), 2))
        size = (images.shape[2], images.shape[3])
        return RegressionOutputs(offsets[:, :, 0], offsets[:, :1, 0], offsets, size)


def test_guided_backpropagation_passes_positive_gradients_alone() -> None:
    model = Rectified().double()
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    with guided_backpropagation(model):
        one = model(images).offsets[0, 1, 0, 8, 8]
    (found,) = torch.autograd.grad(one, images)
    features = model.conv(images)[0, :, 8, 8]
    passed = model.last.weight[2, :, 0, 0].clamp(min=0) * (features > 0)
    expected = torch.einsum("f,fchw->chw", passed, model.conv.weight)
    torch.testing.assert_close(found[0, :, 28:40, 28:40], expected)


def test_guided_backpropagation_restores_the_model() -> None:
    system = linear_regressor(Rectified())
    view = analyze_center(system, image_of(around(30, 22)), SMALL_OPTIONS)
    before = view.saliency(0, [0, 1])
    guided = view.saliency(0, [0, 1], guided=True)
    assert not np.allclose(guided, before)
    np.testing.assert_array_equal(view.saliency(0, [0, 1]), before)
    with pytest.raises(RuntimeError, match="stop"), guided_backpropagation(system.model):
        raise RuntimeError("stop")
    np.testing.assert_array_equal(view.saliency(0, [0, 1]), before)
    assert not any(module._forward_hooks for module in system.model.modules())


def test_regular_taps_equal_an_unmoved_adaptive_convolution() -> None:
    block = AdaptiveBlock(1, 8)
    torch.testing.assert_close(regular_taps((5, 7)), block.taps(torch.zeros(1, 8, 5, 7))[0])


def test_two_regular_convolutions_sample_five_by_five_cells() -> None:
    places = compose_taps([regular_taps((8, 9))] * 2, torch.tensor([[4, 3]]))
    assert places.shape == (1, 1, 81, 2)
    found = Counter((round(x, 4), round(y, 4)) for x, y in places[0, 0].tolist())
    once = [1, 2, 3, 2, 1]  # ways to add two steps of -1, 0 or 1
    expected = {
        (4.5 + dx, 3.5 + dy): once[dx + 2] * once[dy + 2]
        for dx in range(-2, 3)
        for dy in range(-2, 3)
    }
    assert found == expected


def test_the_last_convolution_is_followed_back_to_the_first() -> None:
    """The second one looks two cells to the right, where the first one looks three cells down."""
    first, second = (regular_taps((8, 8)).clone() for _ in range(2))
    second[:, :, 0] += 2
    first[:, :, 1, :, 5:] += 3  # in columns 5 and beyond alone
    places = compose_taps([first, second], torch.tensor([[4, 2]]))
    assert places[0, 0].mean(dim=0).tolist() == pytest.approx([6.5, 5.5])
    places = compose_taps([second, first], torch.tensor([[4, 2]]))
    assert places[0, 0].mean(dim=0).tolist() == pytest.approx([6.5, 2.5])


def test_taps_between_cells_are_interpolated() -> None:
    first, second = (regular_taps((6, 6)).clone() for _ in range(2))
    second[:, :, 0] += 0.25
    first[:, :, 1] += torch.arange(6.0)  # as many cells down as the column's number
    places = compose_taps([first, second], torch.tensor([[2, 0]]))
    assert places[0, 0].mean(dim=0).tolist() == pytest.approx([2.75, 2.75])


def test_composed_taps_are_mirrored_with_the_map() -> None:
    generator = torch.Generator().manual_seed(0)
    taps = [regular_taps((6, 8)) + torch.randn(3, 9, 2, 6, 8, generator=generator) for _ in "ab"]
    turned = [block.flip(-1) * torch.tensor([-1, 1])[:, None, None] for block in taps]
    turned = [block + torch.tensor([8, 0])[:, None, None] for block in turned]
    places = compose_taps(taps, torch.tensor([[2, 3], [7, 0]]))
    mirrored = compose_taps(turned, torch.tensor([[5, 3], [0, 0]]))
    expected = places * torch.tensor([-1, 1]) + torch.tensor([8, 0])
    torch.testing.assert_close(mirrored, expected, rtol=1e-5, atol=1e-4)


def test_sampling_points_are_in_px_of_the_image() -> None:
    people = image_of(around(30, 22), [(0, 0, 0)] * 4)
    view = analyze_center(linear_regressor(LinearRegressor(shift=1.5)), people, SMALL_OPTIONS)
    activated = view.sampling_points()
    assert activated.shape == (2, len(TOY), 81, 2) and np.isnan(activated[1]).all()
    # the middle of its cell is at (30, 22); two convolutions look 1.5 cells further each
    np.testing.assert_allclose(activated[0].mean(axis=1), [[42, 34]] * len(TOY), atol=1e-4)
    np.testing.assert_allclose(view.regular_points()[0, 0].mean(axis=0), [30, 22], atol=1e-4)
    assert view.regular_points()[0, 0].min(axis=0) == pytest.approx([22, 14])


def test_sampling_points_in_the_index_frame() -> None:
    view = analyze_center(
        linear_regressor(frame="index"), image_of(around(28.5, 20.5)), SMALL_OPTIONS
    )
    np.testing.assert_allclose(view.regular_points()[0, 0].mean(axis=0), [28.5, 20.5], atol=1e-4)


def test_one_convolution_has_nine_sampling_points() -> None:
    system = linear_regressor(LinearRegressor(blocks=1))
    view = analyze_center(system, image_of(around(30, 22)), SMALL_OPTIONS)
    assert (
        view.sampling_points().shape
        == view.regular_points().repeat(4, axis=1).shape
        == (1, 4, 9, 2)
    )


def test_unmoved_taps_equal_regular_points() -> None:
    system = init_system(get_preset("smoke", "", "dekr"), COCO, 0, "dekr", separate=False)
    seen = analyze_center(system, drawn(), SMALL_OPTIONS)
    activated = seen.sampling_points()
    np.testing.assert_allclose(
        activated, np.broadcast_to(seen.regular_points(), activated.shape), 1e-4
    )


def test_saliency_equals_finite_differences() -> None:
    """Against differences: a pixel moved a little moves the offset as its derivative says."""
    system = init_system(get_preset("smoke", "", "dekr"), COCO, 0, "dekr")
    view = analyze_center(system, drawn(), SMALL_OPTIONS)
    system.model.double()
    view = replace(view, image=view.image.double())
    (person,) = view.people
    found = view.saliency(person, [5])[0]
    column, row = view.cells[person]
    y, x = np.unravel_index(found.argmax(), found.shape)
    square = 0.0
    with torch.no_grad():
        for color in range(3):
            step = torch.zeros_like(view.image)
            step[0, color, y, x] = 1e-5
            high, low = (
                system.model(view.image + sign * step).offsets[0, 5, :, row, column]
                for sign in (1, -1)
            )
            square += float(((high - low) / 2e-5).square().sum())
    assert found[y, x] == pytest.approx(np.sqrt(square), rel=1e-3)


def test_people_of_another_skeleton_are_refused() -> None:
    with pytest.raises(ValueError, match=r"17 keypoints for .* the 4 of skeleton 'toy'"):
        analyze_center(linear_regressor(), drawn(), SMALL_OPTIONS)


def test_a_system_without_centers_is_refused() -> None:
    system = init_system(get_preset("smoke"), COCO, 0)
    with pytest.raises(ValueError, match="'hae' does not regress poses from centers"):
        analyze_center(system, drawn(), SMALL_OPTIONS)
