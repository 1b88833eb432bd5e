# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Functions of ``A kron B + damping I`` in the eigenvectors of A and B, on both sides of matrices."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from randnla import _core
from randnla._backend import validate
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

Values = NDArray[np.float64]
_REAL = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class KronWeights:
    """``scale (s_i t_j + damping)^(halves / 2)`` over two spectra, in float64.

    Attributes
    ----------
    s, t : (r,) or (r + 1,) arrays
        Eigenvalues in the order of the basis; one more where a complement shares an eigenvalue.
    damping, scale : float
    halves : int
        2, -2, 1 or -1: the function itself, its inverse, the root, the inverse root.
    """

    s: Values
    t: Values
    damping: float
    halves: int
    scale: float = 1.0

    def table(self) -> Values:
        """All of them, as a matrix."""
        x = np.multiply.outer(self.s, self.t) + self.damping
        if abs(self.halves) == 1:
            x = np.sqrt(x)
        return self.scale * x if self.halves > 0 else self.scale / x

    def without_left(self, order: int) -> KronWeights:
        """Of what is left once the left factor of an undamped product and the scale have been applied."""
        return dataclasses.replace(self, s=np.ones(order), scale=1.0)

    def without_right(self, order: int) -> KronWeights:
        """Of what is left once the right factor of an undamped product has been applied."""
        return dataclasses.replace(self, t=np.ones(order))


def kron_function(
    left: Array | None, right: Array | None, weights: KronWeights, V: Array, *, project_twice: bool = False
) -> Array:
    """``sum_ij w_ij P_i V Q_j`` for a batch of matrices V, P_i and Q_j the projections on eigenvectors.

    Parameters
    ----------
    left, right : (m, r) and (n, s) arrays, or None for the identity
        Eigenvectors of A, and of B conjugated. With one eigenvalue more than columns (r < m) that one is of
        the complement, and the columns are orthonormal; else they are square.
    weights : KronWeights
    V : (batch, m, n) array
        Of the dtype of the bases.
    project_twice : bool
        Split V along complements by explicit projections, twice: positive weights then stay a positive
        definite function even where they differ by more than 1 / eps. Two and a half times the work.

    Returns
    -------
    (batch, m, n) array

    Notes
    -----
    Without complements four products, the weights applied between the second and the third; with both
    complements O(r + s) operations an entry. Real float32 and float64 run in the compiled core.
    """
    bases = [X for X in (left, right) if X is not None]
    complement = weights.s.size > _width(left, weights.s) or weights.t.size > _width(right, weights.t)
    out = np.empty(V.shape, V.dtype)
    compiled = V.dtype in _REAL and all(validate.is_native(X, V.dtype) for X in (V, *bases))
    if compiled and not (project_twice and complement):
        s, t = np.ascontiguousarray(weights.s), np.ascontiguousarray(weights.t)
        _core.kron_function(left, right, s, t, weights.damping, weights.scale, weights.halves, V, out)
        return out
    table = weights.table().astype(V.real.dtype)
    for i in range(len(V)):
        out[i] = _projected(left, right, table, V[i], passes=2 if project_twice else 1)
    return out


def _width(basis: Array | None, values: Values) -> int:
    return values.size if basis is None else basis.shape[1]


def _split(basis: Array, V: Array, passes: int) -> tuple[Array, Array]:
    """Coefficients of V in the columns of the basis, and what is orthogonal to them."""
    coefficients = dense.gemm(basis.conj().T, V)
    rest = V - dense.gemm(basis, coefficients)
    for _ in range(passes - 1):
        more = dense.gemm(basis.conj().T, rest)
        coefficients += more
        rest -= dense.gemm(basis, more)
    return coefficients, rest


def _projected(left: Array | None, right: Array | None, table: Array, V: Array, *, passes: int) -> Array:
    """The same by projections, one matrix at a time, for every dtype."""
    if left is None:
        return _from_the_right(right, table, V, passes)
    r = left.shape[1]
    if table.shape[0] == r:
        inner = _from_the_right(right, table, dense.gemm(left.conj().T, V), passes)
        return dense.gemm(left, inner)
    coefficients, rest = _split(left, V, passes)
    out = dense.gemm(left, _from_the_right(right, table[:r], coefficients, passes))
    out += _from_the_right(right, table[r:], rest, passes)
    return out


def _from_the_right(right: Array | None, table: Array, V: Array, passes: int) -> Array:
    """Rows of V by rows of the table, which has one for all of them or one each."""
    if right is None:
        return table * V
    s = right.shape[1]
    if table.shape[1] == s:
        return dense.gemm(table * dense.gemm(V, right), right.conj().T)
    # The split of V^T along conj(right) is that of V along right from the right.
    coefficients, rest = (X.T for X in _split(right.conj(), V.T, passes))
    out = dense.gemm(np.ascontiguousarray(table[:, :s] * coefficients), right.conj().T)
    out += table[:, s:] * rest
    return out
