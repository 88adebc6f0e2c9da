"""Networks whose parameters and operations are counted beside the published numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from poselib.papers.preset import Options


@dataclass(frozen=True)
class CountedNetwork:
    """A row of a table of parameters and operations.

    Attributes:
        table: the paper's table, such as ``"Table 1"``, or another heading.
        row: as in the table.
        system: key in ``poselib.systems.SYSTEMS``; empty if the network is not built here.
        size: side of the square input image, px.
        options: of the system.
        published: paper, table and row of its published numbers, if there are any.
        digits: decimals of the published numbers.
    """

    table: str
    row: str
    system: str
    size: int
    options: Options = field(default_factory=dict)
    published: tuple[str, str, str] | None = None
    digits: int = 1
