"""Backbones, heads and blocks; ``BACKBONES`` holds the shapes that have a name."""

from poselib.models.hrnet import HRNetConfig, StageConfig


def _official(width: int) -> HRNetConfig:
    """The four-stage network whose finest branch has ``width`` channels."""
    widths = tuple(width * 2**i for i in range(4))
    return HRNetConfig(
        stem=(64, 64),
        stage1=StageConfig(1, (4,), (64,), "bottleneck"),
        stages=(
            StageConfig(1, (4,) * 2, widths[:2]),
            StageConfig(4, (4,) * 3, widths[:3]),
            StageConfig(3, (4,) * 4, widths),
        ),
    )


BACKBONES: dict[str, HRNetConfig] = {
    "hrnet_w18": _official(18),
    "hrnet_w32": _official(32),
    "hrnet_w48": _official(48),
    # trains on 128 px images within minutes on a CPU: one or two blocks where the official
    # networks have four, narrow maps at high resolution, widths that fill vector registers
    "hrnet_tiny": HRNetConfig(
        stem=(16, 32),
        stage1=StageConfig(1, (1,), (32,)),
        stages=(
            StageConfig(1, (0, 1), (32, 32)),
            StageConfig(1, (0, 1, 1), (32, 32, 64)),
            StageConfig(1, (1, 1, 2, 2), (32, 32, 64, 128)),
        ),
    ),
}
