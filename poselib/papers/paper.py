"""A paper that is reproduced, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from poselib.engine.variants import Variant
from poselib.papers.comparison_table import ComparisonTable
from poselib.papers.preset import Options, Preset


@dataclass(frozen=True)
class CountedNetwork:
    """A row of a table of parameters and operations.

    Attributes:
        table: the paper's table, such as ``"Table 1"``, or another heading.
        row: as in the table.
        system: key in ``poselib.systems.SYSTEMS``; empty if the network is not built here.
        size: side of the square input image, px; not of a system of one person, whose options
            give the size of its crops.
        options: of the system.
        published: paper, table and row of its published numbers, if there are any.
        digits: decimals of the published numbers.
        tolerance: up to which a counted number is the published one; None where it must round to
            it.
        frames: of the clips that are counted; 1 for images.
        part: attribute of the network that the numbers are of; empty for all of it.
        skeleton: name of that whose keypoints the published numbers are for.
    """

    table: str
    row: str
    system: str
    size: int
    options: Options = field(default_factory=dict)
    published: tuple[str, str, str] | None = None
    digits: int = 1
    tolerance: float | None = None
    frames: int = 1
    part: str = ""
    skeleton: str = "coco"


@dataclass(frozen=True)
class Paper:
    """Everything about a paper that is data; its numbers are in ``published/<name>.csv``.

    Attributes:
        name: short name: of its system and of its CSV files.
        title: what the paper calls its method.
        options: of the system, by preset.
        bundled: whether the model that comes with poselib is of this paper.
        dataset_options: those that differ for a dataset, by preset and dataset.
        presets: training recipes of the paper's own, by preset and dataset; an empty name stands
            for every other dataset. Presets that it lacks are in ``common_presets``.
        tables: comparisons with other methods.
        variants: test variants that the comparisons show.
        claim: what the comparisons claim, as Markdown.
        notes: how their tables are to be read, as Markdown.
        networks: whose parameters and operations are counted.
    """

    name: str
    title: str
    options: Mapping[str, Options]
    presets: Mapping[tuple[str, str], Preset]
    tables: tuple[ComparisonTable, ...]
    variants: tuple[Variant, ...]
    claim: str
    notes: str
    bundled: bool = False
    dataset_options: Mapping[tuple[str, str], Options] = field(default_factory=dict)
    networks: tuple[CountedNetwork, ...] = ()

    def variants_at(self, scales: Sequence[float]) -> tuple[Variant, ...]:
        """Return ``variants`` with other scales of multi-scale testing.

        Raises:
            ValueError: a variant is multi-scale and there are fewer than two ``scales``.
        """
        several = [variant for variant in self.variants if len(variant.scales) > 1]
        if several and len(set(scales)) < 2:
            raise ValueError(f"multi-scale testing needs two scales or more, not {tuple(scales)}")
        return tuple(
            replace(variant, scales=tuple(scales)) if variant in several else variant
            for variant in self.variants
        )
