# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Draws of an index by weights: sum trees, which change in O(log n), and alias tables, read in O(1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend.kernels import streams

Array = NDArray[Any]
KIND = "entries"
_LINE = 64


def tree_size(length: int) -> int:
    """Entries of a sum tree of `length` weights, the weights first."""
    return int(_core.tree_size(length))


def arena(size: int) -> Array:
    """`size` zeros on a cache line: a node of a tree is one."""
    raw = np.zeros(size + _LINE // 8)
    skip = (-raw.ctypes.data % _LINE) // 8
    return raw[skip : skip + size]


@dataclass
class Forest:
    """Sum trees in one array: tree t begins at ``offsets[t]`` and has ``lengths[t]`` weights.

    Attributes
    ----------
    arena : float64 array
    offsets, lengths : int64 arrays, one element a tree
    """

    arena: Array
    offsets: Array
    lengths: Array

    @classmethod
    def equal(cls, count: int, length: int) -> Forest:
        """`count` trees of `length` weights each, all zero."""
        size = tree_size(length)
        offsets = np.arange(count, dtype=np.int64) * size
        return cls(arena(count * size), offsets, np.full(count, length, np.int64))

    @classmethod
    def of_lengths(cls, lengths: Array) -> Forest:
        """Trees of these lengths, all weights zero."""
        kinds, place = np.unique(lengths, return_inverse=True)
        sizes = np.array([tree_size(int(length)) for length in kinds], np.int64)[place]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        return cls(arena(int(offsets[-1])), offsets[:-1].copy(), lengths.astype(np.int64))

    def build(self) -> None:
        """Set the sums above the weights.

        Notes
        -----
        *Cost*: one pass over the arena.
        """
        _core.build_trees(self.arena, self.offsets, self.lengths)

    def totals(self) -> Array:
        """The sum of the weights of each tree."""
        out = np.empty(self.offsets.size)
        _core.tree_totals(self.arena, self.offsets, self.lengths, out)
        return out

    def total(self, tree: int = 0) -> float:
        """The sum of the weights of one tree."""
        out = np.empty(1)
        _core.tree_totals(self.arena, self.offsets[tree : tree + 1], self.lengths[tree : tree + 1], out)
        return float(out[0])

    def update(self, trees: Array, leaves: Array, weights: Array) -> None:
        """Set ``weights[i]`` at leaf ``leaves[i]`` of tree ``trees[i]``, one after the other.

        The sums become those of `build`: updates do not add rounding.
        """
        _core.update_trees(self.arena, self.offsets, self.lengths, trees, leaves, weights)

    def draw(
        self, trees: Array, count: int, *, seed: int, stream: int, row: int = 0, first: int = 0
    ) -> Array:
        """Draws first .. first + count - 1 of a counter row, of one tree or of ``trees[i]`` each.

        Returns
        -------
        ndarray of int64
            Leaves, none of weight zero; -1 where a tree has no positive weight.

        Notes
        -----
        *Algorithm*: descent of a sum tree of fan 8; the upper half of the levels uses the first 53 bits of
        the draw, the lower half fresh ones. The same for any thread count and instruction set.
        """
        out = np.empty(count, np.int64)
        _core.draw_trees(
            self.arena,
            self.offsets,
            self.lengths,
            trees,
            seed=seed,
            stream=stream,
            row=row,
            first=first,
            out=out,
        )
        return out


def alias_table(weights: Array) -> Array:
    """The alias table of non-negative weights, not all zero: (n, 2) of uint64.

    Raises
    ------
    InputError
        If the sum of the weights is zero or not finite.

    Notes
    -----
    *Algorithm*: Vose (1991). *Cost*: O(n) time, on one thread, and 16 n bytes of scratch.
    """
    cells = np.empty((weights.size, 2), np.uint64)
    _core.build_alias(weights, cells)
    return cells


def draw_alias(cells: Array, count: int, *, seed: int, stream: int, row: int = 0, first: int = 0) -> Array:
    """Draws first .. first + count - 1 of a counter row from an alias table."""
    out = np.empty(count, np.int64)
    _core.draw_alias(cells, seed=seed, stream=stream, row=row, first=first, out=out)
    return out


def uniforms(count: int, *, seed: int, stream: int, row: int = 0, first: int = 0) -> Array:
    """Numbers of 53 bits in [0, 1): word 0 (upper 27 bits) and word 1 (upper 26) of each position."""
    begin, end = first // 16, -(-(first + count) // 16)
    words = np.empty(64 * (end - begin), np.uint32)
    streams.random_words(words, kind=KIND, seed=seed, stream=stream, row=row, start=64 * begin)
    lanes = words.reshape(-1, 4, 16)
    high, low = lanes[:, 0] >> np.uint32(5), lanes[:, 1] >> np.uint32(6)
    skip = first - 16 * begin
    return np.asarray((high * 2.0**-27 + low * 2.0**-53).ravel()[skip : skip + count])
