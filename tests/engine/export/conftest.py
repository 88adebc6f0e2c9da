"""A backbone of which systems are exported in seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from poselib.models import BACKBONES
from tests.engine.export.micro_systems import MICRO


@pytest.fixture(scope="package", autouse=True)
def micro_backbone() -> Iterator[None]:
    """Make the backbone ``"hrnet_micro"`` known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "hrnet_micro", MICRO)
        yield
