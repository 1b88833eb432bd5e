# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC's static window: a recursion that overwrites gradients by what the inverse is a sum of squares of."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import CapacityError, InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense, qr, qr_pivoted
from randnla._backend.kernels.woodbury import blocks_of
from randnla.operators.base import Array

from .window_core import core_of
from .window_storage import mapped

_LED = 24  # gradients of float32 that are subtracted from all others in float64
_SLAB = 1 << 12  # parameters that meet a product at a time
_PLAIN = 60  # exponents of coefficients that are in range with room to spare
_BUFFERED = 16  # gradients that are transposed at a time: a line of float32


def orthogonalize(A: Array, damping: float, L: Array, q: Array) -> None:
    """Overwrite the columns g of A (d, m) by v of ``F^-1 = I / damping - sum_i v_i v_i^T / q_i``.

    As in M-FAC ``v_i = g_i / damping - sum_{j < i} v_j (v_j^T g_i) / q_j`` and ``q_i = m + g_i^T v_i``. With
    ``G G^T / damping + m I = L diag(q) L^T``, gradients being rows of G, that is ``V = G^T L^-T / damping``:
    a Gram matrix and one product with a triangle, each d m^2, where the recursion has as many flops in
    products with vectors.

    A v that is much less than its gradient over damping is what cancels, and what gradients have in common
    does so with the first of them. So of float32 the first gradients, and what they take from all others,
    are in float64; the two products are of what is left. Which ones are first is free: gradients that are
    evenly apart in the window change places with those.

    Parameters
    ----------
    A : (d, m) array
    damping : float
    L : (m, m) array of float64
        Becomes unit lower triangular.
    q : (m,) array of float64
    """
    m, taken = A.shape[1], np.zeros((A.shape[1], 0))
    L[...] = 0.0
    if A.dtype == np.float32:
        led = min(m, _LED)
        S = qr_pivoted.leading_moments(A, led) / damping
        L[:led, :led], q[:led] = _factored(S[:, :led] + m * np.eye(led), m)
        inverse = _inverse(L[:led, :led])
        L[led:, :led] = dense.gemm(S[:, led:].T, inverse.T) / q[:led]
        taken = dense.gemm(L[led:, :led], inverse)
        # A sum of d products in stretches of s has some s / d^1/2 roundings of its size.
        stretch = max(64, 1 << round(math.log2(4 * math.sqrt(len(A)))))
        K = qr_pivoted.add_leading(A, np.hstack([inverse.T / damping, -taken.T]), stretch=stretch)
    else:
        led, K = 0, dense.moments(A)[0]
    # Of what is left of the gradients, beside what is left of m^1/2 I.
    rest = m * (np.eye(m - led) + dense.gemm(taken, taken.T))
    L[led:, led:], q[led:] = _factored(K / damping + rest, m)
    triangle = _inverse(L[led:, led:]).T / damping
    fits = float(np.abs(triangle).max(initial=0.0)) < float(np.finfo(A.dtype).max)
    qr_pivoted.multiply_columns(A[:, led:], triangle, gram=False, wide=not fits)


def _inverse(L: Array) -> Array:
    """Of a unit lower triangle."""
    return qr.triangular_solve_right(np.eye(len(L)), np.ascontiguousarray(L.T)).T


def _factored(S: Array, m: float) -> tuple[Array, Array]:
    """``S = L diag(q) L^T`` with q at least m, as it is in exact numbers."""
    R = qr.small_cholesky(S.copy())
    if R is None or np.diagonal(R).min(initial=math.inf) ** 2 < m:
        # Of the root of the nearest matrix with eigenvalues from m on, however ill-conditioned that is.
        w, V = qr.small_eigh(S.copy())
        R = np.asarray(np.linalg.qr(np.sqrt(np.maximum(w, m))[:, None] * V.T).R)
    diagonal = np.diagonal(R)
    diagonal = np.copysign(np.maximum(np.abs(diagonal), math.sqrt(m)), diagonal)
    L = R.T / diagonal
    np.fill_diagonal(L, 1.0)
    return L, diagonal**2


class StaticWindow:
    """A window that is filled once; see `MFAC`, whose arguments these are.

    Numbers of one parameter lie together, (dim, size): an element of the inverse is a product of two runs.
    """

    _KIND = "StaticWindow"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "size": int,
        "damping": float,
        "built_with": float,
        "squares": float,
        "dtype": str,
        "block": int,
        "columns": np.ndarray,
        "L": np.ndarray,
        "q": np.ndarray,
    }

    def __init__(
        self, dim: int, size: int, damping: float, *, dtype: Any, block: int | None = None, path: Any = None
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.size = validate.integer(size, name="size", low=1)
        self.dtype = validate.map_dtype(dtype)
        self.block = None if block is None else validate.integer(block, name="block", low=1)
        self.damping = damping
        try:
            self._buffer = np.empty((min(_BUFFERED, self.size), self.dim), self.dtype)
            if path is None:
                self._columns: Array = np.zeros((self.dim, self.size), self.dtype)
            else:
                self._columns = mapped(path, self.dtype, (self.dim, self.size))
        except (InputError, CapacityError):
            raise
        except (MemoryError, ValueError, OverflowError) as error:
            raise CapacityError(f"dim, window: {self.dim} x {self.size} does not fit: {error}") from error
        self._parts = blocks_of(self.dim, self.block)
        self.count, self._squares = 0, 0.0
        self._built_with = 0.0  # the damping of the recursion, 0 before it
        self._L: Array = np.zeros((0, 0, 0))
        self._q: Array = np.zeros((0, 0))

    @property
    def damping(self) -> float:
        """What is added to the diagonal of F; after the recursion another one takes small matrices."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        number = validate.real(value, name="damping", low=0.0)
        limit = float(np.finfo(self.dtype).max)
        if not 1 / limit <= number <= limit:
            raise InputError(f"damping: expected a positive number in the range of {self.dtype}, got {value}")
        self._damping = number
        self._weights: Array | None = None

    @property
    def path(self) -> str:
        """How far it is: "none" before the recursion, then "recursion"."""
        return "recursion" if self._built_with else "none"

    def add(self, gradient: Any) -> None:
        """Append a gradient, before the first query."""
        if self._built_with:
            raise StateError("add: a static window is filled before its first query; take another method")
        if self.count == self.size:
            raise StateError(f"add: the static window holds its {self.size} gradients; take another method")
        g = validate.native(validate.as_array(gradient, name="gradient", ndim=1), self.dtype, name="gradient")
        if g.size != self.dim:
            raise InputError(f"gradient: expected {self.dim} entries, got {g.size}")
        found = dense.screen(g[None])
        if not found.finite:
            validate.require_finite(g, name="gradient")
        # The largest v is g / damping, and its product with g has to be in range.
        norm = found.frobenius_norm
        if norm > math.sqrt(float(np.finfo(self.dtype).max) / 2) * math.sqrt(min(self._damping, 1.0)):
            raise NonFiniteError(
                f"gradient: its squares over damping overflow {self.dtype}, its norm is {norm:.3g}"
            )
        place = self.count % len(self._buffer)
        self._buffer[place] = g
        self.count += 1
        self._squares += norm**2
        if place + 1 == len(self._buffer):
            self._flush()

    def _flush(self) -> None:
        held = self.count % len(self._buffer) or len(self._buffer) if self.count else 0
        step = 1 << 12  # a tile of it and of the buffer are in cache
        for j in range(0, self.dim, step):
            self._columns[j : j + step, self.count - held : self.count] = self._buffer[:held, j : j + step].T

    def remove(self, i: int = 0) -> None:
        """Refused."""
        raise StateError("remove: a static window is filled once; take another method")

    def build(self) -> None:
        """The recursion, unless it has been done."""
        if self._built_with:
            return
        self._flush()
        self._buffer = self._buffer[:0, :0].copy()
        m = self.count
        self._L = np.tile(np.eye(m), (len(self._parts), 1, 1))
        self._q = np.full((len(self._parts), m), float(m))
        for i, part in enumerate(self._parts):
            orthogonalize(self._columns[part, :m], self._damping, self._L[i], self._q[i])
        self._built_with, self._weights = self._damping, None

    # -- F and its inverse ---------------------------------------------------------------------------------

    def weights(self) -> Array:
        """M of every block, ``F^-1 = I / damping - V M V^T``: a diagonal for the damping of the recursion."""
        self.build()
        if self._weights is None:
            if self._damping == self._built_with:
                self._weights = 1 / self._q
            else:
                # G^T = built_with V L^T, and Woodbury's identity with the damping that is asked for.
                made = []
                for i, gram in enumerate(self._grams()):
                    half = dense.gemm(core_of(gram, self._damping).root.T, self._L[i])
                    made.append(dense.gemm(half.T, half) * (self._built_with**2 / self._damping))
                self._weights = np.stack(made)
        return self._weights

    def _grams(self) -> list[Array]:
        """``G G^T`` of every block."""
        m, b = self.count, self._built_with
        return [
            b * (dense.gemm(self._L[i] * self._q[i], self._L[i].T) - m * np.eye(m))
            for i in range(len(self._parts))
        ]

    def solve(self, x: Any) -> Any:
        """``F^-1 x`` for x of shape (dim,) or (dim, k)."""
        M = self.weights()
        return self._through(
            x, lambda c, i: M[i][:, None] * c if M.ndim == 2 else M[i] @ c, -1.0, 1 / self._damping
        )

    def apply(self, x: Any) -> Any:
        """``F x`` for x of shape (dim,) or (dim, k)."""
        self.build()
        scale = self._built_with**2 / max(1, self.count)
        return self._through(x, lambda c, i: self._L[i].T @ (self._L[i] @ c), scale, self._damping)

    def _through(self, x: Any, small: Any, scale: float, alpha: float) -> Any:
        """``alpha x + scale V small(V^T x)``."""
        X = self._sides(x)
        out = np.empty_like(X)
        for i, part in enumerate(self._parts):
            V = self._columns[part, : self.count]
            c = scale * small(self._products(part, X), i)
            exponent = math.frexp(float(np.abs(c).max(initial=0.0)))[1]
            if abs(exponent) <= _PLAIN:
                out[part] = X[part]
                dense.gemm(V, c.astype(self.dtype), out[part], beta=alpha)
            else:  # c may be beyond the range where the product with v is not
                product = dense.gemm(V, np.ldexp(c, -exponent).astype(self.dtype))
                out[part] = self.dtype.type(alpha) * X[part] + np.ldexp(product, exponent)
        return namespace.restore(namespace.kind_of(x), out.reshape(np.shape(x)))

    def _products(self, part: slice, X: Array) -> Array:
        """``V^T X`` of a block; sums of float32 are short, and added up in float64."""
        total = np.zeros((self.count, X.shape[1]))
        for inner in blocks_of(part.stop - part.start, _SLAB):
            here = slice(part.start + inner.start, part.start + inner.stop)
            total += dense.gemm(self._columns[here, : self.count].T, X[here])
        return total

    def _sides(self, x: Any) -> Array:
        given = validate.as_array(x, name="x", ndim=(1, 2))
        if given.shape[0] != self.dim:
            raise InputError(f"x: expected {self.dim} rows, got shape {given.shape}")
        X = np.ascontiguousarray(validate.native(given, self.dtype, name="x").reshape(self.dim, -1))
        if not dense.screen(X).finite:
            validate.require_finite(given, name="x")
        return X

    def quadform(self, x: Any) -> Any:
        """``x^T F x`` of x (dim,), or of every column of x (dim, k), in float64: never negative."""
        self.build()
        X = self._sides(x)
        values = self._damping * np.square(X, dtype=np.float64).sum(axis=0)
        for i, part in enumerate(self._parts):
            c = self._L[i] @ self._products(part, X)
            values += self._built_with**2 / max(1, self.count) * np.square(c).sum(axis=0)
        return float(values[0]) if np.ndim(x) == 1 else values

    def logdet(self) -> float:
        """Logarithm of the determinant of F."""
        self.build()
        m, total = self.count, self.dim * math.log(self._damping)
        if not m:
            return total
        if self._damping == self._built_with:
            return total + float(np.log(self._q / m).sum())
        inner = sum(core_of(gram, self._damping).logdet for gram in self._grams())
        return total + inner - len(self._parts) * m * math.log(m * self._damping)

    def trace_of_gram(self) -> float:
        """Sum of the squares of all gradients."""
        return self._squares

    def columns(self, i: int) -> tuple[Array, Array]:
        """v of a parameter (m,) and the weights of its block."""
        M = self.weights()
        return self._columns[i, : self.count], M[i // self.block if self.block else 0]

    def inverse_squares(self, part: slice) -> Array:
        """``(V M V^T)_ii`` of the parameters of a part of one block, in float64."""
        V, M = self._columns[part, : self.count].astype(np.float64), self.weights()
        weights = M[part.start // self.block if self.block else 0]
        found: Array = V**2 @ weights if weights.ndim == 1 else np.einsum("ij,ij->i", V @ weights, V)
        return found

    # -- state -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` goes on, bit for bit."""
        if not self._built_with:
            self._flush()
        return plain_state.seal(
            {
                "kind": self._KIND,
                "dim": self.dim,
                "size": self.size,
                "damping": self._damping,
                "built_with": self._built_with,
                "squares": self._squares,
                "dtype": self.dtype.name,
                "block": self.block or 0,
                "columns": np.array(self._columns[:, : self.count]),
                "L": self._L.copy(),
                "q": self._q.copy(),
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The window a state describes; StateError where a field does not fit."""
        fields = plain_state.opened(state, cls._KIND, cls._TYPES)
        m = fields["columns"].shape[1] if fields["columns"].ndim == 2 else -1
        if not 0 <= m <= fields["size"] or fields["dtype"] not in ("float32", "float64"):
            raise StateError(f"columns, dtype: expected up to {fields['size']} columns, got {m}")
        columns = plain_state.array_of(fields, "columns", (fields["dim"], m), fields["dtype"])
        try:
            made = cls(
                fields["dim"],
                fields["size"],
                fields["damping"],
                dtype=np.dtype(fields["dtype"]),
                block=fields["block"] or None,
            )
        except (InputError, CapacityError) as error:
            raise StateError(str(error)) from error
        made._columns[:, :m], made.count, made._squares = columns, m, fields["squares"]
        held = m % len(made._buffer) or len(made._buffer) if m else 0
        made._buffer[:held] = columns[:, m - held : m].T
        if fields["built_with"]:
            blocks = len(made._parts)
            made._L = plain_state.array_of(fields, "L", (blocks, m, m), np.float64)
            made._q = plain_state.array_of(fields, "q", (blocks, m), np.float64)
            made._buffer, made._built_with = made._buffer[:0, :0].copy(), fields["built_with"]
        return made
