import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hourglass import HourglassConfig, StackedHourglass
from poselib.models.hrnet import HRNet
from poselib.models.pretrained import load_backbone, load_official, read_weights
from poselib.models.regression import RegressionHRNet
from poselib.models.scoring import ScoringNet
from poselib.ops.map_coordinates import Frame
from poselib.skeletons import COCO

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("undrawn_weights")

TINY = BACKBONES["hrnet_tiny"]


def network(keypoints: int = 17, tags: bool = True) -> HigherHRNet:
    return HigherHRNet(TINY, keypoints, tags=tags, deconv_channels=16, deconv_blocks=1)


def marked(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a network with another value in every tensor."""
    state = model.state_dict().items()
    return {name: torch.full_like(value, number) for number, (name, value) in enumerate(state)}


def same(model: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("nest", "prefix"),
    [
        (None, ""),
        (None, "1."),
        (None, "_orig_mod."),
        ("model_state_dict", "_orig_mod.module."),
        ("ema_state_dict", "module."),
        ("state_dict_ema", "ema_model."),
        ("net", "net."),
        ("state_dict", "module."),
        ("model", "module.1."),
        ("best_state_dict", ""),
    ],
)
def test_official_checkpoints_load_whatever_surrounds_the_weights(
    tmp_path: Path, nest: str | None, prefix: str
) -> None:
    weights = marked(network())
    renamed = {prefix + name: value for name, value in weights.items()}
    content = renamed if nest is None else {nest: renamed, "epoch": 3, "perf": np.float64(0.5)}
    torch.save(content, tmp_path / "official.pth")
    model = network()
    load_official(model, tmp_path / "official.pth")
    assert same(model, weights)


def test_averages_of_a_training_come_first_where_names_say_so(tmp_path: Path) -> None:
    weights = marked(network())
    others = {name: value + 1 for name, value in weights.items()}
    averaged = {f"module.{name}": value for name, value in weights.items()}
    averaged["n_averaged"] = torch.tensor(7)
    for content in (
        {"state_dict": others, "state_dict_ema": averaged},
        {"model_state_dict": others, "ema_state_dict": averaged},
        # this toolbox exchanges the two before it saves them
        {"state_dict": weights, "ema_state_dict": {f"module.{k}": v for k, v in others.items()}},
        {"checkpoint": 3, "model": {"state_dict": weights}},
    ):
        torch.save(content, tmp_path / "averaged.pth")
        model = network()
        load_official(model, tmp_path / "averaged.pth")
        assert same(model, weights)


def test_a_compiled_part_of_a_network_loads(tmp_path: Path) -> None:
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"conv": nn.Linear(2, 2)})})
    weights = marked(model)
    renamed = {k.replace("backbone.", "backbone._orig_mod."): v for k, v in weights.items()}
    torch.save(renamed, tmp_path / "compiled.pth")
    load_official(model, tmp_path / "compiled.pth")
    assert same(model, weights)


def unusual(value: torch.Tensor) -> dict[str, tuple[torch.Tensor, str]]:
    """Tensors of kinds that no weight has, and how they are called."""
    return {
        "nan": (
            torch.full_like(value, torch.nan),
            f"1 not finite (conv2.weight {value.numel()} of",
        ),
        "int": (value.long(), "1 of another kind (conv2.weight int64)"),
        "complex": (value.to(torch.complex64), "1 of another kind (conv2.weight complex64)"),
        "sparse": (value.to_sparse(), "1 of another kind (conv2.weight sparse)"),
        "meta": (value.to("meta"), "1 of another kind (conv2.weight without values)"),
    }


@pytest.mark.parametrize("kind", ["nan", "int", "complex", "sparse", "meta"])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    weights = network().state_dict()
    weights["conv2.weight"], named = unusual(weights["conv2.weight"])[kind]
    torch.save(weights, tmp_path / "odd.pth")
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError) as info:
        load_official(model, tmp_path / "odd.pth")
    assert str(info.value).startswith(str(tmp_path / "odd.pth")) and named in str(info.value)
    assert same(model, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_load(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = marked(network())
    stored = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
    torch.save(stored, tmp_path / "other.pth")
    model = network()
    load_official(model, tmp_path / "other.pth")
    assert all(torch.equal(v, stored[k].to(v.dtype)) for k, v in model.state_dict().items())


def test_checkpoints_of_toolboxes_that_part_backbone_and_head_load(tmp_path: Path) -> None:
    weights = marked(network())
    heads = ("final_layers", "deconv_layers")
    renamed = {
        ("keypoint_head." if name.startswith(heads) else "backbone.") + name: value
        for name, value in weights.items()
    }
    torch.save({"meta": {"epoch": 1}, "state_dict": renamed}, tmp_path / "toolbox.pth")
    model = network()
    load_official(model, tmp_path / "toolbox.pth")
    assert same(model, weights)


def test_a_toolbox_may_name_the_only_head_otherwise(tmp_path: Path) -> None:
    weights = marked(AssociativeHRNet(TINY, 17))
    renamed = {
        ("keypoint_head." if name.startswith("final") else "backbone.")
        + name.replace("final_layers.0", "final_layer"): value
        for name, value in weights.items()
    }
    torch.save({"state_dict": renamed}, tmp_path / "lone.pth")
    model = AssociativeHRNet(TINY, 17)
    load_official(model, tmp_path / "lone.pth")
    assert same(model, weights)


@pytest.mark.parametrize("prefix", ["", "model.module."])
def test_hourglasses_load_by_their_official_names(tmp_path: Path, prefix: str) -> None:
    config = HourglassConfig(2, 8, 2, 4)
    weights = marked(StackedHourglass(config, 5))
    torch.save({"state_dict": {prefix + k: v for k, v in weights.items()}}, tmp_path / "h.pth")
    model = StackedHourglass(config, 5)
    load_official(model, tmp_path / "h.pth")
    assert same(model, weights)


def test_a_prefix_that_belongs_to_the_network_is_kept(tmp_path: Path) -> None:
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2)})
    torch.save({f"module.{k}": v for k, v in marked(model).items()}, tmp_path / "nested.pth")
    load_official(model, tmp_path / "nested.pth")
    assert same(model, marked(model))


def test_safetensors_and_files_without_step_counters_load(tmp_path: Path) -> None:
    weights = marked(network())
    counted = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    save_file(counted, tmp_path / "weights.safetensors")
    model = network()
    load_official(model, tmp_path / "weights.safetensors")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in counted.items())


def test_another_number_of_keypoints_is_named(tmp_path: Path) -> None:
    torch.save(network(14).state_dict(), tmp_path / "crowd.pth")
    model = network(17)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="trained for 14 keypoints, the skeleton has 17") as info:
        load_official(model, tmp_path / "crowd.pth")
    assert "crowd.pth" in str(info.value) and "final_layers.0.weight" in str(info.value)
    assert same(model, before)


def test_a_number_in_the_place_of_maps_is_named(tmp_path: Path) -> None:
    weights = {**network(17).state_dict(), "final_layers.1.bias": torch.tensor(1.0)}
    torch.save(weights, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth .* 1 of another shape \(final_layers.1.bias"):
        load_official(network(17), tmp_path / "odd.pth")


@pytest.mark.parametrize(("tags", "tags_in_file"), [(True, False), (False, True)])
def test_a_head_without_tags_is_not_taken_for_other_keypoints(
    tmp_path: Path, tags: bool, tags_in_file: bool
) -> None:
    torch.save(AssociativeHRNet(TINY, 14, tags=tags_in_file).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"2 of another shape \(final_layers\.0") as info:
        load_official(AssociativeHRNet(TINY, 14, tags=tags), tmp_path / "a.pth")
    assert "trained for" not in str(info.value)


def test_missing_and_unexpected_names_are_reported(tmp_path: Path) -> None:
    weights = marked(network())
    weights["head.weight"] = weights.pop("conv2.weight")
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(ValueError) as info:
        load_official(network(), tmp_path / "other.pth")
    assert "1 missing (conv2.weight)" in str(info.value)
    assert "1 unexpected (head.weight)" in str(info.value)


def regression(keypoints: int = 5, **options: object) -> RegressionHRNet:
    return RegressionHRNet(TINY, keypoints, width=3, heatmap_width=8, **options)


def in_parts(weights: dict[str, torch.Tensor], keypoints: int = 5) -> dict[str, torch.Tensor]:
    """The weights of a regression network as official checkpoints name and part them."""
    parted = {k: v for k, v in weights.items() if not k.startswith("head_offset.")}
    layers = {"conv": "adapt_conv", "bn": "bn"}
    for name in [name for name in weights if name not in parted]:
        *_, number, layer, leaf = name.split(".")
        whole = weights[name]
        parts = whole.chunk(keypoints) if whole.ndim else [whole] * keypoints
        for k, part in enumerate(parts):
            branch = f"offset_feature_layers.{k}.{number}"
            if layer == "final":
                parted[f"offset_final_layer.{k}.{leaf}"] = part
            elif layer == "affine":
                # here the rows are those of (x, y), each with its move; there of (y, x), moves last
                parted[f"{branch}.transform_matrix_conv.{leaf}"] = part[[4, 3, 1, 0]]
                parted[f"{branch}.translation_conv.{leaf}"] = part[[5, 2]]
                parted[f"{branch}.regular_matrix"] = torch.zeros(2, 9)
            else:
                parted[f"{branch}.{layers[layer]}.{leaf}"] = part
    return parted


def numbered(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a network with another value in every place."""
    weights, start = {}, 0
    for name, value in model.state_dict().items():
        numbers = torch.arange(start, start + value.numel())
        weights[name] = numbers.view(value.shape).to(value.dtype)
        start += value.numel()
    return weights


@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_branches_are_put_together(tmp_path: Path, prefix: str) -> None:
    weights = numbered(regression())
    parted = in_parts(weights)
    assert "offset_feature_layers.4.1.translation_conv.bias" in parted
    torch.save({prefix + k: v for k, v in parted.items()}, tmp_path / "official.pth")
    model = regression()
    load_official(model, tmp_path / "official.pth")
    assert same(model, weights)

    torch.save(model.state_dict(), tmp_path / "own.pth")
    model = regression()
    load_official(model, tmp_path / "own.pth")
    assert same(model, weights)


def test_official_branches_load_beside_a_scoring_net(tmp_path: Path) -> None:
    weights = numbered(regression())
    torch.save(in_parts(weights), tmp_path / "official.pth")
    scoring = nn.Linear(3, 1)
    before = marked(scoring)
    scoring.load_state_dict(before)
    model = regression(scoring=scoring)
    load_official(model, tmp_path / "official.pth")
    assert same(model, weights | {f"scoring.{k}": v for k, v in before.items()})


@pytest.mark.parametrize(("here", "there"), [(5, 4), (4, 5)])
def test_branches_for_another_number_of_keypoints_are_named(
    tmp_path: Path, here: int, there: int
) -> None:
    torch.save(in_parts(numbered(regression(there)), there), tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=f"trained for {there} keypoints, the skeleton has {here}"
    ) as info:
        load_official(regression(here), tmp_path / "other.pth")
    assert "offset_feature_layers" in str(info.value)


def test_parts_that_are_missing_or_do_not_fit_are_reported(tmp_path: Path) -> None:
    parted = in_parts(numbered(regression()))
    del parted["offset_final_layer.2.bias"]
    kernels = "offset_feature_layers.1.0.adapt_conv.weight"
    parted[kernels] = parted[kernels][:, :2]
    torch.save(parted, tmp_path / "broken.pth")
    with pytest.raises(ValueError) as info:
        load_official(regression(), tmp_path / "broken.pth")
    assert str(info.value).endswith(
        "1 missing (offset_final_layer.2.bias); 1 of another shape "
        "(offset_feature_layers.1.0.adapt_conv.weight (3, 2, 3, 3) for (3, 3, 3, 3))"
    )


ODD_PARTS = {
    "int": lambda part: part.long(),
    "sparse": lambda part: part.to_sparse(),
    "a scalar": lambda part: part.flatten()[0],
    "one row more": lambda part: torch.cat([part, part[:1]]),
    "huge": lambda part: part.flatten()[:1].view((1,) * part.ndim).expand(10**12, *part.shape[1:]),
    "a number": lambda part: part.flatten()[:1].expand(10**12),
}


@pytest.mark.parametrize("kind", ODD_PARTS)
@pytest.mark.parametrize(
    "name",
    [
        "offset_final_layer.1.bias",
        "offset_feature_layers.2.0.adapt_conv.weight",
        "offset_feature_layers.3.1.translation_conv.weight",
    ],
)
def test_parts_of_every_kind_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    weights = in_parts(numbered(regression()))
    weights[name] = ODD_PARTS[kind](weights[name])
    torch.save(weights, tmp_path / "odd.pth")
    model = regression()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"odd\.pth does not fit RegressionHRNet: .* of another"):
        load_official(model, tmp_path / "odd.pth")
    assert same(model, before)


def test_a_file_that_holds_itself_is_read_to_an_end(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["state_dict"] = content
    torch.save(content, tmp_path / "self.pth")
    with pytest.raises(ValueError, match="holds no named weights"):
        read_weights(tmp_path / "self.pth")


def test_a_part_that_no_branch_has_is_called_by_its_own_name(tmp_path: Path) -> None:
    weights = in_parts(numbered(regression()))
    parted = {k: v for k, v in weights.items() if not k.startswith("offset_final_layer")}
    torch.save(parted, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match=r": 10 missing \(offset_final_layer\.0\.weight, .*\)$"):
        load_official(regression(), tmp_path / "broken.pth")


@pytest.mark.parametrize("frame", [None, "index", "center"])
def test_official_weights_in_a_system_of_another_frame_are_warned_of(
    tmp_path: Path, frame: Frame | None
) -> None:
    torch.save(in_parts(numbered(regression())), tmp_path / "official.pth")
    torch.save(regression().state_dict(), tmp_path / "own.pth")
    model = regression(frame=frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_official(model, tmp_path / "own.pth")
        assert not caught
        load_official(model, tmp_path / "official.pth")
    said = [str(each.message) for each in caught]
    assert len(said) == (frame == "center")
    assert all("official.pth: " in text and 'frame="index"' in text for text in said)


def test_an_untrained_scoring_net_is_warned_of(tmp_path: Path) -> None:
    model = regression(17, scoring=ScoringNet(COCO))
    torch.save(numbered(regression(17)), tmp_path / "network.pth")
    with pytest.warns(UserWarning, match="that of this system is untrained"):
        load_official(model, tmp_path / "network.pth")
    nn.init.ones_(model.scoring.layers[0].bias)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_official(model, tmp_path / "network.pth")


@pytest.mark.parametrize("options", [{"adaptive": False}, {"branches": ((0, 1), (2, 3, 4))}])
def test_branches_do_not_load_into_a_network_without_them(
    tmp_path: Path, options: dict[str, object]
) -> None:
    torch.save(in_parts(numbered(regression())), tmp_path / "official.pth")
    with pytest.raises(ValueError, match=r"missing \(head_offset.*unexpected \(offset_feature"):
        load_official(regression(**options), tmp_path / "official.pth")


class Surprise:
    def __reduce__(self) -> tuple:
        return print, ("code in a checkpoint must not run",)


def test_files_that_hold_no_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("not weights")
    torch.save({"state_dict": Surprise()}, tmp_path / "code.pth")
    torch.save(network().state_dict(), tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("a.txt", "text")
    for name in ("text.pth", "empty.pth", "text.safetensors", "code.pth", "cut.pth", "zip.pth"):
        with pytest.raises(ValueError, match="not a readable"):
            read_weights(tmp_path / name)
    assert "must not run" not in capsys.readouterr().out

    torch.save({"epoch": 3}, tmp_path / "bare.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({0: torch.ones(2)}, tmp_path / "numbers.pth")
    torch.save({("a", 1): torch.ones(2)}, tmp_path / "pairs.pth")
    for name in ("numbers.pth", "pairs.pth"):
        with pytest.raises(ValueError, match=rf"{name} holds weights under .*, which is no name"):
            read_weights(tmp_path / name)
    for name in ("bare.pth", "list.pth"):
        with pytest.raises(ValueError, match="holds no named weights"):
            read_weights(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        read_weights(tmp_path / "absent.pth")


def test_imagenet_file_fills_the_backbone_and_leaves_the_head(tmp_path: Path) -> None:
    weights = marked(HRNet(TINY)) | {"classifier.weight": torch.zeros(1000, 8)}
    torch.save(weights, tmp_path / "imagenet.pth")
    model = network()
    head = model.final_layers[0].weight.detach().clone()
    load_backbone(model, str(tmp_path / "imagenet.pth"))
    state = model.state_dict()
    backbone = [name for name in state if not name.startswith(("final", "deconv"))]
    assert len(backbone) > 200
    assert all(torch.equal(state[name], weights[name]) for name in backbone)
    assert torch.equal(model.final_layers[0].weight, head)


def test_imagenet_file_of_another_width_is_refused(tmp_path: Path) -> None:
    torch.save(HRNet(TINY).state_dict(), tmp_path / "tiny.pth")
    with torch.device("meta"):
        model = HRNet(BACKBONES["hrnet_w18"])
    with pytest.raises(ValueError, match=r"tiny.pth does not fit HRNet: \d+ missing .*shape"):
        load_backbone(model, tmp_path / "tiny.pth")


@pytest.mark.slow
def test_imagenet_weights_of_timm_load_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    source = timm.create_model("hrnet_w18", pretrained=False)
    asked: list[tuple[str, bool]] = []

    def create(name: str, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return source

    monkeypatch.setattr(timm, "create_model", create)
    model = HigherHRNet(BACKBONES["hrnet_w18"], 17)
    load_backbone(model, "hrnet_w18")
    assert asked == [("hrnet_w18", True)]
    state, expected = model.state_dict(), source.state_dict()
    loaded = [name for name in state if not name.startswith(("final_layers", "deconv_layers"))]
    assert all(torch.equal(state[name], expected[name]) for name in loaded)


def test_without_a_network_the_error_says_how_to_get_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timm = pytest.importorskip("timm")

    def create(name: str, pretrained: bool) -> nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(FileNotFoundError, match="'hrnet_w32' could not be downloaded") as info:
        load_backbone(network(), "hrnet_w32")
    assert "no route to host" in str(info.value) and "give its path" in str(info.value)


def test_a_name_that_timm_does_not_know_is_refused_with_those_it_knows() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"named 'hrnet_tiny'; it has \[.*'hrnet_w32'"):
        load_backbone(network(), "hrnet_tiny")


def test_an_absent_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"weights/absent\.pth"):
        load_backbone(network(), "weights/absent.pth")
