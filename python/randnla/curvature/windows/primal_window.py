# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A sliding window in blocks shorter than it, which are inverted as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace
from randnla._backend.kernels.batched import batched_inverse
from randnla._backend.kernels.woodbury import blocks_of
from randnla.operators.base import Array

from .window import GradientWindow

_BYTES = 8 << 20  # of columns that are widened together
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class _Inverses:
    """Of neighboring blocks of one order, (count, order, order) in float64."""

    columns: slice
    inverse: Array
    near: Array  # (count,), which of them are near rounding
    logdet: float  # of those


class PrimalWindow(GradientWindow):
    """A window in blocks, of which ``damping I + (1/m) G_b^T G_b`` is formed and inverted.

    Arguments are those of `GradientWindow`, real and with `block`. Beside the gradients it holds d b numbers
    and a square a gradient and block, where the dual form holds a matrix of order m a block.

    Notes
    -----
    *Algorithm*: sums over the window are made anew, in float64, by the first solve after a change, so that
    there is nothing to drift. Where damping is less than two digits above rounding of a block, or the block
    is not positive definite to rounding, eigenvalues that are rounding are taken for zero: every term of
    ``x^T F^-1 x`` is then positive.

    *Cost*: d for `add`; 2 d m b and O(d b^2) for the first solve after a change, 2 d b for the next; as much
    as the first for `logdet`, which makes the sums anew.
    """

    _KIND = "PrimalWindow"

    @staticmethod
    def _kept_shape(blocks: int, m: int) -> tuple[int, ...]:
        return (blocks, m)

    def _measured(self, m: int) -> Array:
        row = self._held.read(m)[None]
        return self._blockwise(row, row)[:, 0, 0]

    def _squares_of(self, measured: Array, m: int) -> Array:
        return measured

    def _put(self, slot: int, m: int, measured: Array) -> None:
        self._gram[:, slot] = measured

    def _close_gap(self, slot: int, last: int) -> None:
        self._gram[:, slot] = self._gram[:, last]

    def _forget(self) -> None:
        super()._forget()
        self._inverses: list[_Inverses] = []

    @property
    def path(self) -> str:
        """How the inverse is formed now."""
        if not self._inverses:
            return "none"
        return "eigh" if any(part.near.any() for part in self._inverses) else "cholesky"

    def trace_of_gram(self) -> float:
        """Sum of the squares of all gradients."""
        return float(self._gram[:, : self.count].sum())

    def inverses(self) -> list[_Inverses]:
        """Of all blocks, kept until the window changes."""
        if not self._inverses:
            order = min(self.block or self.dim, self.dim)
            whole = self.dim - self.dim % order
            groups = [(slice(0, whole), order), (slice(whole, self.dim), self.dim - whole)]
            self._inverses = [self._inverted(*group) for group in groups if group[1]]
        return self._inverses

    def _sums(self, columns: slice, order: int) -> Array:
        """The blocks undamped, (count, order, order)."""
        count, m = (columns.stop - columns.start) // order, self.count
        A = np.zeros((count, order, order))
        for some in blocks_of(count, max(1, _BYTES // (8 * order * max(1, m)))) if m else ():
            first, last = columns.start + some.start * order, columns.start + some.stop * order
            G = np.ascontiguousarray(self.part(slice(first, last)).reshape(m, -1, order).transpose(1, 0, 2))
            A[some] = np.matmul(G.transpose(0, 2, 1), G) / m
        return A

    def _inverted(self, columns: slice, order: int) -> _Inverses:
        A, logdet = self._sums(columns, order), 0.0
        # Rounding of a block is some eps of its trace: two digits are to be left.
        near = self.damping <= 256 * _EPS * np.trace(A, axis1=1, axis2=2)
        inverse, info = batched_inverse(A, self.damping)
        near |= info > 0
        if near.any():
            w, V = np.linalg.eigh(A[near])
            w = np.where(w > 8 * order * _EPS * w[:, -1:], w, 0.0) + self.damping
            inverse[near] = (V / w[:, None, :]) @ V.transpose(0, 2, 1)
            logdet = float(np.log(w).sum())
        return _Inverses(columns, inverse, near, logdet)

    def solve(self, x: Any) -> Any:
        """As of `GradientWindow`."""
        X, vector = self._vectors(x)
        Y = np.empty_like(X)
        for part in self.inverses():
            count, order, _ = part.inverse.shape
            sides = X[:, part.columns].reshape(len(X), count, order).transpose(1, 2, 0)
            solved = np.matmul(part.inverse, sides.astype(np.float64))
            Y[:, part.columns] = solved.transpose(2, 0, 1).reshape(len(X), -1)
        return namespace.restore(namespace.kind_of(x), Y[0] if vector else Y.T)

    def logdet(self) -> float:
        """Logarithm of the determinant of F."""
        total = 0.0
        for part in self.inverses():
            order = part.inverse.shape[1]
            damped = self._sums(part.columns, order)[~part.near] + self.damping * np.eye(order)
            total += part.logdet + float(np.linalg.slogdet(damped).logabsdet.sum())
        return total

    def inverse_element(self, i: int, j: int) -> float:
        """``(F^-1)_ij`` of parameters in one block."""
        for part in self.inverses():
            if part.columns.start <= i < part.columns.stop:
                k, row = divmod(i - part.columns.start, part.inverse.shape[1])
                return float(part.inverse[k, row, j - i + row])
        raise IndexError(i)

    def inverse_diagonal(self) -> Array:
        """The diagonal of ``F^-1``, (dim,) in float64."""
        return np.concatenate(
            [np.diagonal(part.inverse, axis1=1, axis2=2).reshape(-1) for part in self.inverses()]
        )
