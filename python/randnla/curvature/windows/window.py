# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A sliding window of gradients: the damped average of their outer products and its inverse."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import CapacityError, InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.woodbury import widened, window_combine, window_dots
from randnla.operators.base import Array

from ..resumable import Resumable
from .window_core import WindowCore, core_of
from .window_storage import Storage

_DTYPES = ("float32", "float64", "complex64", "complex128")


class GradientWindow(Resumable):
    """``F = damping I + (1/m) sum_i g_i g_i^H`` of the last m <= size vectors, and its inverse.

    Parameters
    ----------
    dim : int
        Length of a gradient, at least 1.
    size : int
        Gradients that are held at most, at least 1; one more overwrites the oldest.
    damping : float
        Positive, and like its reciprocal in the range of `dtype`; may be set anew at any time.
    dtype : float32, float64, complex64 or complex128, default float32
        Of what is held. Gradients of other precision are converted.
    block : int, optional
        F is made block diagonal, with blocks of this order and a last one of what is left.
    storage : {"float16", "bfloat16"}, optional
        What gradients are rounded to, with float32 arithmetic; float16 after scaling by a power of two.
    path : str or path, optional
        A new file that holds the gradients instead of memory.

    Attributes
    ----------
    dim, size, dtype
    count : int
        Gradients held, m.
    damping : float
    path : str
        How the inverse is formed now, of all blocks: "none" before the first solve, "cholesky", or "eigh"
        where damping is less than two digits above rounding of a Gram matrix.

    Raises
    ------
    InputError
        An argument does not fit.
    CapacityError
        The window does not fit in memory.

    Notes
    -----
    *Algorithm*: Woodbury's identity, ``F^-1 x = (x - G^H (G G^H + m damping I)^-1 G x) / damping``, the dual
    form of M-FAC (Frantar, Kurtic and Alistarh, 2021). A row of the Gram matrix G G^H is computed when its
    gradient comes and dropped when it goes, never updated: the window does not drift, however long it slides.
    The Gram matrix, its factors and both products with G are float64 whatever G is stored in, so that the
    error of a solve is of the order of the unit roundoff of `dtype` and eps_64 (damping + ||F||) / damping.

    With P = G^H (G G^H + m damping I)^-1 G the inverse is (I - P) / damping, which cancels in the span of the
    window. Where damping is small it is computed as
    ``(I - P)^2 / damping + m G^H (G G^H + m damping I)^-2 G``, a sum of positive terms, without
    eigenvalues of the Gram matrix that are rounding (path "eigh"): then
    ``x^H F^-1 x`` is positive for damping / ||F|| down to about (eps kappa)^2, eps of `dtype` and kappa the
    ratio of the largest to the least eigenvalue of the Gram matrix that is kept, at most 1 / (8 m eps_64).
    Below that rounding of the result to `dtype` alone may leave it negative.

    Results depend to rounding on the order in memory, which `remove` changes.

    *Cost*: one pass over the window for `add`, two for `solve` (four by path "eigh") and `apply`;
    O(m^3) a block for the first solve after a change. Memory (size + 1) dim numbers and 2 size^2 in float64
    a block.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import GradientWindow
    >>> window = GradientWindow(3, 2, damping=0.5, dtype=np.float64)
    >>> window.add([2.0, 0.0, 0.0])
    >>> window.add([0.0, 1.0, 0.0])
    >>> window.solve([2.5, 1.0, 0.5])
    array([1., 1., 1.])
    """

    _KIND = "GradientWindow"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "size": int,
        "damping": float,
        "dtype": str,
        "block": int,
        "storage": str,
        "rows": np.ndarray,
        "scales": np.ndarray,
        "gram": np.ndarray,
        "order": np.ndarray,
    }
    _core_of = staticmethod(core_of)

    def __init__(
        self,
        dim: int,
        size: int,
        damping: float,
        *,
        dtype: Any = np.float32,
        block: int | None = None,
        storage: str | None = None,
        path: Any = None,
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.size = validate.integer(size, name="size", low=1)
        self.dtype = _dtype(dtype)
        self.block = None if block is None else validate.integer(block, name="block", low=1)
        self.damping = damping
        # Rows [0, count) are held, one more is spare; _order lists them from the oldest to the newest.
        self._blocks = 1 if self.block is None else -(-self.dim // self.block)
        try:
            wide = np.result_type(self.dtype, np.float64)
            self._gram = np.zeros(self._kept_shape(self._blocks, self.size), wide)
            self._held = Storage(self.size + 1, self.dim, self.dtype, storage, path)
        except (InputError, CapacityError):
            raise
        except (MemoryError, ValueError, OverflowError) as error:
            raise CapacityError(
                f"dim, size: a window of {self.size} x {self.dim} does not fit: {error}"
            ) from error
        self._order: list[int] = []

    @property
    def count(self) -> int:
        """Gradients held."""
        return len(self._order)

    @property
    def damping(self) -> float:
        """What is added to the diagonal of F."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        number = validate.real(value, name="damping", low=0.0)
        if number == 0:
            raise InputError("damping: expected a positive number, got 0.0")
        if not _in_range(number, self.dtype):
            raise InputError(
                f"damping: {number:.6g} or its reciprocal is beyond the range of {self.dtype}, the dtype held"
            )
        self._damping = number
        self._forget()

    def _forget(self) -> None:
        self._cores: list[WindowCore] = []

    @property
    def path(self) -> str:
        """How the inverse is formed now."""
        paths = {core.path for core in self._cores}
        return "none" if not paths else "eigh" if "eigh" in paths else "cholesky"

    # -- the window ----------------------------------------------------------------------------------

    def add(self, gradient: Any) -> None:
        """Append a gradient of shape (dim,); a full window drops its oldest.

        Raises
        ------
        InputError, NonFiniteError
            The gradient does not fit, holds NaN or Inf, or its inner products overflow; nothing has changed.
        """
        g = gradient
        if type(g) is not np.ndarray or g.dtype != self.dtype or g.ndim != 1:
            g = validate.native(validate.as_array(g, name="gradient", ndim=1), self.dtype, name="gradient")
        if g.size != self.dim:
            raise InputError(f"gradient: expected {self.dim} entries, got {g.size}")
        m = self.count
        self._held.write(m, g)  # a spare row, part of the window only once it is in the order
        measured = self._measured(m)
        if not math.isfinite(float(self._squares_of(measured, m).sum())):
            validate.require_finite(g, name="gradient")
            raise NonFiniteError(
                f"gradient: its squares overflow float64, its largest entry is {abs(g).max():.3g}"
            )
        full = m == self.size
        slot = self._order[0] if full else m
        if full:
            del self._order[0]
            self._held.move(m, slot)
        self._put(slot, m, measured)
        self._order.append(slot)
        self._forget()

    @staticmethod
    def _kept_shape(blocks: int, m: int) -> tuple[int, ...]:
        """Of what is kept of m gradients beside themselves."""
        return (blocks, m, m)

    def _measured(self, m: int) -> Array:
        """Inner products of what stands in row m with all rows and itself, (blocks, m + 1)."""
        return self._against(self._held.read(m)[None], m + 1)[:, :, 0]

    def _squares_of(self, measured: Array, m: int) -> Array:
        """Those with itself."""
        return measured[:, m].real

    def _put(self, slot: int, m: int, measured: Array) -> None:
        """Keep what was measured of a gradient that goes to a row."""
        self._gram[:, slot, :m] = measured[:, :m]
        self._gram[:, :m, slot] = measured[:, :m].conj()
        self._gram[:, slot, slot] = self._squares_of(measured, m)

    def _close_gap(self, slot: int, last: int) -> None:
        """Of the last row, which moves to another."""
        own = self._gram[:, last, last].copy()
        self._gram[:, slot, :last] = self._gram[:, last, :last]
        self._gram[:, :last, slot] = self._gram[:, :last, last]
        self._gram[:, slot, slot] = own

    def remove(self, i: int = 0) -> None:
        """Drop the i-th oldest gradient, by default the oldest.

        Raises
        ------
        InputError
            There is no such gradient.
        """
        i = validate.integer(i, name="i", low=0)
        if i >= self.count:
            raise InputError(f"i: expected a place in a window of {self.count}, got {i}")
        slot, last = self._order.pop(i), self.count
        if slot != last:  # the last row moves into the gap, so that the rows held stay together
            self._held.move(last, slot)
            self._close_gap(slot, last)
            self._order[self._order.index(last)] = slot
        self._forget()

    def gradients(self) -> Array:
        """A copy of what is held, (count, dim), from the oldest to the newest."""
        return self._held.read(self._order)

    def newest(self) -> Array:
        """The gradient added last, (dim,), as it is held."""
        return self._held.read(self._order[-1])

    def part(self, columns: slice) -> Array:
        """Some columns of what is held, in memory order, in the precision of the Gram matrix."""
        rows = widened(self._held.rows[: self.count, columns])
        return rows.astype(self._gram.dtype) * self._held.scales[: self.count, None]

    def trace_of_gram(self) -> float:
        """Sum of the squares of all gradients."""
        m = self.count
        return float(np.trace(self._gram[:, :m, :m], axis1=1, axis2=2).real.sum())

    # -- F and its inverse ---------------------------------------------------------------------------

    def apply(self, x: Any) -> Any:
        """``F x`` for x of shape (dim,) or (dim, k), an array of the kind of x.

        Raises
        ------
        InputError, NonFiniteError
            x does not fit, or holds NaN or Inf.
        """
        X, vector = self._vectors(x)
        Y = self._combined(self._products(X) / max(1, self.count), self.damping, X)
        return namespace.restore(namespace.kind_of(x), Y[0] if vector else Y.T)

    def solve(self, x: Any) -> Any:
        """``F^-1 x`` for x of shape (dim,) or (dim, k), an array of the kind of x.

        What it factors is kept until the window changes.

        Raises
        ------
        InputError, NonFiniteError
            x does not fit, or holds NaN or Inf.
        """
        X, vector = self._vectors(x)
        cores, damping = self.cores(), self.damping
        P = self._products(X)
        if self.path == "eigh":
            # Relative to the solution: what is of the span in the first term is removed twice.
            inner = [core.inner(p) for core, p in zip(cores, P, strict=True)]
            first = [
                np.zeros_like(p) if core.kept is None else -dense.gemm(core.root, along)
                for core, along, p in zip(cores, inner, P, strict=True)
            ]
            X = self._combined(np.stack(first), 1.0, X)
            C = [
                core.weights(p, damping) if core.kept is None else core.weights_of_rest(along, p, damping)
                for core, along, p in zip(cores, inner, self._products(X), strict=True)
            ]
        else:
            C = [core.weights(p, damping) for core, p in zip(cores, P, strict=True)]
        Y = self._combined(np.stack(C), 1 / damping, X)
        return namespace.restore(namespace.kind_of(x), Y[0] if vector else Y.T)

    def quadform(self, x: Any) -> Any:
        """``x^H F x`` of x (dim,), or of every column of x (dim, k), in float64: never negative."""
        X, vector = self._vectors(x)
        own = np.array([window_dots(row[None], row[None])[0, 0].real for row in X])
        with np.errstate(over="ignore"):  # inf is what a square beyond the range is
            squares = np.square(np.abs(self._products(X))).sum(axis=(0, 1)) / max(1, self.count)
            values = self.damping * own + squares
        return float(values[0]) if vector else values

    def logdet(self) -> float:
        """Logarithm of the determinant of F."""
        m = self.count
        if not m:
            return self.dim * math.log(self.damping)
        inner = sum(core.logdet for core in self.cores())
        return self.dim * math.log(self.damping) + inner - self._blocks * m * math.log(m * self.damping)

    def cores(self) -> list[WindowCore]:
        """What the inverse of every block takes beside the gradients, kept until the window changes."""
        if not self._cores:
            m = self.count
            self._cores = [self._core_of(gram[:m, :m], self.damping) for gram in self._gram]
        return self._cores

    def _vectors(self, x: Any) -> tuple[Array, bool]:
        """x as contiguous rows (k, dim), and whether it was one vector."""
        given = validate.as_array(x, name="x", ndim=(1, 2))
        if given.shape[0] != self.dim:
            raise InputError(f"x: expected {self.dim} rows, got shape {given.shape}")
        X = validate.native(given, self.dtype, name="x").reshape(self.dim, -1).T
        X = np.ascontiguousarray(X)
        if not dense.screen(X).finite:
            validate.require_finite(given, name="x")
        return X, given.ndim == 1

    def _products(self, X: Array) -> Array:
        """``g_i^H x_k`` (blocks, count, k)."""
        return self._against(X, self.count).conj()

    def _blockwise(self, A: Array, B: Array) -> Array:
        """Inner products of rows, in every block."""
        return window_dots(A, B, self.block or self.dim)

    def _against(self, X: Array, rows: int) -> Array:
        P = self._blockwise(self._held.rows[:rows], X)
        return P * self._held.scales[:rows, None] if self._held.scaled else P

    def _combined(self, C: Array, alpha: float, X: Array) -> Array:
        """``alpha X`` and the gradients with weights C (blocks, count, k)."""
        if self._held.scaled:
            C = C * self._held.scales[: self.count, None]
        return window_combine(self._held.rows[: self.count], C, alpha, X, self.block or self.dim)

    def arrays(self) -> dict[str, Array]:
        """What is held as arrays whose shapes do not depend on the count, by reference."""
        order = np.full(self.size, -1, np.int32)
        order[: self.count] = self._order
        return {"rows": self._held.rows, "scales": self._held.scales, "gram": self._gram, "order": order}

    def with_arrays(self, arrays: dict[str, Array]) -> Self:
        """A window with these settings but for dim that holds arrays as `arrays` gives them, by reference."""
        made = copy.copy(self)
        made.dim, made._held = arrays["rows"].shape[1], copy.copy(self._held)
        made._held.rows, made._held.scales = arrays["rows"], arrays["scales"]
        made._gram, made._order = arrays["gram"], [int(i) for i in arrays["order"] if i >= 0]
        made._blocks = len(made._gram)
        made._forget()
        return made

    # -- state -----------------------------------------------------------------------------------------

    @classmethod
    def _kept_part(cls, m: int) -> tuple[slice, ...]:
        return tuple(slice(n) for n in cls._kept_shape(1 << 62, m))

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` and `from_state_dict` go on, bit for bit."""
        m = self.count
        return plain_state.seal(
            {
                "kind": self._KIND,
                "dim": self.dim,
                "size": self.size,
                "damping": self.damping,
                "dtype": self.dtype.name,
                "block": self.block or 0,
                "storage": self._held.storage,
                "rows": np.array(self._held.rows[:m]),
                "scales": self._held.scales[:m].copy(),
                "gram": self._gram[self._kept_part(m)].copy(),
                "order": np.array(self._order, dtype=np.int64),
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The window a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        fields = plain_state.opened(state, cls._KIND, cls._TYPES)
        m = len(fields["rows"]) if fields["rows"].ndim else -1
        for key in ("dim", "size", "block"):
            # Before memory of that size is taken.
            if not (key != "block") <= fields[key] <= 1 << 62:
                raise StateError(f"{key}: expected a positive integer, got {fields[key]}")
        if fields["storage"] not in ("", "float16", "bfloat16"):
            raise StateError(f"storage: expected float16, bfloat16 or none, got {fields['storage']!r}")
        if not 0 <= m <= fields["size"]:
            raise StateError(f"rows: expected at most {fields['size']} rows, got {m}")
        if fields["dtype"] not in _DTYPES:
            raise StateError(f"dtype: expected one of {', '.join(_DTYPES)}, got {fields['dtype']!r}")
        if not (math.isfinite(fields["damping"]) and fields["damping"] > 0):
            raise StateError(f"damping: expected a positive number, got {fields['damping']}")
        dtype = np.dtype(fields["dtype"])
        if not _in_range(fields["damping"], dtype):
            raise StateError(f"damping: expected a number in the range of {dtype}, got {fields['damping']}")
        dim, block = fields["dim"], fields["block"]
        blocks = -(-dim // block) if block else 1
        gram = plain_state.array_of(
            fields, "gram", cls._kept_shape(blocks, m), np.result_type(dtype, np.float64)
        )
        order = plain_state.array_of(fields, "order", (m,), np.int64)
        scales = plain_state.array_of(fields, "scales", (m,), np.float64)
        if sorted(order.tolist()) != list(range(m)):
            raise StateError(f"order: expected a permutation of {m} rows")
        narrow = {"": dtype, "float16": np.dtype(np.float16), "bfloat16": np.dtype(np.uint16)}
        rows = plain_state.array_of(fields, "rows", (m, dim), narrow[fields["storage"]])
        if fields["storage"] == "bfloat16" and not np.isfinite(widened(rows)).all():
            raise StateError("rows: expected finite numbers")
        try:
            made = cls(
                dim,
                fields["size"],
                fields["damping"],
                dtype=dtype,
                block=block or None,
                storage=fields["storage"] or None,
            )
        except (InputError, CapacityError) as error:
            raise StateError(str(error)) from error
        made._held.rows[:m], made._held.scales[:m] = rows, scales
        made._gram[cls._kept_part(m)], made._order = gram, order.tolist()
        return made

    def __repr__(self) -> str:
        return f"GradientWindow({self.dim}, {self.size}, {self.damping}, dtype={self.dtype.name})"


def _in_range(damping: float, dtype: np.dtype[Any]) -> bool:
    limit = float(np.finfo(dtype).max)
    return 1 / limit <= damping <= limit


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        given = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"dtype: expected {', '.join(_DTYPES)}, got {validate.shown(dtype)}") from error
    if dtype is None or given.name not in _DTYPES:
        raise InputError(f"dtype: expected {', '.join(_DTYPES)}, got {validate.shown(dtype)}")
    made: np.dtype[Any] = np.dtype(given.name)
    return made
