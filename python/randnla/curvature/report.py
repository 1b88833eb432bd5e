# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What an engine covers, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .health import Health
from .kfac.blocks import Block
from .kfac.layers import Layer


@dataclass(frozen=True)
class Line:
    """One layer of a report.

    Attributes
    ----------
    name, layer : str
    shape : (int, int)
        Of the gradient as a matrix.
    inverse, why : str
        How each side is inverted, and the reason where it is not what was asked for.
    health : Health or None
        None for what is skipped.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    inverse: str
    why: str
    health: Health | None = None


@dataclass(frozen=True)
class Report:
    """Layers that are covered, and those that are not with the reason; ``print`` it."""

    covered: tuple[Line, ...]
    skipped: tuple[Line, ...] = ()

    def __str__(self) -> str:
        rows = [("layer", "kind", "shape", "inverse", "note")]
        for line in self.covered:
            note = line.health.fallback or line.why if line.health else line.why
            rows.append((line.name, line.layer, " x ".join(map(str, line.shape)), line.inverse, note))
        rows += [
            (line.name, line.layer, " x ".join(map(str, line.shape)), "-", line.why) for line in self.skipped
        ]
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)


def report_of(
    layers: Mapping[str, Layer],
    blocks: Mapping[str, Block],
    health: Mapping[str, Health],
    low_rank: Mapping[str, Any],
    choice: str,
) -> Report:
    """The report of an engine."""
    columns = low_rank["rank"] + low_rank["oversample"]
    lines = []
    for name, layer in layers.items():
        block = blocks[name]
        narrow = choice in ("auto", "low_rank") and ("cholesky" in block.kind or "eigen" in block.kind)
        why = f"narrower than the crossover of rank + oversample = {columns}" if narrow else ""
        lines.append(Line(name, type(layer).__name__, layer.shape, block.kind, why, health[name]))
    return Report(tuple(lines))
