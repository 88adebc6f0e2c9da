import pytest
import torch

from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet, associative_layer, split_maps

torch.set_num_threads(1)


def test_heatmaps_come_before_tags() -> None:
    maps = torch.arange(6.0)[None, :, None, None].expand(2, 6, 4, 5)
    heatmaps, tags = split_maps(maps, 3)
    assert heatmaps.shape == (2, 3, 4, 5) and tags.shape == (2, 3, 1, 4, 5)
    assert heatmaps[0, :, 0, 0].tolist() == [0, 1, 2]
    assert tags[0, :, 0, 0, 0].tolist() == [3, 4, 5]


def test_maps_without_tags_split_into_no_embeddings() -> None:
    heatmaps, tags = split_maps(torch.zeros(2, 3, 4, 5), 3)
    assert heatmaps.shape == (2, 3, 4, 5) and tags.shape == (2, 3, 0, 4, 5)


def test_several_embeddings_of_a_keypoint_stand_together() -> None:
    _, tags = split_maps(torch.arange(9.0)[None, :, None, None], 3)
    assert tags[0, :, :, 0, 0].tolist() == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize("tags", [True, False])
def test_layer_starts_with_narrow_heatmaps_and_wide_tags(tags: bool) -> None:
    torch.manual_seed(0)
    layer = associative_layer(64, 17, tags=tags, tag_init_std=0.3)
    weight = layer.weight.detach()
    assert weight.shape == (34 if tags else 17, 64, 1, 1)
    assert float(weight[:17].std()) == pytest.approx(0.001, rel=0.1)
    assert torch.all(layer.bias == 0)
    if tags:
        assert float(weight[17:].std()) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("tags", [True, False])
def test_plain_network_gives_one_scale(tags: bool) -> None:
    model = AssociativeHRNet(BACKBONES["hrnet_tiny"], 14, tags=tags)
    outputs = model(torch.randn(2, 3, 32, 64))
    assert [tuple(h.shape) for h in outputs.heatmaps] == [(2, 14, 8, 16)]
    assert tuple(outputs.tags.shape) == (2, 14, int(tags), 8, 16)
    assert outputs.image_size == (32, 64)


def test_plain_network_has_the_published_size() -> None:
    with torch.device("meta"):
        model = AssociativeHRNet(BACKBONES["hrnet_w32"], 17)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    assert parameters == pytest.approx(28.5, abs=0.05)  # HigherHRNet, Table 1: "HRNet"
    assert [k for k in model.state_dict() if k.startswith("final")] == [
        "final_layers.0.weight",
        "final_layers.0.bias",
    ]
