# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which averages of outer products the gradients of a partition take."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..factors.average import Average
from .elementwise_blocks import ElementwiseBlocks
from .interleaved_blocks import InterleavedBlocks
from .partition import Elementwise, NeuronBlocks, Partition
from .shared_blocks import SharedBlocks

INTERLEAVED = 160  # the largest order that the batched kernels take in registers


class Held(NamedTuple):
    """Averages of some rows of one of the matrices that a partition makes of a gradient."""

    number: int
    rows: slice
    blocks: Any


def averaged_blocks(partition: Partition, average: Average, dtype: Any) -> list[Held]:
    """What averages the gradients of a partition."""
    if isinstance(partition, Elementwise):
        return [Held(0, slice(None), ElementwiseBlocks(partition, dtype))]
    held = []
    for number, blocks in enumerate(partition.blocks):
        if blocks.shared:
            made: Any = SharedBlocks(blocks.count, blocks.order, average, dtype)
            held.append(Held(number, slice(None), made))
        elif blocks.order > INTERLEAVED:
            for k in range(blocks.count):
                made = SharedBlocks(1, blocks.order, average, dtype)
                held.append(Held(number, slice(k, k + 1), made))
        else:
            made = InterleavedBlocks(blocks.count, blocks.order, average, dtype)
            held.append(Held(number, slice(None), made))
    return held


def spoken(partition: Partition) -> str:
    """How the blocks of a partition are inverted."""
    if not partition.blocks:
        return "elementwise"
    shared = isinstance(partition, NeuronBlocks) and partition.shared
    sizes = ", ".join(f"{b.count} of {b.order}" for b in partition.blocks)
    return f"shared by {partition.blocks[0].count}" if shared else sizes
