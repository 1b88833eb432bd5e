# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The closure properties: sums and products of matrices as ``L^H M R``, with one rejection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError

from . import arguments
from .combination import SQCombination
from .source import Source, accept
from .sq_matrix import SQMatrix
from .sq_vector import SQVector
from .stacks import RowStack, Stacked, VectorRows
from .terms import Measured, Terms, terms

Array = NDArray[Any]


class SQFactored(Measured):
    """Oversampling and query access to ``B = L^H M R``; L and R have rows to draw from, M is small.

    Made by `outer`, `combine`, `product`, `even_svt` and `odd_svt`.

    Parameters
    ----------
    left, right : RowStack
        L (a, m) and R (b, n). Later updates of what they are made of show, in entries and draws alike.
    middle : array of shape (a, b)

    Attributes
    ----------
    shape : (m, n)
    bound : float
        Squared Frobenius norm of what proposals come from; over that of B it is phi. Zero or infinite where
        float64 ends.
    tries, draws : int
        Proposals and draws so far.

    Notes
    -----
    *Algorithm*: the closure properties of Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section 3, cost
    a factor for each step. Flattened to one form they cost one: with tau nonzero entries of M,
    ``|B_ij|^2 <= tau sum_ab |M_ab|^2 |L_ai|^2 |R_bj|^2``; draw (a, b), then i and j from rows a and b.

    *Cost*: a + b entries for each proposal.

    Examples
    --------
    >>> B = outer(SQVector([1.0, 2.0]), SQVector([3.0, 4.0]))
    >>> B.to_dense()
    array([[3., 4.],
           [6., 8.]])
    >>> B.query(1, 0)
    np.float64(6.0)
    >>> (B @ [1.0, 1.0]).tolist()
    [7.0, 14.0]
    """

    def __init__(self, left: RowStack, middle: Array, right: RowStack) -> None:
        self.left, self.middle, self.right = left, np.asarray(middle), right
        self.shape = (left.length, right.length)
        self.dtype = np.result_type(left.dtype, right.dtype, self.middle.dtype, np.float64)
        self._held = self._measure()
        self.tries = self.draws = 0

    def _measure(self) -> Terms:
        (ours, up), (others, down) = self.left.lengths(), self.right.lengths()
        return terms(self._version, self.middle, ours[:, None] * others, up[:, None] + down)

    @property
    def _version(self) -> int:
        return self.left.version + self.right.version

    @property
    def H(self) -> SQFactored:
        """The adjoint."""
        return SQFactored(self.right, self.middle.conj().T, self.left)

    def query(self, i: Any, j: Any) -> Any:
        """Entry (i, j), or those of two arrays of indices of one length."""
        rows = arguments.index(i, self.shape[0], name="i")
        columns = arguments.index(j, self.shape[1], name="j")
        if rows.size != columns.size:
            raise InputError(f"j: expected as many columns as rows, got {columns.size} and {rows.size}")
        L, R = self.left.at(rows), self.right.at(columns)
        values = np.einsum("ak,ab,bk->k", L.conj(), self.middle, R, optimize=True)
        return values if np.ndim(i) or np.ndim(j) else values[0]

    def row(self, i: int) -> SQCombination:
        """Row i, with the same access."""
        at = arguments.index(i, self.shape[0], name="i")
        return SQCombination.of_stack(
            self.right, lambda: self.left.at(at)[:, 0].conj() @ self.middle, self.left
        )

    def column(self, j: int) -> SQCombination:
        """Column j, with the same access."""
        at = arguments.index(j, self.shape[1], name="j")
        return SQCombination.of_stack(
            self.left, lambda: self.middle @ self.right.at(at)[:, 0], self.right, conjugate=True
        )

    def __matmul__(self, b: Any) -> Array:
        """``B @ b``, reading all of L and R."""
        array = validate.as_array(b, name="b", ndim=(1, 2))
        if array.shape[0] != self.shape[1]:
            raise InputError(f"b: expected {self.shape[1]} rows, got {array.shape[0]}")
        return np.asarray(self.left.dense().conj().T @ (self.middle @ (self.right.dense() @ array)))

    def apply(self, b: Any) -> SQCombination:
        """``B @ b`` with oversampling and query access: R is read, L is not."""
        vector = np.array(arguments.vector(b, self.shape[1], name="b"))
        return SQCombination.of_stack(
            self.left, lambda: self.middle @ (self.right.dense() @ vector), self.right, conjugate=True
        )

    def to_dense(self) -> Array:
        """B, (m, n)."""
        return np.asarray(self.left.dense().conj().T @ self.middle @ self.right.dense())

    def sample(self, size: int = 1, *, rng: Any = None) -> tuple[Array, Array]:
        """Indices (rows, columns) of entries, by ``|B[i, j]|**2 / norm(B)**2``.

        Raises
        ------
        InputError
            All terms are zero.
        BreakdownError
            The terms cancel: nothing was accepted in some hundred thousand proposals.
        """
        size = validate.integer(size, name="size", low=0)
        if size and not self._terms.weight > 0:
            raise InputError("B: expected a term that is not zero, all are")
        source = Source(rng)
        streams = source.take(), source.take(), source.take()
        found, tries = accept(size, source, lambda first, count: self._propose(source, first, count, streams))
        self.tries += tries
        self.draws += size
        rows, columns = found if size else (np.zeros(0, np.int64), np.zeros(0, np.int64))
        return rows, columns

    def _propose(
        self, source: Source, first: int, count: int, streams: tuple[int, int, int]
    ) -> tuple[Array, Array]:
        held = self._terms
        a, b = np.divmod(held.draw(count, source, streams[0], first), self.right.count)
        i = self.left.draw(a, source, streams[1], first)
        j = self.right.draw(b, source, streams[2], first)
        L = self.left.at(i) * self.left.units()[:, None]
        R = self.right.at(j) * self.right.units()[:, None]
        value = np.einsum("ak,ab,bk->k", L.conj(), held.units, R, optimize=True)
        above = np.einsum(
            "ak,ab,bk->k", np.abs(L) ** 2, np.abs(held.units) ** 2, np.abs(R) ** 2, optimize=True
        )
        return np.stack([i, j]), np.abs(value) ** 2 / (held.count * above)


def outer(u: SQVector, v: SQVector) -> SQFactored:
    """``u v^H`` with sampling and query access.

    Parameters
    ----------
    u, v : SQVector
        As they are: later updates do not show.

    Returns
    -------
    SQFactored
        Every proposal is accepted: phi = 1.

    Raises
    ------
    InputError
        Another type is given.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Lemma 3.7. *Cost*: none beside that of u
    and v.

    Examples
    --------
    >>> outer(SQVector([1j, 0.0]), SQVector([2j, 1.0])).to_dense()
    array([[2.+0.j, 0.+1.j],
           [0.+0.j, 0.+0.j]])
    """
    for name, vector in (("u", u), ("v", v)):
        if not isinstance(vector, SQVector):
            raise InputError(f"{name}: expected an SQVector, got {type(vector).__name__}")
    # (L^H)_i = conj(L_i) must be u_i, and R_j conj(v_j).
    conjugates = [SQVector(vector.to_dense().conj(), method=vector.method) for vector in (u, v)]
    return SQFactored(VectorRows(conjugates[:1]), np.ones((1, 1)), VectorRows(conjugates[1:]))


def combine(matrices: Sequence[SQFactored], coefficients: Any) -> SQFactored:
    """``sum_t c[t] * B_t`` with oversampling and query access.

    Parameters
    ----------
    matrices : sequence of SQFactored of one shape
    coefficients : array of shape (len(matrices),)

    Returns
    -------
    SQFactored

    Raises
    ------
    InputError
        The shapes differ, or there is another number of coefficients.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Lemma 3.8, by a block diagonal M.

    Examples
    --------
    >>> e, f = SQVector([1.0, 0.0]), SQVector([0.0, 1.0])
    >>> combine([outer(e, f), outer(f, e)], [2.0, 3.0]).to_dense()
    array([[0., 2.],
           [3., 0.]])
    """
    if not isinstance(matrices, (list, tuple)) or not matrices:
        raise InputError(f"matrices: expected a list of SQFactored, got {validate.shown(matrices)}")
    for matrix in matrices:
        if not isinstance(matrix, SQFactored):
            raise InputError(f"matrices: expected SQFactored, got {type(matrix).__name__}")
    if len({matrix.shape for matrix in matrices}) != 1:
        raise InputError(f"matrices: expected one shape, got {[matrix.shape for matrix in matrices]}")
    c = arguments.vector(coefficients, len(matrices), name="coefficients")
    middle = scipy.linalg.block_diag(*(c[t] * matrix.middle for t, matrix in enumerate(matrices)))
    return SQFactored(
        Stacked([matrix.left for matrix in matrices]), middle, Stacked([matrix.right for matrix in matrices])
    )


def product(X: SQMatrix, Y: SQMatrix, samples: int, *, rng: Any = None) -> SQFactored:
    """``X^H Y`` from sampled rows, with oversampling and query access.

    Parameters
    ----------
    X : SQMatrix of shape (m, p)
        Rows are drawn by their lengths.
    Y : SQMatrix of shape (m, q)
    samples : int
        Rows drawn.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    SQFactored
        ``(S X)^H (S Y)`` of shape (p, q); no entry is read before it is asked for. S stays after an update of
        X or Y, which shows.

    Raises
    ------
    InputError
        The matrices have different numbers of rows, or X is zero.

    Notes
    -----
    *Algorithm*: approximate matrix multiplication (Drineas, Kannan and Mahoney, SIAM J. Comput. 36, 2006),
    the mean square of its error being ``(||X||^2 ||Y||^2 - ||X^H Y||^2) / samples`` in Frobenius norms.

    Examples
    --------
    >>> X = SQMatrix(np.eye(3))
    >>> product(X, X, 9, rng=0).shape
    (3, 3)
    """
    from .sketch import sketch_rows

    X, Y = _pair(X, Y)
    source = Source(rng)
    left = sketch_rows(X, validate.integer(samples, name="samples", low=1), source)
    from .stacks import MatrixRows

    right = MatrixRows(Y, left.rows, left.scales)
    return SQFactored(left, np.eye(left.count), right)


def _pair(X: Any, Y: Any) -> tuple[SQMatrix, SQMatrix]:
    for name, matrix in (("X", X), ("Y", Y)):
        if not isinstance(matrix, SQMatrix):
            raise InputError(f"{name}: expected an SQMatrix, got {type(matrix).__name__}")
    if X.shape[0] != Y.shape[0]:
        raise InputError(f"Y: expected {X.shape[0]} rows, as X has, got {Y.shape[0]}")
    return X, Y
