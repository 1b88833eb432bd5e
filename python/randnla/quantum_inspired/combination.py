# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Oversampling access: linear combinations of rows, drawn from by one rejection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Estimate, Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments, weights
from .source import Source, accept
from .sq_matrix import SQMatrix
from .sq_vector import SQVector
from .stacks import RowStack, VectorRows, whole
from .terms import Measured, Terms, terms

Array = NDArray[Any]


class SQCombination(Measured):
    """Oversampling and query access to ``v = sum_t w[t] * rows[t]``, by entry or draw, never as a whole.

    Parameters
    ----------
    rows : SQMatrix or sequence of SQVector
        The terms: the rows of a matrix, or vectors of one size. Not copied: later updates show in entries
        and draws alike, for which the sums over the terms are made anew at the next draw.
    coefficients : array of shape (terms,)
        The w. Terms of weight zero cost nothing.

    Attributes
    ----------
    size : int
    bound : float
        Squared norm of what proposals come from, ``terms * sum |w[t]|^2 ||rows[t]||^2`` over the terms of
        nonzero weight. Over ``||v||^2`` it is phi, the number of proposals a draw takes on average. Zero or
        infinite where float64 ends; draws and norms go on.
    tries, draws : int
        Proposals and draws so far.

    Raises
    ------
    InputError
        The terms have different sizes, or another number than the coefficients.

    Notes
    -----
    *Algorithm*: Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Lemma 3.6. With tau terms,
    ``|v_j|^2 <= tau sum_t |w_t R_tj|^2`` (Cauchy and Schwarz): draw t by ``|w_t|^2 ||R_t||^2``, then j from
    the row, and accept by the ratio of the two sides.

    *Cost*: a draw reads tau entries for each proposal, phi proposals.

    Examples
    --------
    >>> v = SQCombination([SQVector([1.0, 0.0]), SQVector([1.0, 1.0])], [2.0, -1.0])
    >>> v.query([0, 1])
    array([ 1., -1.])
    >>> v.sample(4, rng=3)
    array([1, 0, 0, 1])
    >>> v.bound / 2
    6.0
    """

    def __init__(self, rows: Any, coefficients: Any) -> None:
        stack = _stack_of(rows)
        w = np.array(arguments.vector(coefficients, stack.count, name="coefficients"))
        self._open(stack, lambda: w, (stack,))

    @classmethod
    def of_stack(
        cls, stack: RowStack, weigh: Callable[[], Array], *read: RowStack, conjugate: bool = False
    ) -> SQCombination:
        """``sum_t w[t] * rows[t]``, or with the conjugates of the rows, of rows put together elsewhere.

        ``weigh()`` gives the w as they are, of the rows in `read`.
        """
        made = cls.__new__(cls)
        made._open(stack, weigh, (stack, *read), conjugate=conjugate)
        return made

    def _open(
        self,
        stack: RowStack,
        weigh: Callable[[], Array],
        read: tuple[RowStack, ...],
        *,
        conjugate: bool = False,
    ) -> None:
        self._stack, self._weigh, self._read, self._conjugate = stack, weigh, read, conjugate
        self._held = self._measure()
        self.size = stack.length
        self.dtype = np.result_type(stack.dtype, self._held.coefficients.dtype)
        self.tries = self.draws = 0

    def _measure(self) -> Terms:
        return terms(self._version, self._weigh(), *self._stack.lengths())

    @property
    def _version(self) -> int:
        return sum(stack.version for stack in self._read)

    def __len__(self) -> int:
        return self.size

    def query(self, i: Any) -> Any:
        """Entry i, or those of an array of indices."""
        columns = arguments.index(i, self.size, name="i")
        values = self._combine(self._stack.at(columns))
        return values if np.ndim(i) else values[0]

    def to_dense(self) -> Array:
        """The vector, (size,)."""
        return self._combine(self._stack.dense())

    def _combine(self, block: Array) -> Array:
        block = block.conj() if self._conjugate else block
        return np.asarray(self._terms.coefficients @ block)

    def propose(
        self, source: Source, first: int, count: int, streams: tuple[int, int]
    ) -> tuple[Array, Array]:
        """Proposals first .. first + count - 1 and the chances to accept them."""
        held = self._terms
        t = held.draw(count, source, streams[0], first)
        columns = self._stack.draw(t, source, streams[1], first)
        different, place = np.unique(columns, return_inverse=True)
        block = self._stack.at(different) * self._stack.units()[:, None]
        block = held.units[:, None] * (block.conj() if self._conjugate else block)
        above = held.count * (np.abs(block) ** 2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.abs(block.sum(axis=0)) ** 2 / above
        return columns[None], ratio[place]

    def sample(self, size: int = 1, *, rng: Any = None) -> Array:
        """Indices, j with probability ``|v[j]|**2 / norm(v)**2``.

        Parameters
        ----------
        size : int
        rng : None, int, SeedSequence or Generator

        Returns
        -------
        ndarray of int64, shape (size,)

        Raises
        ------
        InputError
            All terms are zero.
        BreakdownError
            The terms cancel: nothing was accepted in some hundred thousand proposals.
        """
        size = validate.integer(size, name="size", low=0)
        return self.draw(size, Source(rng))

    def draw(self, size: int, source: Source) -> Array:
        """What `sample` gives, for use inside algorithms."""
        if size and not self._terms.weight > 0:
            raise InputError("coefficients, rows: expected a term that is not zero, all are")
        streams = source.take(), source.take()
        found, tries = accept(size, source, lambda first, count: self.propose(source, first, count, streams))
        self.tries += tries
        self.draws += size
        return np.asarray(found[0])

    def norm(self, samples: int = 1000, *, rng: Any = None) -> Estimate:
        """The norm, from the share of proposals that are accepted.

        Parameters
        ----------
        samples : int
            Proposals; the relative error falls like ``sqrt(phi / samples) / 2``.
        rng : None, int, SeedSequence or Generator

        Returns
        -------
        Estimate
            value and std_error.
        """
        samples = validate.integer(samples, name="samples", low=2)
        source = Source(rng)
        info = Info(method="acceptance", seed=source.seed, stream_version=STREAM_VERSION)
        held = self._terms
        if not held.weight > 0:
            return Estimate(0.0, 0.0, info=info)
        ratios = self.propose(source, 0, samples, (source.take(), source.take()))[1]
        mean, deviation = float(ratios.mean()), float(ratios.std(ddof=1)) / samples**0.5
        value = weights.length(held.weight * mean, held.exponent)
        return Estimate(value, value * (deviation / (2 * mean)) if mean else 0.0, info=info)


def _stack_of(rows: Any) -> RowStack:
    if isinstance(rows, RowStack):
        return rows
    if isinstance(rows, SQMatrix):
        return whole(rows)
    if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(v, SQVector) for v in rows):
        raise InputError(
            "rows: expected an SQMatrix or a list of SQVector, got "
            f"{type(rows).__name__} {validate.shown(rows)}"
        )
    if len({v.size for v in rows}) != 1:
        raise InputError(f"rows: expected vectors of one size, got {[v.size for v in rows]}")
    return VectorRows(rows)
