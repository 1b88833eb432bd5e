# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Frequent directions: a deterministic sketch of the rows of a matrix, with a bound that it keeps itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import DirectionsResult, Info
from randnla.operators import as_operator

from .blocks import dense_blocks, stream_dtype
from .factor import narrow_product, widen
from .scaling import (
    Array,
    exponent_of,
    in_units,
    largest_magnitude,
    scale_by_power,
    unit_roundoff,
    vector_norm,
)

_SAFE = 400  # exponents whose squares, summed, stay within float64


class FrequentDirections:
    """A matrix B of few rows with B^H B near A^H A, for an A whose rows come one after another.

    Parameters
    ----------
    n : int
        Columns of A.
    size : int
        Rows l of B, at least 1; up to 2 l rows are held.
    dtype : float32, float64, complex64 or complex128
        Of B. Blocks of other precision are converted.

    Attributes
    ----------
    n, size, dtype
    loss : float
        Delta, the sum of what was taken off the squared singular values so far.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Ghashami, Liberty, Phillips and Woodruff, SIAM J. Comput. 45 (2016), with the doubled buffer.
    0 <= A^H A - B^H B <= Delta I and l Delta <= ||A||_F^2 - ||B||_F^2, hence
    ||A^H A - B^H B|| <= Delta <= ||A - A_k||_F^2 / (l - k) for every k < l: nothing is random. Delta is what
    ``result().info.error_estimate`` reports, rounding included. Merging keeps the guarantee.

    *Cost*: 6 n l flops a row (a Gram matrix of 2 l rows and a product for every l rows) and O(l^3) for every
    l rows; memory 2 l n numbers.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.random.default_rng(0).standard_normal((500, 20)) * 0.5 ** np.arange(20)
    >>> directions = randnla.FrequentDirections(20, 8)
    >>> directions.update(A)
    >>> B = directions.result().to_dense()
    >>> B.shape
    (8, 20)
    >>> bool(np.linalg.norm(A.T @ A - B.T @ B, 2) <= directions.result().info.error_estimate)
    True
    """

    _KIND = "FrequentDirections"
    _TYPES: ClassVar[dict[str, type]] = {
        "n": int,
        "size": int,
        "dtype": str,
        "rows": np.ndarray,
        "loss": float,
        "mass": float,
        "exponent": int,
    }

    def __init__(self, n: int, size: int, *, dtype: Any = np.float64) -> None:
        self.n = validate.integer(n, name="n", low=1)
        self.size = validate.integer(size, name="size", low=1)
        self.dtype = stream_dtype(dtype)
        self._buffer = np.zeros((2 * self.size, self.n), self.dtype)
        self._filled = 0
        # Squares are in units of 4^exponent, set by the first shrinking, so that none leaves the range.
        self._loss = self._mass = 0.0
        self._exponent = 0

    @property
    def loss(self) -> float:
        """Delta: ||A^H A - B^H B|| <= Delta but for rounding."""
        return in_units(self._loss, 2 * self._exponent)

    def update(self, rows: Any) -> None:
        """Append rows, an array or sparse matrix of shape (r, n) or a row stream.

        Raises
        ------
        InputError, NonFiniteError
            The rows do not fit, or hold NaN or Inf; nothing has changed, nor has it by an interrupt.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> directions = randnla.FrequentDirections(3, 2)
        >>> directions.update(np.diag([3.0, 2.0, 1.0]))
        >>> directions.result().s.round(3)  # 9 and 4 less 4
        array([2.236, 0.   ])
        """
        with self._unchanged_by_failures():
            for block in dense_blocks(as_operator(rows, name="rows"), self.n, self.dtype, 1 << 30):
                self._append(block)

    def merge(self, other: FrequentDirections) -> None:
        """Append what `other` holds: the sketch of the rows of both.

        Raises
        ------
        InputError
            `other` has another n, size or dtype; nothing has changed, nor has it by an interrupt.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> one, other = (randnla.FrequentDirections(3, 2) for _ in range(2))
        >>> one.update(np.array([[3.0, 0.0, 0.0]]))
        >>> other.update(np.array([[4.0, 0.0, 0.0]]))
        >>> one.merge(other)
        >>> one.result().s.round(6)
        array([5., 0.])
        """
        if not isinstance(other, FrequentDirections):
            raise InputError(f"other: expected a FrequentDirections, got {type(other).__name__}")
        for key in ("n", "size", "dtype"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine != theirs:
                raise InputError(f"other: expected {key}={mine}, got {theirs}")
        loss, mass, exponent = other._loss, other._mass, other._exponent
        with self._unchanged_by_failures():
            self._append(other._buffer[: other._filled].copy())
            if mass and (exponent > self._exponent or not self._mass):
                self._rescale(exponent)
            self._loss += math.ldexp(loss, 2 * (exponent - self._exponent))
            self._mass += math.ldexp(mass, 2 * (exponent - self._exponent))

    @contextmanager
    def _unchanged_by_failures(self) -> Iterator[None]:
        # Rows are written behind those held, and shrinking makes a new buffer: the old one is a backup.
        held = self._buffer, self._filled, self._loss, self._mass, self._exponent
        try:
            yield
        except BaseException:  # an interrupt too
            self._buffer, self._filled, self._loss, self._mass, self._exponent = held
            raise

    def _append(self, block: Array) -> None:
        start = 0
        while start < len(block):
            if self._filled == 2 * self.size:
                self._buffer, self._filled = self._shrunk(), self.size - 1
            taken = min(len(block) - start, 2 * self.size - self._filled)
            self._buffer[self._filled : self._filled + taken] = block[start : start + taken]
            self._filled += taken
            start += taken

    def _rescale(self, exponent: int) -> None:
        step = 2 * (self._exponent - exponent)
        self._loss, self._mass = math.ldexp(self._loss, step), math.ldexp(self._mass, step)
        self._exponent = exponent

    def _shrunk(self) -> Array:
        """The buffer with its squared singular values less the l-th largest: l - 1 rows; counts the loss."""
        # B B^H = U diag(w) U^H: the rows of diag(sqrt((w - w_l) / w)) U^H B are what Algorithm 2 keeps.
        # Squaring costs nothing here: the guarantee is about A^H A, to rounding of its trace.
        work = self._buffer
        e = exponent_of(largest_magnitude(work))
        if abs(e) > _SAFE:
            work = scale_by_power(work.copy(), -e)
        unit = e if abs(e) > _SAFE else 0
        w, U = qr.small_eigh(dense.gram(work.conj().T, wide=True))
        w, U = np.maximum(w[::-1], 0.0), U[:, ::-1]
        cut = float(w[self.size - 1])
        if unit > self._exponent or not self._mass:
            self._rescale(unit)
        scale = 2.0 ** (2 * (unit - self._exponent))
        self._loss += cut * scale
        self._mass += float(w.sum()) * scale
        top = w[: self.size - 1]
        factor = np.sqrt(np.divide(top - cut, top, out=np.zeros_like(top), where=top > 0))
        buffer = np.zeros_like(self._buffer)
        kept = (U[:, : self.size - 1] * factor).conj().T.astype(self.dtype)
        buffer[: self.size - 1] = dense.gemm(kept, self._buffer)
        return buffer

    def result(self) -> DirectionsResult:
        """The sketch as B = diag(s) Vh.

        Returns
        -------
        DirectionsResult
            s (j,) descending, Vh (j, n) with orthonormal rows, j = min(size, n), and `info`:
            ``error_estimate`` bounds ||A^H A - B^H B|| in the spectral norm.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> directions = randnla.FrequentDirections(4, 3)
        >>> directions.update(np.ones((100, 4)))
        >>> B = directions.result().to_dense()
        >>> bool(np.allclose(B.T @ B, 100)), directions.result().info.rank
        (True, 1)
        """
        held = self
        if self._filled > self.size:
            held = type(self).from_state_dict(self.state_dict())
            held._buffer, held._filled = held._shrunk(), self.size
        P, T, _ = qr.cholesky_qr(held._buffer[: self.size].conj().T)
        Y, s, _ = qr.small_svd(widen(T))
        # Each shrinking, and the rows themselves, are known to rounding of the trace they had.
        e = max(exponent_of(max(s, default=0.0)), held._exponent)
        shift = 2 * (held._exponent - e)
        total = math.ldexp(held._mass, shift) + vector_norm(np.ldexp(s, -e)) ** 2
        rounding = 8 * math.sqrt(2 * self.size) * unit_roundoff(self.dtype) * total
        bound = in_units(math.ldexp(held._loss, shift) + rounding, 2 * e)
        info = Info(
            rank=int(np.count_nonzero(s > unit_roundoff(self.dtype) * max(s, default=0.0))),
            method="frequent_directions",
            passes=1,
            error_estimate=bound,
            error_kind="spectral",
            failure_probability=0.0,
            converged=True,
            path="gram",
            certificate="exact",
            memory=self._buffer.nbytes,
        )
        return DirectionsResult(
            s.astype(self.dtype.type(0).real.dtype), narrow_product(P, Y).conj().T, info=info
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` goes on, bit for bit.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> directions = randnla.FrequentDirections(4, 3)
        >>> directions.update(np.ones((5, 4)))
        >>> directions.state_dict()["rows"].shape
        (5, 4)
        """
        return plain_state.seal(
            {
                "kind": self._KIND,
                "n": self.n,
                "size": self.size,
                "dtype": self.dtype.name,
                "rows": self._buffer[: self._filled].copy(),
                "loss": self._loss,
                "mass": self._mass,
                "exponent": self._exponent,
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The sketch a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.

        Examples
        --------
        >>> import randnla
        >>> directions = randnla.FrequentDirections(4, 3)
        >>> randnla.FrequentDirections.from_state_dict(directions.state_dict())
        FrequentDirections(4, 3, dtype=float64)
        """
        fields = plain_state.opened(state, cls._KIND, cls._TYPES)
        try:
            made = cls(fields["n"], fields["size"], dtype=fields["dtype"])
        except InputError as problem:
            raise StateError(f"state: {problem}") from problem
        filled = len(fields["rows"]) if fields["rows"].ndim else -1
        if not 0 <= filled <= 2 * made.size:
            raise StateError(f"rows: expected at most {2 * made.size} rows, got {filled}")
        made._buffer[:filled] = plain_state.array_of(fields, "rows", (filled, made.n), made.dtype)
        for key in ("loss", "mass"):
            if not (math.isfinite(fields[key]) and fields[key] >= 0):
                raise StateError(f"{key}: expected a finite number >= 0, got {fields[key]}")
        made._filled, made._exponent = filled, fields["exponent"]
        made._loss, made._mass = float(fields["loss"]), float(fields["mass"])
        return made

    def __reduce__(self) -> Any:
        return (type(self).from_state_dict, (self.state_dict(),))

    def __repr__(self) -> str:
        return f"FrequentDirections({self.n}, {self.size}, dtype={self.dtype.name})"
