# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The mean of ``w^H A w`` over random w: Girard (1989) and Hutchinson (1990)."""

from __future__ import annotations

import math

import numpy as np

from randnla._backend.kernels import dense
from randnla.lowrank.error import column_norms, frobenius, inner_products
from randnla.lowrank.scaling import Array, unit_roundoff

from .basis import GrowingBasis
from .call import RESIDUAL_STREAM, Call


class Hutchinson:
    """Samples ``w^H A w``, with `resphere` times n / ``w^H w``."""

    cost, least, caution = 1, 2, 1.0

    def __init__(self, call: Call) -> None:
        self.call, self.size = call, 0
        self.found: list[Array] = []
        self.scale = 0.0

    def grow(self, count: int) -> None:
        """One product with `count` columns."""
        call = self.call
        W = call.vectors(self.size, count)
        Y = call.forward(W)
        values = inner_products(W, Y)
        if call.resphere:
            values *= call.n / column_norms(W) ** 2
        self.found.append(values)
        self.size += count
        self.scale = max(self.scale, frobenius(Y) / math.sqrt(count))

    def samples(self) -> tuple[Array, float]:
        """The samples, and what rounding makes of their mean."""
        return np.concatenate(self.found), unit_roundoff(self.call.problem.dtype) * self.scale


class HutchinsonDiagonal:
    """Samples ``w * (A w)`` for vectors w of signs: Bekas, Kokiopoulou and Saad (2007)."""

    cost, least, caution = 1, 2, 1.0

    def __init__(self, call: Call) -> None:
        self.call, self.size = call, 0
        self.found: list[Array] = []

    def grow(self, count: int) -> None:
        """One product with `count` columns."""
        W = self.call.vectors(self.size, count)
        Y = self.call.forward(W)
        wide = np.complex128 if np.iscomplexobj(Y) else np.float64
        self.found.append(np.multiply(W, Y, dtype=wide))
        self.size += count

    def samples(self) -> tuple[Array, float]:
        """Samples (n, k), and what rounding makes of them."""
        whole = np.concatenate(self.found, axis=1)
        return whole, unit_roundoff(self.call.problem.dtype) * float(np.abs(whole).max(initial=0.0))


class HutchPlusPlus:
    """The trace on a sampled range, samples on its complement: Meyer, Musco, Musco and Woodruff (2021)."""

    cost, least, caution = 3, 2, 1.0

    def __init__(self, call: Call) -> None:
        self.call, self.size = call, 0
        self.basis = GrowingBasis(call.problem)
        self.AQ: Array = np.empty((call.n, 0), call.problem.dtype)
        self.G: Array = np.empty((call.n, 0))
        self.AG: Array = np.empty((call.n, 0), call.problem.dtype)

    def grow(self, count: int) -> None:
        """Three products: with the sketch, the new part of its basis, and independent vectors."""
        call = self.call
        new = self.basis.extend(call.forward(call.vectors(self.size, count)))
        self.AQ = np.concatenate([self.AQ, call.forward(new)], axis=1)
        G = call.vectors(self.size, count, stream=RESIDUAL_STREAM)
        self.AG = np.concatenate([self.AG, call.forward(G)], axis=1)
        self.G = np.concatenate([self.G, G], axis=1)
        self.size += count

    def samples(self) -> tuple[Array, float]:
        """``tr(Q^H A Q) + v^H A v`` for v = (I - Q Q^H) g; A v comes from products that are there."""
        Q, n = self.basis.Q, self.call.n
        C = dense.gemm(Q.conj().T, self.G.astype(Q.dtype, copy=False))
        V = self.G - dense.gemm(Q, C)
        V -= dense.gemm(Q, dense.gemm(Q.conj().T, V))
        values = inner_products(V, self.AG - dense.gemm(self.AQ, C))
        if self.call.resphere:
            lengths = column_norms(V) ** 2
            values *= np.where(lengths > 0, (n - Q.shape[1]) / np.where(lengths > 0, lengths, 1.0), 0.0)
        known = inner_products(Q, self.AQ).sum()
        rounding = unit_roundoff(Q.dtype) * math.sqrt(Q.shape[1]) * frobenius(self.AQ)
        return values + known, rounding
