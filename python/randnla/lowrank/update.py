# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The truncated SVD of a matrix to which rows and columns are appended."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense, qr
from randnla._backend.results import Info, SVDResult
from randnla.operators import as_operator

from . import error
from .blocks import dense_blocks, stream_dtype
from .factor import widen
from .scaling import Array, exponent_of, fix_signs, in_units, real_dtype, vector_norm

_RENEW = 32  # updates after which the basis that grows in place is orthonormalized afresh


class _Factor:
    """A tall factor [X_1 W_2 W_3 ...; X_2 W_3 ...; ...] whose products are put off.

    Appending turns all rows held by a small W. Neighbors are joined like the digits of a binary counter, so
    each row is multiplied O(log t) times in t updates rather than t times.
    """

    def __init__(self, rows: Array) -> None:
        self.parts: list[tuple[Array, Array]] = [(rows, np.eye(rows.shape[1], dtype=rows.dtype))]

    @property
    def height(self) -> int:
        return sum(len(rows) for rows, _ in self.parts)

    def append(self, turn: Array, rows: Array) -> None:
        """The factor becomes [factor turn; rows]."""
        self.parts.append((rows, turn))
        while len(self.parts) > 1 and len(self.parts[-2][0]) <= 2 * len(self.parts[-1][0]):
            self._join()

    def _join(self) -> None:
        (above, before), (rows, turn) = self.parts[-2:]
        joined = np.concatenate([dense.gemm(above, turn), rows]), dense.gemm(before, turn)
        self.parts[-2:] = [joined]  # at once: an interrupt of a product leaves both

    def whole(self) -> Array:
        """The factor as an array, kept as such."""
        while len(self.parts) > 1:
            self._join()
        rows = self.parts[0][0]
        self.parts = [(rows, np.eye(rows.shape[1], dtype=rows.dtype))]
        return rows


class IncrementalSVD:
    """Truncated SVD of a matrix that grows by rows and by columns.

    Parameters
    ----------
    n : int
        Columns of A, which has no rows at first.
    rank : int
        The largest number of triplets kept.
    forget : float in (0, 1], default 1
        What the matrix so far is multiplied by before every update: less than 1 lets old rows fade.
    dtype : float32, float64, complex64 or complex128
        Of the factors. Blocks of other precision are converted.

    Attributes
    ----------
    shape : (int, int)
        Of A so far.
    rank, forget, dtype

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Brand (2002, 2006): the part of a block outside the basis is orthogonalized twice against it
    and the SVD of a small core turns the factors. Where nothing is truncated the result is the SVD of A, to
    rounding. ``info.error_estimate`` bounds the Frobenius error of all truncations so far: while only rows
    (or only columns) are appended, what is cut off is orthogonal to what was cut off before, and the bound
    is the error itself.

    *Cost*: about 8 n b (k + b) + 4 n k^2 flops for b rows, and O(k^2 log t) a row for the left
    factor over t updates; blocks are taken max(2 k, 64) rows at a time. Memory (m + n) k numbers.

    Examples
    --------
    >>> import numpy as np, randnla
    >>> A = np.random.default_rng(0).standard_normal((300, 4)) @ np.ones((4, 50))
    >>> svd = randnla.IncrementalSVD(50, 4)
    >>> for start in range(0, 300, 100):
    ...     svd.update(A[start : start + 100])
    >>> bool(np.allclose(svd.result().to_dense(), A))
    True
    """

    _KIND = "IncrementalSVD"
    _TYPES: ClassVar[dict[str, type]] = {
        "n": int,
        "rank": int,
        "forget": float,
        "dtype": str,
        "U": np.ndarray,
        "s": np.ndarray,
        "V": np.ndarray,
        "lost": float,
        "sides": str,
        "count": int,
    }

    def __init__(self, n: int, rank: int, *, forget: float = 1.0, dtype: Any = np.float64) -> None:
        n = validate.integer(n, name="n", low=1)
        self.rank = validate.integer(rank, name="rank", low=1)
        self.forget = validate.real(forget, name="forget", low=0.0, high=1.0)
        if self.forget == 0.0:
            raise InputError("forget: expected a number in (0, 1], got 0.0")
        self.dtype = stream_dtype(dtype)
        self._left, self._right = (_Factor(np.zeros((size, 0), self.dtype)) for size in (0, n))
        self._s = np.zeros(0)  # float64
        self._lost = 0.0
        self._sides = ""  # which sides were appended to: "r", "c" or "rc"
        self._count = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix so far."""
        return self._left.height, self._right.height

    def update(self, rows: Any) -> None:
        """Append rows: an array or sparse matrix of shape (r, n), or a row stream.

        Raises
        ------
        InputError, NonFiniteError
            The rows do not fit, or hold NaN or Inf; nothing has changed, nor has it by an interrupt.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> svd = randnla.IncrementalSVD(3, 2)
        >>> svd.update(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
        >>> svd.shape, svd.result().s.round(6)
        ((2, 3), array([3., 2.]))
        """
        self._append_all(as_operator(rows, name="rows"), "r", "rows")

    def update_columns(self, columns: Any) -> None:
        """Append columns: an array or sparse matrix of shape (m, c), m the rows so far.

        Raises
        ------
        InputError, NonFiniteError
            The columns do not fit, or hold NaN or Inf; nothing has changed.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> svd = randnla.IncrementalSVD(1, 2)
        >>> svd.update(np.array([[3.0], [0.0]]))
        >>> svd.update_columns(np.array([[4.0], [0.0]]))
        >>> svd.shape, svd.result().s[0].round(6)
        ((2, 2), np.float64(5.0))
        """
        op = as_operator(columns, name="columns")
        if op.shape[0] != self.shape[0]:
            raise InputError(f"columns: expected {self.shape[0]} rows, got shape {op.shape}")
        op.require_finite(name="columns")  # before the indices change places
        self._append_all(op.T, "c", "columns")

    def _append_all(self, op: Any, side: str, name: str) -> None:
        grown, basis = (self._left, self._right) if side == "r" else (self._right, self._left)
        held = list(grown.parts), list(basis.parts), self._s, self._lost, self._sides, self._count
        try:
            self._append_blocks(op, grown, basis, side, name)
        except BaseException:  # an interrupt too
            grown.parts, basis.parts, self._s, self._lost, self._sides, self._count = held
            raise

    def _append_blocks(self, op: Any, grown: _Factor, basis: _Factor, side: str, name: str) -> None:
        weight = self.forget
        for block in dense_blocks(op, basis.height, self.dtype, max(2 * self.rank, 64), name=name):
            # Columns meet the conjugate of the left factor: A^T = conj(V) S U^T.
            self._append(grown, basis, block.conj() if side == "c" else block, side, weight)
            weight = 1.0  # once for an update, however many pieces it is cut into

    def _append(self, grown: _Factor, basis: _Factor, block: Array, side: str, weight: float) -> None:
        # A = G S V^H and rows B:  [A; B] = [G 0; 0 I] [S 0; B V  R^H] [V J]^H  with (I - V V^H) B^H = J R.
        V, s, b = basis.whole(), self._s * weight, len(block)
        k = s.size
        if k + b < len(V):
            inside = dense.gemm(block, V)
            rest = np.array(block.conj().T, order="C")
            rest -= dense.gemm(V, inside.conj().T)
            again = dense.gemm(V.conj().T, rest)
            rest -= dense.gemm(V, again)
            inside += again.conj().T
            J, R, _ = qr.cholesky_qr(rest)
            # Where a row adds nothing new, J holds directions at random: they too must avoid V.
            J -= dense.gemm(V, dense.gemm(V.conj().T, J))
            core = np.zeros((k + b, k + J.shape[1]), widen(R).dtype)
            core[:k, :k] = np.diag(s)
            core[k:, :k], core[k:, k:] = inside, R.conj().T
            X, values, Yh = qr.small_svd(core)
            wide = np.concatenate([V, J], axis=1)
        else:  # the basis fills its space: the stack itself is small
            stack = np.concatenate([(V * s.astype(V.real.dtype)).conj().T, block])
            wide, T, _ = qr.cholesky_qr(stack.conj().T)
            Y, values, Xh = qr.small_svd(widen(T))
            X, Yh = Xh.conj().T, Y.conj().T
        kept = min(self.rank, values.size)
        turned = X[:, :kept].astype(self.dtype)
        V = dense.gemm(wide, Yh[:kept].conj().T.astype(self.dtype))
        self._count += 1
        if self._count % _RENEW == 0:
            V, _, _ = qr.cholesky_qr(V)  # its triangle is the identity but for rounding
        grown.append(np.ascontiguousarray(turned[:k]), np.ascontiguousarray(turned[k:]))
        basis.parts = [(V, np.eye(kept, dtype=self.dtype))]
        self._s = np.asarray(values[:kept], np.float64)
        self._lose(float(error.truncation_errors(values, "frobenius")[kept]), side, weight)

    def _lose(self, cut: float, side: str, weight: float) -> None:
        # With E the error so far and rows only: U^H E = 0, and what is cut off now lies in the range of
        # diag(U, I), so squares add. The same holds for columns and V. Otherwise norms add.
        self._sides = side if self._sides in ("", side) else "rc"
        before = self._lost * weight
        self._lost = before + cut if self._sides == "rc" else math.hypot(before, cut)

    def result(self) -> SVDResult:
        """The SVD of the matrix so far.

        Returns
        -------
        SVDResult
            U (m, j), s (j,), Vh (j, n), j = min(rank, m, n), and `info` with the bound of the error.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> svd = randnla.IncrementalSVD(3, 2)
        >>> svd.update(np.diag([4.0, 2.0, 1.0]))
        >>> svd.result().s.round(6), round(svd.result().info.error_estimate, 6)
        (array([4., 2.]), 1.0)
        """
        U, V = (np.array(factor.whole()) for factor in (self._left, self._right))
        if len(U) >= U.shape[1] > 0:
            U, _, _ = qr.cholesky_qr(U)  # products of many turns drift by a rounding each
        fix_signs(U, V)
        # In units of the matrix: squares of 1e200 and of 1e-200 leave the range.
        e = exponent_of(max(self._lost, float(self._s.max(initial=0.0))))
        s, lost = np.ldexp(self._s, -e), math.ldexp(self._lost, -e)
        norm = vector_norm(s)
        floor = error.rounding_floor(math.hypot(norm, lost), self.dtype, s.size) * math.sqrt(1 + self._count)
        bound = lost + floor
        info = Info(
            rank=int(np.count_nonzero(s > floor)),
            method="incremental",
            passes=1,
            error_estimate=in_units(bound, e),
            error_kind="frobenius",
            error_relative=error.relative(bound, norm**2),
            failure_probability=0.0,
            converged=True,
            iterations=self._count,
            path={"": "empty", "r": "rows", "c": "columns"}.get(self._sides, "rows and columns"),
            certificate="exact",
            memory=U.nbytes + V.nbytes,
        )
        return SVDResult(U, self._s.astype(real_dtype(self.dtype)), V.conj().T, info=info)

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` goes on, bit for bit.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> svd = randnla.IncrementalSVD(3, 2)
        >>> svd.update(np.eye(3))
        >>> svd.state_dict()["U"].shape
        (3, 2)
        """
        factors = {}
        for key, factor in (("U", self._left), ("V", self._right)):
            factors[key] = factor.whole().copy()
        return plain_state.seal(
            {
                "kind": self._KIND,
                "n": self.shape[1],
                "rank": self.rank,
                "forget": self.forget,
                "dtype": self.dtype.name,
                **factors,
                "s": self._s.copy(),
                "lost": self._lost,
                "sides": self._sides,
                "count": self._count,
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The decomposition a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.

        Examples
        --------
        >>> import numpy as np, randnla
        >>> svd = randnla.IncrementalSVD(3, 2)
        >>> svd.update(np.eye(3))
        >>> randnla.IncrementalSVD.from_state_dict(svd.state_dict()).shape
        (3, 3)
        """
        fields = plain_state.opened(state, cls._KIND, cls._TYPES)
        try:
            made = cls(fields["n"], fields["rank"], forget=fields["forget"], dtype=fields["dtype"])
        except InputError as problem:
            raise StateError(f"state: {problem}") from problem
        if fields["U"].ndim != 2 or fields["s"].ndim != 1 or fields["sides"] not in ("", "r", "c", "rc"):
            raise StateError("U, s, sides: expected a matrix, a vector and one of '', 'r', 'c', 'rc'")
        m, k = fields["U"].shape
        made._left = _Factor(plain_state.array_of(fields, "U", (m, k), made.dtype))
        made._right = _Factor(plain_state.array_of(fields, "V", (fields["n"], k), made.dtype))
        made._s = plain_state.array_of(fields, "s", (k,), np.float64)
        if not (math.isfinite(fields["lost"]) and fields["lost"] >= 0) or fields["count"] < 0:
            raise StateError(f"lost, count: expected numbers >= 0, got {fields['lost']}, {fields['count']}")
        made._lost, made._sides, made._count = float(fields["lost"]), fields["sides"], fields["count"]
        return made

    def __reduce__(self) -> Any:
        return (type(self).from_state_dict, (self.state_dict(),))

    def __repr__(self) -> str:
        m, n = self.shape
        return f"IncrementalSVD({n}, {self.rank}, forget={self.forget}, dtype={self.dtype.name}): {m} rows"
