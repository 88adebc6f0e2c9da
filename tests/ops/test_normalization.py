"""Normalization of images by the statistics of ImageNet."""

from __future__ import annotations

import pytest
import torch

from poselib.ops.normalization import MEAN, STD, normalize

torch.set_num_threads(1)


def test_statistics_of_imagenet() -> None:
    assert MEAN == (0.485, 0.456, 0.406) and STD == (0.229, 0.224, 0.225)


def test_normalize_by_hand() -> None:
    images = torch.tensor([[0, 255], [255, 0], [128, 51]], dtype=torch.uint8).view(1, 3, 1, 2)
    red = [(0 - 0.485) / 0.229, (1 - 0.485) / 0.229]
    green = [(1 - 0.456) / 0.224, (0 - 0.456) / 0.224]
    blue = [(128 / 255 - 0.406) / 0.225, (0.2 - 0.406) / 0.225]
    result = normalize(images)
    assert result.dtype == torch.float32 and result.shape == images.shape
    torch.testing.assert_close(result.flatten(), torch.tensor([*red, *green, *blue]))
    assert images.flatten().tolist() == [0, 255, 255, 0, 128, 51], "the input is left alone"


def test_normalize_of_random_images_in_float64() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    expected = (images.double() / 255 - mean) / std
    torch.testing.assert_close(normalize(images).double(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(1, 4, 4, 3, dtype=torch.uint8),
        torch.zeros(1, 1, 4, 4, dtype=torch.int64),
    ],
)
def test_normalize_refuses_other_images(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be uint8 \(B, 3, H, W\), not"):
        normalize(images)
