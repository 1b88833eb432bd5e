# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A damped inverse in eigenvectors, with one eigenvalue for all that the vectors do not span."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.results import Info
from randnla.lowrank.error import column_norms

from ..factors.batch import factor_dtype
from ..resumable import Resumable


def checked_block(V: Any, dim: int, dtype: np.dtype[Any], *, name: str = "V") -> Array:
    """V of shape (dim,) or (dim, k) as a finite block of columns.

    Raises
    ------
    StateError
        `dim` is 0: there has been no refresh.
    InputError, NonFiniteError
    """
    if dim == 0:
        raise StateError("inverse: expected a refresh before it is applied")
    array = validate.as_array(V, name=name, ndim=(1, 2))
    if array.shape[0] != dim:
        raise InputError(f"{name}: expected {dim} rows, got shape {array.shape}")
    block = validate.native(array, dtype, name=name).reshape(dim, -1)
    if not dense.screen(block).finite:
        count, first = dense.first_non_finite(block)
        raise validate.non_finite(name, count, first or (0, 0))
    return block


def column_values(values: Array, v: Any) -> Any:
    """Numbers of the columns of v in its kind of array; a float where v is one vector."""
    return float(values[0]) if np.ndim(v) == 1 else namespace.restore(namespace.kind_of(v), values)


class SpectralInverse(Resumable):
    """``(U diag(s) U^H + tail (I - U U^H) + damping I)^-1``; the refreshes of its subclasses set the pairs.

    Attributes
    ----------
    U : (d, r) array
        Orthonormal.
    s : (r,) float64 array
        Descending, nonnegative.
    tail : float
        The value that continues `s`.
    damping : float
        May be set at any time: nothing has to be computed afresh.
    info : Info
        Of the last refresh.
    """

    _KIND: ClassVar[str]
    _SETTINGS: ClassVar[dict[str, type]] = {}  # arguments of the constructor
    _PROGRESS: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        self._damping = 0.0
        self.U = np.zeros((0, 0))
        self.s = np.zeros(0)
        self.tail = 0.0
        self.info = Info(method="none", rank=0)

    @property
    def damping(self) -> float:
        """What is added to every eigenvalue."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._damping = validate.real(value, name="damping", low=0.0)

    @property
    def dim(self) -> int:
        """Rows of the factor last seen, 0 before the first."""
        return self.U.shape[0]

    @property
    def spectral(self) -> tuple[Array | None, Array]:
        """U and the undamped eigenvalues, that of the complement behind them if there is one."""
        return self.U, self.s if self.s.size == self.dim else np.append(self.s, self.tail)

    @property
    def matrix(self) -> Array | None:
        """The inverse as an array where it is held as one: it is not."""
        return None

    def cast(self, dtype: Any) -> Self:
        """Hold the vectors in another dtype."""
        self.U = self.U.astype(dtype, copy=False)
        return self

    def apply(self, V: Any) -> Any:
        """``(U diag(s) U^H + tail (I - U U^H) + damping I)^-1 V``.

        Parameters
        ----------
        V : array, shape (d,) or (d, k)

        Returns
        -------
        array of the shape and kind of V

        Raises
        ------
        InputError
            V does not fit, or the inverse does not exist: `damping` and an eigenvalue are 0 or next to it.
        NonFiniteError
            V holds NaN or Inf.
        StateError
            There has been no refresh.
        """
        block = checked_block(V, self.dim, self.U.dtype)
        inner, outer = self._reciprocals()
        width = self.U.real.dtype
        core = dense.gemm(self.U.conj().T, block)
        if self.s.size == self.dim:
            out = dense.gemm(self.U, core * inner.astype(width)[:, None])
        elif outer * float(np.finfo(width).eps) <= 2e-5 * inner.min(initial=outer):
            core *= (inner - outer).astype(width)[:, None]
            out = np.array(block, order="C")
            dense.gemm(self.U, core, out, beta=outer)
        else:
            # What the basis holds would cancel to rounding of the rest, 1 / damping times as large.
            out, core = self._split(block, core)
            out *= width.type(outer)
            core *= inner.astype(width)[:, None]
            dense.gemm(self.U, core, out, beta=1.0)
        return namespace.restore(namespace.kind_of(V), out.reshape(np.shape(V)))

    def _split(self, block: Array, core: Array) -> tuple[Array, Array]:
        """The part orthogonal to the basis, projected twice, and the coefficients in the basis."""
        rest = np.array(block, order="C")
        dense.gemm(self.U, core, rest, alpha=-1.0, beta=1.0)
        again = dense.gemm(self.U.conj().T, rest)
        dense.gemm(self.U, again, rest, alpha=-1.0, beta=1.0)
        return rest, core + again

    def quadform(self, v: Any) -> Any:
        """``v^H (...)^-1 v`` of v (d,), or of every column of v (d, k), in float64: never negative."""
        block = checked_block(v, self.dim, self.U.dtype, name="v")
        inner, outer = self._reciprocals()
        rest, core = self._split(block, dense.gemm(self.U.conj().T, block))
        with np.errstate(over="ignore"):  # inf is what a square beyond the range is
            inside = inner @ np.abs(core.astype(np.result_type(core.dtype, np.float64))) ** 2
            values = inside + (outer * column_norms(rest) ** 2 if self.s.size < self.dim else 0.0)
        return column_values(values, v)

    def logdet(self) -> float:
        """``log det (U diag(s) U^H + tail (I - U U^H) + damping I)``."""
        values, rest = self._damped()
        return float(np.log(values).sum() + (self.dim - values.size) * math.log(rest))

    def _damped(self) -> tuple[Array, float]:
        """The damped eigenvalues, and that of the complement."""
        if self.dim == 0:
            raise StateError("inverse: expected a refresh before it is applied")
        values, rest = self.s + self._damping, self.tail + self._damping
        if rest == 0.0 and self.s.size == self.dim:
            rest = 1.0  # there is nothing beyond the pairs
        if rest <= 0.0 or (values <= 0.0).any():
            raise InputError("damping: expected a positive number, for the factor is singular; got 0.0")
        return values, rest

    def _reciprocals(self) -> tuple[Array, float]:
        values, rest = self._damped()
        if min(rest, values.min(initial=rest)) < 4 / float(np.finfo(self.U.dtype).max):
            raise InputError(
                f"damping: {self._damping} is too small for {self.U.dtype}: the inverse of a singular factor "
                "overflows"
            )
        return 1.0 / values, 1.0 / rest

    def _settings(self) -> dict[str, Any]:
        """Arguments that make an inverse like this one."""
        return {name: getattr(self, name) for name in self._SETTINGS}

    @classmethod
    def _types(cls) -> dict[str, type]:
        arrays = dict.fromkeys(("U", "s"), np.ndarray)
        scalars: dict[str, type] = {"dtype": str, "tail": float, "damping": float, "info": str}
        return {**cls._SETTINGS, **cls._PROGRESS, **arrays, **scalars}

    def _progress(self) -> dict[str, Any]:
        """What the next refresh begins from, beside the pairs: the fields of `_PROGRESS`."""
        return {}

    def _resume(self, fields: dict[str, Any]) -> None:
        """Take `_progress` back; raises StateError where it does not fit."""

    def _fields(self) -> dict[str, Any]:
        return {
            **self._settings(),
            **self._progress(),
            "dtype": self.U.dtype.name,
            "U": np.array(self.U, order="C"),
            "s": self.s.copy(),
            "tail": self.tail,
            "damping": self._damping,
            "info": json.dumps(self.info.to_dict()),
        }

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        made = cls._like({name: fields[name] for name in cls._SETTINGS})
        made.damping, made.info = fields["damping"], Info(**json.loads(fields["info"]))
        d, r = fields["U"].shape if fields["U"].ndim == 2 else (-1, -1)
        made.U = plain_state.array_of(fields, "U", (d, r), factor_dtype(fields["dtype"]))
        made.s = plain_state.array_of(fields, "s", (r,), np.float64)
        made.tail = validate.real(fields["tail"], name="tail")
        overlap = dense.gram(made.U, wide=True) - np.eye(r)
        if r > d or (made.s < 0).any() or made.tail < 0 or np.abs(overlap).max(initial=0.0) > 1e-3:
            raise StateError("U, s, tail: expected orthonormal columns and numbers >= 0")
        made._resume(fields)
        return made

    @classmethod
    def _like(cls, settings: dict[str, Any]) -> Self:
        return cls(**settings)

    def __copy__(self) -> Self:
        """Another that shares the arrays, which are never written to; no state is checked on the way."""
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made
