# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A semidefinite H held so that every power of ``H + rho I`` is at hand, whatever rho: nothing is refactored.

Vectors are contiguous rows (k, dim), sums are float64.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from randnla._backend.errors import StateError
from randnla._backend.kernels.dense import Array
from randnla._backend.kernels.woodbury import window_combine, window_dots

from .protocol import Root
from .sources import root_of


class Form(Protocol):
    """A semidefinite matrix H."""

    largest: float  # eigenvalue

    def power(self, X: Array, exponent: float, rho: float) -> Array:
        """``X (H + rho I)^exponent``, exponent one of -1, -1/2 and 1."""

    def quadform(self, X: Array) -> Array:
        """``x H x^T`` of every row, in float64."""

    def logdet(self, rho: float, dim: int) -> float:
        """Of H + rho I."""

    def least(self, dim: int) -> float:
        """The smallest eigenvalue."""

    def cast(self, dtype: np.dtype[Any]) -> Form:
        """In another dtype."""

    def state(self) -> dict[str, Any]:
        """Plain arrays."""


class SpectralForm:
    """``H = U diag(s) U^T`` by orthonormal columns, which are the rows of `rows`."""

    def __init__(self, rows: Array, s: Array) -> None:
        self.rows, self.s = rows, s
        self.largest = float(s.max(initial=0.0))
        self._scales: dict[tuple[float, float], tuple[Array, float]] = {}  # of the powers last asked for

    def power(self, X: Array, exponent: float, rho: float) -> Array:
        """``U ((s + rho)^t - rho^t) U^T x + rho^t x``; without the second term where U is square."""
        key = (exponent, rho)
        if key not in self._scales:
            outer = 0.0 if len(self.s) == X.shape[1] else rho**exponent
            if len(self._scales) > 3:
                self._scales.clear()
            self._scales[key] = ((self.s + rho) ** exponent - outer)[:, None], outer
        inner, outer = self._scales[key]
        return window_combine(self.rows, window_dots(self.rows, X) * inner, outer, X)

    def quadform(self, X: Array) -> Array:
        """Sums of positive terms."""
        return np.asarray(self.s @ window_dots(self.rows, X) ** 2)

    def logdet(self, rho: float, dim: int) -> float:
        """From the eigenvalues."""
        return float(np.log(self.s + rho).sum()) + (dim - self.s.size) * math.log(rho)

    def least(self, dim: int) -> float:
        """0 where U is not square."""
        return float(self.s.min()) if self.s.size == dim else 0.0

    def cast(self, dtype: np.dtype[Any]) -> Form:
        """The vectors in another dtype."""
        return SpectralForm(self.rows.astype(dtype, copy=False), self.s)

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        return {"form": "spectral", "rows": self.rows.copy(), "s": self.s.copy()}


class RowForm:
    """``H = R^T R`` by its root R of few rows and the eigenpairs (w, V) of ``R R^T``."""

    def __init__(self, root: Root, w: Array, V: Array) -> None:
        self.root, self.w, self.V = root, w, np.ascontiguousarray(V)
        self.largest = float(w.max(initial=0.0))

    def power(self, X: Array, exponent: float, rho: float) -> Array:
        """``rho^t x + R^T V ((w + rho)^t - rho^t) / w V^T R x``.

        The quotients are written without their cancellation for small w:
        t = -1: -1 / (rho (w + rho)); t = -1/2: -1 / (a b (a + b)), a, b the roots of rho and w + rho.
        """
        damped = self.w + rho
        if exponent == -1:
            quotient = -1.0 / (rho * damped)
        elif exponent == 1:
            quotient = np.ones_like(damped)
        else:
            a, b = math.sqrt(rho), np.sqrt(damped)
            quotient = -1.0 / (a * b * (a + b))
        C = self.V @ (quotient[:, None] * (self.V.T @ self.root.dots(X)))
        return self.root.combine(C, rho**exponent, X)

    def quadform(self, X: Array) -> Array:
        """``|R x|^2``."""
        return np.asarray((self.root.dots(X) ** 2).sum(axis=0))

    def logdet(self, rho: float, dim: int) -> float:
        """By Sylvester's identity."""
        return float(np.log1p(self.w / rho).sum()) + dim * math.log(rho)

    def least(self, dim: int) -> float:
        """There are fewer rows than columns."""
        return 0.0 if self.w.size < dim else float(self.w.min())

    def cast(self, dtype: np.dtype[Any]) -> Form:
        """As it is: sums are float64 anyhow."""
        return self

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        return {"form": "rows", **self.root.state(), "w": self.w.copy(), "V": self.V.copy()}


class DiagonalForm:
    """H is diagonal."""

    def __init__(self, values: Array) -> None:
        self.values = values
        self.largest = float(values.max(initial=0.0))

    def power(self, X: Array, exponent: float, rho: float) -> Array:
        """Entry by entry."""
        return (X * (self.values + rho) ** exponent).astype(X.dtype, copy=False)

    def quadform(self, X: Array) -> Array:
        """A weighted sum of squares."""
        return np.asarray(X.astype(np.float64) ** 2 @ self.values)

    def logdet(self, rho: float, dim: int) -> float:
        """A sum of logarithms."""
        return float(np.log(self.values + rho).sum())

    def least(self, dim: int) -> float:
        """The smallest entry."""
        return float(self.values.min())

    def cast(self, dtype: np.dtype[Any]) -> Form:
        """As it is."""
        return self

    def state(self) -> dict[str, Any]:
        """Plain arrays."""
        return {"form": "diagonal", "values": self.values.copy()}


def form_of(state: dict[str, Any], dim: int) -> Form:
    """The form that `Form.state` describes.

    Raises
    ------
    StateError
    """
    numbers = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    for key, value in numbers.items():
        if value.dtype.kind not in "fi" or not np.isfinite(value).all():
            raise StateError(f"{key}: expected finite numbers")
    try:
        if state["form"] == "spectral":
            made: Form = SpectralForm(np.array(state["rows"], order="C"), np.array(state["s"]))
            fits = state["rows"].shape == (state["s"].size, dim) and (state["s"] >= 0).all()
        elif state["form"] == "diagonal":
            made = DiagonalForm(np.array(state["values"]))
            fits = state["values"].shape == (dim,) and (state["values"] >= 0).all()
        elif state["form"] == "rows":
            root = root_of(state)
            made = RowForm(root, np.array(state["w"]), np.array(state["V"]))
            count = (root.rows,)
            fits = root.dim == dim and state["w"].shape == count and state["V"].shape == count * 2
        else:
            raise StateError(f"form: expected spectral, diagonal or rows, got {state['form']!r}")
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as problem:
        raise StateError(f"form: {type(problem).__name__}: {problem}") from problem
    if not fits:
        raise StateError(f"form: expected arrays of {dim} columns and numbers >= 0")
    return made
