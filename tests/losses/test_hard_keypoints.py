"""IQR outlier weights against numpy quantiles, and OHKM against sorting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.losses.hard_keypoints import iqr_outlier_weights, ohkm_weights

torch.set_num_threads(1)


def weights_of(numbers: list[float], alpha: float = 3.0) -> list[float]:
    """Weights of one person whose keypoints are all present and in one set."""
    values = torch.tensor(numbers).view(1, 1, -1, 1)
    present = torch.ones(1, 1, len(numbers), dtype=torch.bool)
    sets = torch.zeros(len(numbers), dtype=torch.long)
    return iqr_outlier_weights(values, present, sets, alpha).flatten().tolist()


def slow_weights(values: Tensor, present: Tensor, sets: Tensor, alpha: float) -> np.ndarray:
    """Rank the present values of each set and each component with ``np.quantile``."""
    weights = np.ones(present.shape)
    for b, n in np.ndindex(*present.shape[:2]):
        for chosen in np.unique(sets):
            taking = [k for k in range(len(sets)) if sets[k] == chosen and present[b, n, k]]
            for component in range(values.shape[-1] if taking else 0):
                numbers = values[b, n, taking, component].numpy()
                first = np.quantile(numbers, 0.25, method="lower")
                third = np.quantile(numbers, 0.75, method="higher")
                spread = 1.5 * (third - first)
                for k, number in zip(taking, numbers, strict=True):
                    if number < first - spread or number > third + spread:
                        weights[b, n, k] = alpha
    return weights


def test_iqr_by_hand() -> None:
    # Ranks 0 to 4: quartiles 1 and 3, fences -2 and 6.
    assert weights_of([0, 1, 2, 3, 6.1]) == [1, 1, 1, 1, 3]
    assert weights_of([3, -2.1, 2, 1, 4]) == [1, 3, 1, 1, 1]
    assert weights_of([-2, 1, 2, 3, 6]) == [1, 1, 1, 1, 1], "on the fence is not beyond"
    # Ranks 0 to 5: a quarter of the way is 1.25, down to rank 1; three quarters 3.75, up to 4.
    assert weights_of([0, 1, 2, 3, 4, 8.6]) == [1, 1, 1, 1, 1, 3]
    assert weights_of([0, 1, 2, 3, 4, 8.4]) == [1, 1, 1, 1, 1, 1]


def test_iqr_quartiles_are_not_interpolated() -> None:
    """Interpolated, the quartiles of these six were 0.25 and 1.75 and 4.5 an outlier."""
    numbers = [0.0, 0.0, 1.0, 1.0, 2.0, 4.5]
    first, third = np.quantile(numbers, [0.25, 0.75])
    assert third + 1.5 * (third - first) < 4.5
    assert weights_of(numbers) == [1] * 6


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_iqr_of_up_to_four_values_has_no_outliers(count: int) -> None:
    rng = np.random.default_rng(count)
    for numbers in rng.standard_cauchy((50, count)):
        assert weights_of(numbers.tolist()) == [1] * count


def test_iqr_outlier_among_equal_values() -> None:
    assert weights_of([1, 1, 1, 1, 1 + 1e-6]) == [1, 1, 1, 1, 3]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_iqr_equals_numpy(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    values = torch.tensor(rng.standard_cauchy((3, 5, 17, channels)))
    present = torch.tensor(rng.random((3, 5, 17)) < 0.8)
    present[0, 0] = False
    present[0, 1, 3:] = False
    for sets in (np.zeros(17, int), np.arange(17) // 6, rng.permutation(17) % 2, np.arange(17)):
        fast = iqr_outlier_weights(values, present, torch.as_tensor(sets), 2.5)
        assert fast.dtype == values.dtype
        slow = slow_weights(values, present, torch.as_tensor(sets), 2.5)
        np.testing.assert_array_equal(fast, slow)
    assert (slow_weights(values, present, torch.zeros(17), 2.5) > 1).any()
    one = iqr_outlier_weights(values, present, None, 2.5)
    assert torch.equal(
        one, iqr_outlier_weights(values, present, torch.zeros(17, dtype=torch.long), 2.5)
    )


def test_iqr_ignores_absent_values() -> None:
    values = torch.tensor([0.0, 1, 2, 3, 6.1, 1e9, torch.nan, -torch.inf]).view(1, 1, -1, 1)
    present = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0], dtype=torch.bool).view(1, 1, -1)
    weights = iqr_outlier_weights(values, present, torch.zeros(8, dtype=torch.long), 3.0)
    assert weights.flatten().tolist() == [1, 1, 1, 1, 3, 1, 1, 1]


def test_iqr_outlier_in_any_component() -> None:
    calm = torch.arange(5.0)
    stray = torch.tensor([0.0, 9, 1, 2, 3])
    values = torch.stack([calm, stray], dim=-1).view(1, 1, 5, 2)
    weights = iqr_outlier_weights(
        values, torch.ones(1, 1, 5, dtype=torch.bool), torch.zeros(5, dtype=torch.long), 2.0
    )
    assert weights.flatten().tolist() == [1, 2, 1, 1, 1]


def test_iqr_weights_are_invariant_and_without_gradient() -> None:
    values = torch.randn(2, 3, 17, 1, dtype=torch.float64).pow(3).requires_grad_()
    present, sets = torch.ones(2, 3, 17, dtype=torch.bool), torch.zeros(17, dtype=torch.long)
    weights = iqr_outlier_weights(values, present, sets, 2.0)
    assert not weights.requires_grad
    assert torch.equal(weights, iqr_outlier_weights(values * 4 - 16, present, sets, 2.0))
    assert torch.equal(weights, iqr_outlier_weights(-values, present, sets, 2.0))


def test_iqr_of_no_people() -> None:
    empty = iqr_outlier_weights(
        torch.zeros(2, 0, 5, 1), torch.zeros(2, 0, 5, dtype=torch.bool), torch.arange(5), 2.0
    )
    assert empty.shape == (2, 0, 5)


# The hardest


def mined(losses: list[float], count: int, present: list[bool] | None = None) -> list[float]:
    row = torch.tensor(losses, dtype=torch.float64).view(1, 1, -1)
    here = torch.tensor(present or [True] * len(losses)).view(1, 1, -1)
    return ohkm_weights(row, here, count, 3.0, 0.5).flatten().tolist()


def test_ohkm_largest_losses_are_hard() -> None:
    assert mined([1, 4, 0, 3, 2], 2) == [0.5, 3, 0.5, 3, 0.5]
    assert mined([1, 4, 0, 3, 2], 5) == mined([1, 4, 0, 3, 2], 9) == [3] * 5


def test_ohkm_of_equal_losses() -> None:
    weights = mined([1, 4, 3, 3, 2], 2)
    assert weights[1] == 3 and weights.count(3) == 2
    assert weights[2] + weights[3] == 3.5


def test_ohkm_absent_losses_are_never_hard() -> None:
    here = [True, False, True, True, False]
    assert mined([1, 9, 2, 3, torch.nan], 2, here) == [0.5, 0.5, 3, 3, 0.5]
    assert mined([1, 9, 2, 3, torch.nan], 4, here) == [3, 0.5, 3, 3, 0.5]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_ohkm_equals_sorting(count: int) -> None:
    rng = np.random.default_rng(count)
    losses = torch.tensor(rng.standard_cauchy((3, 5, 17)) ** 2).requires_grad_()
    present = torch.tensor(rng.random((3, 5, 17)) < 0.6)
    present[0, 0] = False
    weights = ohkm_weights(losses, present, count, 2.0, 0.25)
    assert weights.dtype == losses.dtype and not weights.requires_grad
    for b, n in np.ndindex(3, 5):
        here = [k for k in range(17) if present[b, n, k]]
        hardest = sorted(here, key=lambda k: losses[b, n, k].item())[-count:]
        assert weights[b, n].tolist() == [2.0 if k in hardest else 0.25 for k in range(17)]


def test_ohkm_of_no_people() -> None:
    empty = ohkm_weights(torch.zeros(2, 0, 5), torch.zeros(2, 0, 5, dtype=torch.bool), 2, 1, 0)
    assert empty.shape == (2, 0, 5)
