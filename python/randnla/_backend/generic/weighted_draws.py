# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oracle of ``kernels.weighted_draws``: the contract of sum trees in plain NumPy, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .streams import blocks, stream_key

Array = NDArray[Any]
FAN = 8


def levels(weights: Array) -> list[Array]:
    """The levels of a tree as rows of eight, the weights first."""
    found = [_nodes(np.asarray(weights, np.float64))]
    while len(found[-1]) > 1:
        found.append(_nodes(_sums(found[-1])[:, -1]))
    return found


def _nodes(entries: Array) -> Array:
    padded = np.zeros((max(1, -(-entries.size // FAN)), FAN))
    padded.ravel()[: entries.size] = entries
    return padded


def _sums(nodes: Array) -> Array:
    """Partial sums of each node, in order."""
    return np.add.accumulate(nodes, axis=1)


def draw(weights: Array, count: int, *, seed: int, stream: int, row: int = 0, first: int = 0) -> Array:
    """Draws first .. first + count - 1 of a counter row."""
    tree = levels(weights)
    top = len(tree) - 1
    key = stream_key(kind="entries", seed=seed, stream=stream, element_bits=32)
    begin = first // 16
    words = blocks(begin, -(-(first + count) // 16) - begin, row, key).astype(np.uint64)
    numbers = [(words[:, 2 * i] << np.uint64(32) | words[:, 2 * i + 1]).ravel() for i in range(2)]
    skip = first - 16 * begin
    points = [(v[skip : skip + count] >> np.uint64(11)).astype(np.float64) * 2.0**-53 for v in numbers]
    at = np.zeros(count, np.int64)
    x = points[0] * _sums(tree[top])[0, -1]
    for level in range(top, -1, -1):
        nodes = tree[level][at]
        ends = _sums(nodes)
        if level == top // 2 and top > 0:
            x = points[1] * ends[:, -1]
        child = (x[:, None] >= ends).sum(axis=1)
        inside = child < FAN
        begins = np.concatenate([np.zeros((count, 1)), ends], axis=1)[np.arange(count), child]
        last = FAN - 1 - np.argmax(nodes[:, ::-1] > 0, axis=1)
        x = np.where(inside, x - begins, nodes[np.arange(count), last])
        at = FAN * at + np.where(inside, child, last)
    return at
