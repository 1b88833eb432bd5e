# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Alternating least squares on sketched unfoldings: after a pass for each mode, no sweep reads the tensor."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels.tensor import BLOCK
from randnla.sketching.factored_map import FactoredMap
from randnla.sketching.khatri_rao import KhatriRaoSketch
from randnla.sketching.tensor_sketch import TensorSketch

from .arguments import Array
from .sweeps import State, pseudo_inverse

MAPS: dict[str, type[FactoredMap]] = {"tensor_sketch": TensorSketch, "khatri_rao": KhatriRaoSketch}
LEAST_ROWS, ROWS_A_COMPONENT = 1000, 50


def sketch_size(rank: int) -> int:
    """Rows of a sketch for least squares with so many unknowns."""
    return max(LEAST_ROWS, ROWS_A_COMPONENT * rank)


class SketchedSweep:
    """Sweeps of ``min ||S_k (KR_k A_k^T - unfold(T, k)^T)||_F``, the map S_k of a mode the same in all.

    Attributes
    ----------
    maps : list of FactoredMap
        Of the products of the other modes, the last of these fastest.
    sides : list of (rows, d_k) arrays
        ``S_k unfold(T, k)^T``.
    """

    def __init__(self, T: Array, kind: str, rows: int, seed: int) -> None:
        self.maps: list[FactoredMap] = []
        self.sides: list[Array] = []
        for k, d in enumerate(T.shape):
            dims = T.shape[:k] + T.shape[k + 1 :]
            S = MAPS[kind](rows, T.size // d, dims=dims, rng=seed, stream=k, dtype=T.dtype)
            self.maps.append(S)
            self.sides.append(_sketched_unfolding(T, k, S))

    def __call__(self, T: Array, state: State) -> None:
        moved = 0.0
        for k in range(T.ndim):
            others = [factor for mode, factor in enumerate(state.factors) if mode != k]
            design = self.maps[k].apply_khatri_rao(others)
            solved = self.sides[k].T @ design @ pseudo_inverse(design.T @ design)
            moved = max(moved, state.take(k, solved))
        state.change = moved
        state.sweeps += 1


def _sketched_unfolding(T: Array, mode: int, S: FactoredMap) -> Array:
    """``S unfold(T, mode)^T``, from slabs of the first of the other axes."""
    moved = np.moveaxis(T, mode, -1)
    span = math.prod(moved.shape[1:-1])
    step = max(1, 16 * BLOCK // max(1, span * moved.shape[-1]))
    out = np.zeros((S.d, moved.shape[-1]), T.dtype)
    for start in range(0, moved.shape[0], step):
        slab = moved[start : start + step]
        columns = slice(start * span, (start + len(slab)) * span)
        out += S[:, columns].apply(np.ascontiguousarray(slab).reshape(-1, slab.shape[-1]))
    return out
