# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the drivers return: factors that unpack like a tuple, with the account of the run beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

_PLAIN = (type(None), str, int, float, bool)


def _plain(value: Any) -> Any:
    """NumPy scalars become Python's, so that an account can be written as JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value


@dataclass(frozen=True, kw_only=True)
class Info:
    """How a randomized result came about and how far it can be trusted; what does not apply is None.

    Attributes
    ----------
    rank : int
        Numerical rank of the approximation that is returned: the singular values of it that stand above
        rounding, 0 for a zero matrix, at most the number of columns of the factors.
    method, sketch : str
        The method and the random map used, after ``"auto"`` was resolved.
    passes, matvecs : int
        Times all of `A` was read; columns `A` or its adjoint was applied to.
    entries : int
        Entries of `A` that were read, where not all are.
    error_estimate : float
        Absolute error of the result in the norm `error_kind`.
    error_kind : str
        "spectral", "frobenius", "trace", "backward", "root mean square" over a manifold or "energy", the norm
        of a positive definite system.
    error_relative : float
        Error over the same norm of `A`; a bound where `error_estimate` is one, for `A`'s norm is known or
        bounded from below. Where the same probes bound both, the two share the failure probability, so that
        this bound, too, fails no more often.
    failure_probability : float
        Probability, over the random numbers, that the true error exceeds the estimate; None where the
        estimate is not a bound.
    converged : bool
        The certified error is below the tolerance asked for.
    iterations : int
    residual : float
    seed : int
        Given back as ``rng=`` it replays the call.
    path : str
        Route or fallback taken inside.
    stream_version : int
        Version of the random stream that `seed` refers to.
    memory : int
        Bytes of workspace and factors at the peak, an estimate by formula: `A`, blocks read from disk and
        the work areas of LAPACK are not counted.
    certificate : str
        How the error was certified.
    condition : float
        Upper bound of the condition of what was orthogonalized, after preconditioning.
    deviation : float
        Jackknife estimate, on average too large, of the standard deviation over sketches of the spectral
        function that was asked for, in the Frobenius norm.
    backward_error : float
        Of a solve: estimated size of the smallest change of the problem that makes the answer exact, relative
        to the Frobenius norm of `A`; the largest one over the right-hand sides.
    """

    rank: int | None = None
    method: str | None = None
    sketch: str | None = None
    passes: int | None = None
    matvecs: int | None = None
    entries: int | None = None
    error_estimate: float | None = None
    error_kind: str | None = None
    error_relative: float | None = None
    failure_probability: float | None = None
    converged: bool | None = None
    iterations: int | None = None
    residual: float | None = None
    seed: int | None = None
    path: str | None = None
    stream_version: int | None = None
    memory: int | None = None
    certificate: str | None = None
    condition: float | None = None
    deviation: float | None = None
    backward_error: float | None = None

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if type(value) not in _PLAIN:
                object.__setattr__(self, name, _plain(value))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python values, ready for JSON."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> Info:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def __str__(self) -> str:
        known = {key: value for key, value in self.to_dict().items() if value is not None}
        width = max((len(key) for key in known), default=0)
        return "\n".join(f"{key:<{width}}  {_shown(value)}" for key, value in known.items())


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, eq=False)
class Result:
    """Base of all results: a frozen dataclass that unpacks over its factors and carries `info`."""

    _not_factors: ClassVar[tuple[str, ...]] = ("info",)

    def _factors(self) -> tuple[Any, ...]:
        return tuple(
            getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name not in self._not_factors
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._factors())

    def __len__(self) -> int:
        return len(self._factors())

    def __getitem__(self, index: Any) -> Any:
        return self._factors()[index]

    def __repr__(self) -> str:
        parts = []
        for item in dataclasses.fields(self):
            if item.name in self._not_factors:
                continue
            value = getattr(self, item.name)
            shape = getattr(value, "shape", None)
            parts.append(
                f"{item.name}: {tuple(shape)} {value.dtype}"
                if shape is not None
                else f"{item.name}: {value!r}"
            )
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        account = str(getattr(self, "info", ""))
        indented = "\n".join("  " + line for line in account.splitlines())
        return repr(self) + ("\n" + indented if indented else "")


@dataclass(frozen=True, eq=False, repr=False)
class SVDResult(Result):
    """``A ~ U @ diag(s) @ Vh``: U (m, k) and Vh (k, n) orthonormal, s (k,) descending.

    Examples
    --------
    >>> U, s, Vh = SVDResult(np.eye(3, 2), np.array([2.0, 1.0]), np.eye(2))
    >>> s
    array([2., 1.])
    """

    U: Any
    s: Any
    Vh: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (m, n) array ``U @ diag(s) @ Vh``."""
        return (self.U * self.s) @ self.Vh


@dataclass(frozen=True, eq=False, repr=False)
class EighResult(Result):
    """``A ~ V @ diag(w) @ V.conj().T``: V (n, k) orthonormal, w (k,)."""

    w: Any
    V: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (n, n) array ``V @ diag(w) @ V.conj().T``."""
        return (self.V * self.w) @ self.V.conj().T


@dataclass(frozen=True, eq=False, repr=False)
class PCAResult(Result):
    """Components (k, n), variances (k,), their ratios (k,), mean (n,) and scores (m, k)."""

    components: Any
    explained_variance: Any
    explained_variance_ratio: Any
    mean: Any
    scores: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class RangeResult(Result):
    """An orthonormal basis Q (m, k) with ``A ~ Q @ (Q.conj().T @ A)``."""

    Q: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class QBResult(Result):
    """``A ~ Q @ B``: Q (m, k) orthonormal, B (k, n)."""

    Q: Any
    B: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (m, n) array ``Q @ B``."""
        return self.Q @ self.B


@dataclass(frozen=True, eq=False, repr=False)
class QRResult(Result):
    """``A = Q @ R``: Q (m, k) orthonormal, R (k, n) upper triangular."""

    Q: Any
    R: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class PivotedQRResult(Result):
    """``A[:, perm] ~ Q @ R``: Q (m, k) orthonormal, R (k, n) upper trapezoidal, perm (n,)."""

    Q: Any
    R: Any
    perm: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class RawPivotedQRResult(Result):
    """The same in LAPACK's format: R above the reflectors in QR (m, n), their factors tau, and perm (n,)."""

    QR: Any
    tau: Any
    perm: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class UTVResult(Result):
    """``A ~ U @ T @ Vh``: U (m, k) and Vh (k, n) orthonormal, T (k, k) upper triangular."""

    U: Any
    T: Any
    Vh: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (m, n) array ``U @ T @ Vh``."""
        return self.U @ self.T @ self.Vh


@dataclass(frozen=True, eq=False, repr=False)
class CholeskyLowRank(Result):
    """``A ~ F @ F.conj().T``: F (n, k), with ``F[pivots]`` lower triangular; pivots (k,) as drawn."""

    F: Any
    pivots: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (n, n) array ``F @ F.conj().T``."""
        return self.F @ self.F.conj().T


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """A number, or an array of them, found at random: `value`, and its estimated deviation `std_error`.

    Examples
    --------
    >>> value, std_error = Estimate(2.0, 0.1)
    >>> float(Estimate(2.0, 0.1))
    2.0
    """

    value: Any
    std_error: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def __float__(self) -> float:
        return float(self.value)


@dataclass(frozen=True, eq=False, repr=False)
class SolveResult(Result):
    """The solution x of a system, (n,) or (n, k) like the right-hand side.

    Examples
    --------
    >>> (x,) = SolveResult(np.ones(2))
    >>> x
    array([1., 1.])
    """

    x: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class ScreeResult(Result):
    """Brackets of the best errors: ``lower[r] <= (sum_{j > r} sigma_j^2)^(1/2) <= upper[r]``."""

    lower: Any
    upper: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class DirectionsResult(Result):
    """A short ``B = diag(s) @ Vh`` with ``B^H B ~ A^H A``: s (l,) descending, Vh (l, n) orthonormal."""

    s: Any
    Vh: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (l, n) array ``diag(s) @ Vh``."""
        return self.s[:, None] * self.Vh


@dataclass(frozen=True, eq=False, repr=False)
class IDResult(Result):
    """Rows or columns of A and the coefficients that rebuild it from them.

    ``kind="column"``: ``A ~ A[:, indices] @ coefficients``; ``"row"``: ``A ~ coefficients @ A[indices]``;
    ``"two_sided"``: `indices` is (rows, columns) and `coefficients` is (X, Vh) with
    ``A ~ X @ A[np.ix_(rows, columns)] @ Vh``.
    """

    indices: Any
    coefficients: Any
    kind: str = field(kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors: ClassVar[tuple[str, ...]] = ("kind", "info")

    def to_dense(self, A: Any) -> Any:
        """The (m, n) approximation, from the array or sparse matrix `A` that was decomposed."""
        if self.kind == "column":
            return A[:, self.indices] @ self.coefficients
        if self.kind == "row":
            # A sparse factor stays on the left, where its product with an array is defined.
            return (A[self.indices].T @ self.coefficients.T).T
        rows, columns = self.indices
        X, Vh = self.coefficients
        return X @ (A[rows][:, columns] @ Vh)


@dataclass(frozen=True, eq=False, repr=False)
class CURResult(Result):
    """``A ~ C @ U @ R``: C = A[:, columns] and R = A[rows], sparse where A is; U a small array."""

    C: Any
    U: Any
    R: Any
    rows: Any
    columns: Any
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The (m, n) array ``C @ U @ R``."""
        return (self.R.T @ (self.C @ self.U).T).T
