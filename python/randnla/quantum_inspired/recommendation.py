# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Recommendations: items drawn from a user's row of a low-rank approximation, while the ratings change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.results import Info
from randnla._backend.rng import STREAM_VERSION

from . import arguments
from .combination import SQCombination
from .low_rank import held_out_error, shifted
from .results import Recommendation
from .sketch import Core, Frame, check_form, check_method, check_sizes, core, frame
from .source import Source
from .sq_matrix import as_sq
from .sq_vector import SQVector
from .weights import in_units

Array = NDArray[Any]


@dataclass(frozen=True)
class _Tastes:
    """What a refresh finds, replaced as a whole: an interrupt leaves the old or the new."""

    found: Core
    frame: Frame
    keep: Array  # (k,), the share of each direction
    version: int  # of the ratings
    info: Info


class Recommender:
    """Ratings that are changed and asked at the same time.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (users, items)
        Ratings; of an SQMatrix that is given, later updates are seen by the queries.
    rank : int
        Directions of taste.
    rows : int, optional
        Rows drawn at a `refresh`; ``max(60 k, 200)``, as many as there are at most: directions that are used
        many times are worth more rows than others.
    method, form, columns : optional
        As for `even_svt`. With `form` "sampled" no row of the sketch is read whole: for items by the million.
    threshold : float
        Soft threshold: directions of singular values below 5/6 of this part of the largest are dropped,
        those above it are kept, those between in part.
    rng : None, int, SeedSequence or Generator

    Attributes
    ----------
    info : Info
        Of the last `refresh`, also where a later one was interrupted; ``error_estimate`` is the Frobenius
        norm of what the directions miss, from fresh rows.

    Raises
    ------
    InputError
        An argument is out of range or A is zero.

    Notes
    -----
    *Algorithm*: Tang (STOC 2019) in the form of Chia, Gilyen, Li, Lin, Tang and Wang (STOC 2020), Section
    6.1: an item is drawn from ``A_i R^H h(C C^H) R`` by its square. The directions belong to the ratings as
    they were at the last `refresh`, the user's row is read as it is. With `form` "sampled" they are made of
    rows that are not held but read, so that the first `query` after an update starts with a `refresh` of the
    seed of the last.

    *Cost*: a query takes the entries of the user's row and 4 items rank flops; `refresh` what `low_rank_svd`
    takes with "right".

    Examples
    --------
    >>> from randnla.quantum_inspired import SQMatrix
    >>> taste = np.kron(np.eye(2), np.ones((10, 20)))
    >>> model = Recommender(SQMatrix(taste), rank=2, rng=0)
    >>> items, scores = model.query(3, size=5, rng=0)
    >>> bool((items < 20).all())
    True
    >>> model.update(3, 30, 5.0)
    >>> model.refresh(rng=1)
    """

    def __init__(
        self,
        A: Any,
        rank: int,
        *,
        method: str = "auto",
        form: str = "auto",
        rows: int | None = None,
        columns: int | None = None,
        threshold: float = 0.0,
        rng: Any = None,
    ) -> None:
        self.A = as_sq(A)
        self.rank = validate.rank(rank, min(self.A.shape))
        self._method, self._form = check_method(method), check_form(form, self.A)
        if rows is None:
            rows = max(1, self.rank, min(max(60 * self.rank, 200), self.A.shape[0]))
        self._sizes = check_sizes(self.A, self.rank, rows, columns)
        self._threshold = arguments.fraction(threshold, name="threshold")
        self.refresh(rng=rng)

    def refresh(self, *, rng: Any = None) -> None:
        """Find the directions of the ratings as they now are."""
        source, before, version = Source(rng), self.A.entries_read, self.A.version
        r, c = self._sizes
        found = core(
            self.A,
            source,
            method=self._method,
            rows=r,
            columns=c,
            rank=self.rank,
            threshold=self._threshold * 5 / 6,
        )
        if found.sigma.size == 0:
            raise InputError("A: expected ratings that are not all zero")
        turned = frame(found, self._form)
        s = turned.s
        low, high = 5 / 6 * self._threshold * s[0], self._threshold * s[0]
        keep = np.clip((s - low) / (high - low), 0.0, 1.0) if high > 0 else np.ones(s.size)
        error = None
        if turned.orthonormal is not None:
            V = np.ascontiguousarray(turned.orthonormal)
            turned = replace(turned, orthonormal=V)
            error = shifted(held_out_error(self.A, V, source)[0], self.A.exponent)
        info = Info(
            rank=s.size,
            method="length-squared",
            sketch=found.path,
            error_estimate=error,
            error_kind="frobenius",
            certificate="held-out rows" if error is not None else None,
            entries=self.A.entries_read - before,
            seed=source.seed,
            path=f"{found.path}, {self._form}",
            stream_version=STREAM_VERSION,
        )
        self._tastes = _Tastes(found, turned, keep, version, info)

    @property
    def info(self) -> Info:
        """How the directions came about."""
        return self._tastes.info

    def update(self, user: Any, item: Any, rating: Any) -> None:
        """Set ratings; `query` sees them at once, the directions at the next `refresh`.

        With `form` "sampled" that is the next `query`.
        """
        self.A.update(user, item, rating)

    def query(self, user: int, size: int = 10, *, rng: Any = None) -> Recommendation:
        """Items drawn from the user's row of the approximation, by the squares of its entries.

        Parameters
        ----------
        user : int
        size : int
            Items, with repetition.
        rng : None, int, SeedSequence or Generator

        Returns
        -------
        Recommendation

        Raises
        ------
        InputError
            The user is out of range, or their row of the approximation is zero, or all ratings are by now.
        """
        at = validate.integer(user, name="user", low=0, high=self.A.shape[0] - 1)
        size = validate.integer(size, name="size", low=0)
        source, before = Source(rng), self.A.entries_read
        if self._tastes.frame.orthonormal is None and self._tastes.version != self.A.version:
            self.refresh(rng=self._tastes.info.seed)
        row = in_units(self.A.rows([at])[0], self.A.exponent)
        tastes = self._tastes
        V = tastes.frame.orthonormal
        if V is not None:
            projected = V.conj() @ (tastes.keep * (row @ V))
            drawn = SQVector(projected, method="tree", check_finite=False)
            if size and not drawn.norm() > 0:
                raise InputError(f"user: expected one with tastes among those found, got {at}")
            items = drawn.draw(size, source, source.take())
            scores = projected[items]
        else:
            combined = self._combination(tastes, row)
            items = combined.draw(size, source)
            scores = np.asarray(combined.query(items))
        info = Info(
            method="length-squared",
            rank=tastes.frame.s.size,
            entries=self.A.entries_read - before,
            seed=source.seed,
            path=f"{tastes.found.path}, {self._form}",
            stream_version=STREAM_VERSION,
        )
        return Recommendation(items, in_units(scores, -self.A.exponent), info=info)

    def _combination(self, tastes: _Tastes, row: Array) -> SQCombination:
        """A_i V h V^H with V = R^H T, from the entries of the row that are not zero."""
        R, held = tastes.found.R, np.flatnonzero(row)
        inner = R.at(held).conj() @ row[held]  # conj(R) A_i, so that A_i R^H is its conjugate
        T = tastes.frame.T * np.ldexp(1.0, -self.A.exponent)
        return SQCombination.of_stack(R, lambda: ((inner @ T) * tastes.keep) @ T.conj().T)


def recommend(
    A: Any, user: int, *, rank: int, size: int = 10, threshold: float = 0.0, rng: Any = None
) -> Recommendation:
    """Items for one user, from ratings as they are.

    Parameters
    ----------
    A : SQMatrix, or an array to make one of, of shape (users, items)
    user : int
    rank : int
    size : int
        Items, with repetition.
    threshold : float
        As for `Recommender`, which finds the directions once for many queries.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Recommendation
        items (size,) and scores (size,).

    Raises
    ------
    InputError
        An argument is out of range.

    Notes
    -----
    *Algorithm*: that of `Recommender`.

    Examples
    --------
    >>> items, scores = recommend(np.kron(np.eye(2), np.ones((10, 20))), 0, rank=2, size=5, rng=0)
    >>> bool((items < 20).all())
    True
    """
    source = Source(rng)
    model = Recommender(A, rank, threshold=threshold, rng=source.seed)
    found = model.query(user, size, rng=source.seed ^ 1)
    entries = (found.info.entries or 0) + (model.info.entries or 0)
    info = model.info.replace(entries=entries)
    return Recommendation(found.items, found.scores, info=info)
