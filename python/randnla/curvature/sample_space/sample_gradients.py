# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The gradients of a layer sample by sample, rows of a matrix U that is not formed where that saves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

_CHUNK = 1 << 22  # numbers of a block of products of terms
_SMALL = 1 << 23  # numbers of gradients formed at a time


@dataclass(frozen=True)
class CoordinateSketch:
    """Some coordinates of a space of `dim`, each times ``sqrt(dim / size)``: ``E[S S^T] = I``.

    Attributes
    ----------
    dim : int
    indices : (size,) array
        Drawn without replacement.
    """

    dim: int
    indices: Array

    @classmethod
    def drawn(cls, dim: int, size: int, rng: np.random.Generator) -> CoordinateSketch:
        """A sketch of at most `dim` coordinates; of all of them it is the identity."""
        if size >= dim:
            return cls(dim, np.arange(dim))
        return cls(dim, np.sort(rng.choice(dim, size, replace=False)))

    @property
    def scale(self) -> float:
        """Of every coordinate."""
        return math.sqrt(self.dim / len(self.indices))

    def apply(self, X: Array) -> Array:
        """``X S`` of rows X (..., dim)."""
        if len(self.indices) == self.dim:
            return X
        return np.asarray(X[..., self.indices] * X.dtype.type(self.scale))


@dataclass(frozen=True)
class SampleGradients:
    """Rows ``u_i = w_i vec(sum_j g_ij a_ij^T)``, of r terms each.

    Attributes
    ----------
    a : (n, r, columns) array
    g : (n, r, rows) array
    weights : (n,) float64 array
        Of the rows.
    sketches : (CoordinateSketch, CoordinateSketch) or None
        Of rows and columns; they replace U by U S in `gram` and V by ``S^T V`` in `dot`, not in `combine`.

    Notes
    -----
    ``U U^T`` is the sum over terms of ``(A A^T) o (G G^T)``; ``U V`` of ``(G V) o A``, added up by rows; and
    ``U^T c`` is ``G^T diag(c) A``.
    """

    a: Array
    g: Array
    weights: Array
    sketches: tuple[CoordinateSketch, CoordinateSketch] | None = None

    @property
    def samples(self) -> int:
        """n."""
        return len(self.a)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a gradient."""
        return self.g.shape[2], self.a.shape[2]

    def _sketched(self) -> tuple[Array, Array]:
        if self.sketches is None:
            return self.a, self.g
        rows, columns = self.sketches
        return columns.apply(self.a), rows.apply(self.g)

    def gram(self) -> Array:
        """``U U^T`` (n, n) in float64."""
        a, g = self._sketched()
        n, r, _ = a.shape
        if r == 1:
            left, right = (dense.gram(np.ascontiguousarray(x[:, 0]).T, wide=True) for x in (a, g))
            return np.asarray(left * right * np.multiply.outer(self.weights, self.weights))
        flat_a, flat_g = (x.reshape(n * r, -1).astype(np.float64) for x in (a, g))
        out = np.empty((n, n))
        step = max(1, _CHUNK // (n * r * r))
        for i in range(0, n, step):
            some = slice(i * r, min(n, i + step) * r)
            products = dense.gemm(flat_a[some], flat_a.T)
            products *= dense.gemm(flat_g[some], flat_g.T)
            out[i : i + step] = products.reshape(-1, r, n, r).sum(axis=(1, 3))
        return (out + out.T) / 2 * np.multiply.outer(self.weights, self.weights)

    def dot(self, V: Array) -> Array:
        """``U V`` (n,) of V (rows, columns), in float64."""
        a, g = self._sketched()
        if self.sketches is not None:
            rows, columns = self.sketches
            V = columns.apply(rows.apply(V.T).T)
        n, r, columns_ = a.shape
        products = dense.gemm(g.reshape(n * r, -1), np.ascontiguousarray(V, g.dtype))
        products, a = products.reshape(n, -1), a.reshape(n, r * columns_)
        return np.asarray(self.weights * np.einsum("ij,ij->i", products, a, dtype=np.float64))

    def combine(self, c: Array) -> Array:
        """``U^T c`` (rows, columns) of c (n,), in the dtype of the arrays; of all coordinates."""
        n, r, _ = self.a.shape
        weighted = self.g * (self.weights * c).astype(self.g.dtype)[:, None, None]
        return dense.gemm(weighted.reshape(n * r, -1).T, self.a.reshape(n * r, -1))

    def widened(self) -> SampleGradients:
        """In float64."""
        a, g = self.a.astype(np.float64), self.g.astype(np.float64)
        return SampleGradients(a, g, self.weights, self.sketches)

    def to_dense(self) -> Array:
        """U (n, rows * columns), for tests."""
        rows = np.einsum("njr,njc->nrc", self.g, self.a).reshape(self.samples, -1)
        return np.asarray(self.weights[:, None] * rows)


@dataclass(frozen=True)
class FormedGradients:
    """Rows ``w_i u_i`` with u_i there: of layers with more positions a sample than a gradient has use for.

    Attributes
    ----------
    u : (n, rows, columns) array
    weights : (n,) float64 array
    """

    u: Array
    weights: Array
    sketches: None = None

    @property
    def samples(self) -> int:
        """n."""
        return len(self.u)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a gradient."""
        return self.u.shape[1], self.u.shape[2]

    @property
    def _flat(self) -> Array:
        return self.u.reshape(self.samples, -1)

    def gram(self) -> Array:
        """``U U^T`` (n, n) in float64."""
        return np.asarray(dense.gram(self._flat.T, wide=True) * np.multiply.outer(self.weights, self.weights))

    def dot(self, V: Array) -> Array:
        """``U V`` (n,) of V (rows, columns), in float64."""
        column = np.ascontiguousarray(V, self.u.dtype).reshape(-1, 1)
        return self.weights * dense.gemm(self._flat, column)[:, 0]

    def combine(self, c: Array) -> Array:
        """``U^T c`` (rows, columns) of c (n,)."""
        made = dense.gemm((self.weights * c).astype(self.u.dtype)[None, :], self._flat)
        return made.reshape(self.shape)

    def widened(self) -> FormedGradients:
        """In float64."""
        return FormedGradients(self.u.astype(np.float64), self.weights)

    def to_dense(self) -> Array:
        """U (n, rows * columns), for tests."""
        return self.weights[:, None] * self._flat


Gradients = SampleGradients | FormedGradients


def sample_gradients(a: Array, g: Array, rank: int | None) -> tuple[Gradients, float]:
    """The rows of a batch, over the root of their number, and the share of squares that was left out.

    Parameters
    ----------
    a : (n, uses, columns) array
    g : (n, uses, rows) array
        Neither is kept.
    rank : int or None
        Terms kept of the gradient of a sample, whose g (uses, rows) is projected on as many singular vectors.
        None keeps all; so does what is no larger.
    """
    n, uses, columns = a.shape
    rows = g.shape[2]
    weights = np.full(n, 1.0 / math.sqrt(n))
    terms = min(uses, rows) if rank is None else min(rank, uses, rows)
    if terms == uses and (uses == 1 or rank is not None or uses * uses * (rows + columns) < rows * columns):
        return SampleGradients(a.copy(), g.copy(), weights), 0.0
    if terms < min(uses, rows) and terms * (rows + columns) < rows * columns:
        return _truncated(a, g, weights, terms)
    u = np.empty((n, rows, columns), a.dtype)
    step = max(1, _SMALL // (rows * columns))
    for i in range(0, n, step):
        np.matmul(g[i : i + step].transpose(0, 2, 1), a[i : i + step], out=u[i : i + step])
    return FormedGradients(u, weights), 0.0


def _truncated(a: Array, g: Array, weights: Array, rank: int) -> tuple[SampleGradients, float]:
    """``G_i^T A_i`` by ``P_i (G_i P_i)^T A_i``, P_i the leading right singular vectors of G_i."""
    short = g.shape[2] <= g.shape[1]
    turned = g.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(turned @ g if short else g @ turned)
    leading = np.ascontiguousarray(vectors[:, :, -rank:])  # (n, rows or uses, r)
    left_out = 1.0 - float(values[:, -rank:].sum()) / (float(values.sum()) or 1.0)
    if short:
        kept, mixed = leading.transpose(0, 2, 1), (g @ leading).transpose(0, 2, 1)
    else:  # Q^T G are the terms, and Q^T A goes with them
        kept, mixed = leading.transpose(0, 2, 1) @ g, leading.transpose(0, 2, 1)
    terms = np.ascontiguousarray(mixed @ a), np.ascontiguousarray(kept)
    return SampleGradients(*terms, weights), min(1.0, max(0.0, left_out))


def concatenated(batches: Sequence[tuple[Gradients, float]]) -> Gradients:
    """Rows of several batches of one kind, each times the root of its weight."""
    first = batches[0][0]
    if len(batches) == 1:
        return first
    weights = np.concatenate([math.sqrt(weight) * batch.weights for batch, weight in batches])
    if isinstance(first, FormedGradients):
        formed = [batch.u for batch, _ in batches if isinstance(batch, FormedGradients)]
        return FormedGradients(np.concatenate(formed), weights)
    terms = [batch for batch, _ in batches if isinstance(batch, SampleGradients)]
    a, g = (np.concatenate([getattr(batch, key) for batch in terms]) for key in "ag")
    return SampleGradients(a, g, weights)


def alike(first: Gradients, second: Gradients) -> bool:
    """Whether two batches can be concatenated."""
    if isinstance(first, SampleGradients) and isinstance(second, SampleGradients):
        return bool(first.a.shape[1] == second.a.shape[1])
    return type(first) is type(second)


def arrays_of(gradients: Gradients) -> dict[str, Any]:
    """What a state has of them."""
    if isinstance(gradients, FormedGradients):
        return {"u": gradients.u.copy(), "weights": gradients.weights.copy()}
    return {"a": gradients.a.copy(), "g": gradients.g.copy(), "weights": gradients.weights.copy()}
