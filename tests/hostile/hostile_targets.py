# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The public functions under attack: how each is called, and what a correct result is, in float64."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import randnla

Array = np.ndarray[Any, Any]
RANK = 5
TINY = 2.0**-1074


@dataclass(frozen=True)
class Target:
    """`call(A, **keywords)` runs it; `check(result, truth, eps)` returns what is wrong, or None.

    `kind` is "general", "symmetric" or "semidefinite": what A must be.
    """

    name: str
    call: Callable[..., Any]
    check: Callable[[Any, Array, float], str | None]
    kind: str = "general"
    exact_layouts: bool = False  # our own kernels alone: identical bits whatever the layout
    sees_all: bool = True  # False: reads a part of A only and cannot promise to find NaN
    whole: bool = False  # neither rank nor tol means all columns
    rows_needed: int = 0  # a sample cannot be larger than what it is drawn from
    needed_axis: int = 0  # whose length that is
    dense_only: bool = False
    entries_only: bool = False  # what is known by its products alone is a mistake there
    takes_vectors: bool = False  # one axis is no mistake there
    real: bool = False  # complex numbers are a mistake there
    layout_tolerance: float = 1e-12  # what other sums of the same products come to
    mapped_tolerance: float = 1e-8  # a memmap is another kind of input, by a route that `info` names
    refuses: Callable[[Array], bool] = lambda truth: False  # matrices that are no input of it
    breaks: Callable[[Array, float], bool] = lambda truth, eps: False  # matrices that it breaks down for
    argument: str = "A"  # the name of what is under attack, in messages
    parameters: frozenset[str] = frozenset()

    def base(self) -> Array:
        """A well-behaved input: singular values fall like 1.5^-i, no two equal."""
        rng = np.random.default_rng(20)
        m, n = (40, 24) if self.kind == "general" else (24, 24)
        U = np.linalg.qr(rng.standard_normal((m, n)))[0]
        V = np.linalg.qr(rng.standard_normal((n, n)))[0] if self.kind == "general" else U
        A = (U * 1.5 ** -np.arange(n)) @ V.T
        return A if self.kind == "general" else (A + A.T) / 2


# -- correctness, at a scale where nothing over- or underflows ------------------------------------------


def exponent(truth: Array) -> int:
    """e with max |truth| in [2^(e-1), 2^e)."""
    top = float(np.abs(truth).max(initial=0.0))
    return int(np.frexp(top)[1]) if top else 0


def rescale(x: Any, e: int) -> Array:
    """x 2^-e in two exact steps (2^e itself may overflow)."""
    y = np.asarray(x)
    y = y.astype(np.complex128 if y.dtype.kind == "c" else np.float64)
    return (y * 2.0 ** (-e // 2)) * 2.0 ** (-e - (-e // 2))


def precision(A: Any) -> float:
    """The machine epsilon the result of this input is held to."""
    dtype = getattr(A, "dtype", np.dtype(np.float64))
    return float(np.finfo(np.float32 if dtype.char in "efF" else np.float64).eps)


def slack(truth: Array, e: int, eps: float) -> float:
    """Rounding allowed in a Frobenius norm at scale 1: c eps |A|_F, and results that are denormal."""
    spacing = TINY if eps < 1e-10 else 2.0**-149
    return 200 * eps * float(np.linalg.norm(rescale(truth, e))) + rescale(spacing, e) * 4 * (truth.size + 1)


def not_orthonormal(Q: Any, what: str, eps: float) -> str | None:
    Q = np.asarray(Q)
    wide = Q.astype(np.complex128 if Q.dtype.kind == "c" else np.float64)
    # |Q^H Q - I| <= 50 eps sqrt(n) is the promise for tall Q; small ones get the same constant.
    off = float(np.abs(wide.conj().T @ wide - np.eye(Q.shape[1])).max(initial=0.0))
    bound = 50 * eps * np.sqrt(max(Q.shape))
    return None if off <= bound else f"{what}: |Q^H Q - I| = {off:.2e} > {bound:.1e}"


def optimum(truth: Array, e: int, k: int, *, symmetric: bool = False) -> float:
    s = np.linalg.svd(rescale(truth, e), compute_uv=False) if truth.size else np.zeros(0)
    return float(np.sqrt(np.sum(s[k:] ** 2)))


def residual_too_large(
    residual: Array, truth: Array, e: int, k: int, eps: float, factor: float
) -> str | None:
    error, best = float(np.linalg.norm(residual)), optimum(truth, e, k)
    bound = factor * best + slack(truth, e, eps)
    return None if error <= bound else f"error {error:.3e} > {bound:.3e} (best of rank {k}: {best:.3e})"


def check_svd(result: Any, truth: Array, eps: float, factor: float = 1.2) -> str | None:
    U, s, Vh = (np.asarray(x) for x in result)
    m, n = truth.shape
    k = min(RANK, m, n)
    if (U.shape, s.shape, Vh.shape) != ((m, k), (k,), (k, n)):
        return f"shapes {U.shape}, {s.shape}, {Vh.shape}"
    if np.any(s < 0) or np.any(np.diff(s) > 0):
        return f"s is not descending and non-negative: {s}"
    e = exponent(truth)
    wide = rescale(U, 0) * rescale(s, e)
    return (
        not_orthonormal(U, "U", eps)
        or not_orthonormal(Vh.conj().T, "V", eps)
        or residual_too_large(rescale(truth, e) - wide @ Vh, truth, e, k, eps, factor)
        or sign_rule_broken(U)
    )


def sign_rule_broken(U: Array) -> str | None:
    """The largest entry by magnitude of every left vector is positive (ties within rounding excused)."""
    for column in np.asarray(U).T:
        magnitude = np.abs(column)
        leading = column[magnitude >= magnitude.max() * (1 - 1e-4)]
        if leading.size and not np.any((leading.real > 0) & (np.abs(leading.imag) <= 1e-4)):
            return f"sign rule broken: {leading}"
    return None


def check_eigen(result: Any, truth: Array, eps: float) -> str | None:
    w, V = (np.asarray(x) for x in result)
    k = min(RANK, len(truth))
    if (w.shape, V.shape) != ((k,), (len(truth), k)):
        return f"shapes {w.shape}, {V.shape}"
    e = exponent(truth)
    wide = rescale(V, 0)
    return not_orthonormal(V, "V", eps) or residual_too_large(
        rescale(truth, e) - (wide * rescale(w, e)) @ wide.conj().T, truth, e, k, eps, 1.2
    )


def check_cholesky(result: Any, truth: Array, eps: float) -> str | None:
    """F F^H with F[pivots] triangular, the trace that is left within a factor of the least, as reported."""
    if not np.isfinite(truth).all():
        return None  # none of the entries that were read: nothing is promised
    F, pivots = (np.asarray(x) for x in result)
    k, e = F.shape[1], exponent(truth)
    if F.shape[0] != len(truth) or k > min(RANK, len(truth)) or pivots.shape != (k,):
        return f"shapes {F.shape}, {pivots.shape}"
    if len(set(pivots.tolist())) != k or np.any(np.triu(F[pivots], 1)):
        return f"pivots {pivots} with block {F[pivots]}"
    wide = rescale(F, e // 2)
    left = np.diagonal(rescale(truth, e // 2 * 2) - wide @ wide.conj().T).real
    room = slack(truth, e // 2 * 2, eps)
    best = float(np.sum(np.linalg.svd(rescale(truth, e // 2 * 2), compute_uv=False)[k:])) if k else np.inf
    if np.any(left < -room) or left.sum() > 5 * best + room:
        return f"residual diagonal {left}, best {best:.3e}"
    reported = rescale(result.info.error_estimate, e // 2 * 2)
    off = abs(reported - float(left.sum()))
    return None if off <= room else f"trace error {left.sum():.3e} reported as {reported:.3e}"


def check_range(result: Any, truth: Array, eps: float) -> str | None:
    Q = np.asarray(next(iter(result)))
    e = exponent(truth)
    if Q.shape[0] != truth.shape[0] or Q.shape[1] > min(truth.shape):
        return f"shape {Q.shape}"
    A, wide = rescale(truth, e), rescale(Q, 0)
    return not_orthonormal(Q, "Q", eps) or residual_too_large(
        A - wide @ (wide.conj().T @ A), truth, e, min(RANK, *truth.shape), eps, 1.5
    )


def check_qb(result: Any, truth: Array, eps: float) -> str | None:
    Q, B = (np.asarray(x) for x in result)
    k, e = min(RANK, *truth.shape), exponent(truth)
    if (Q.shape, B.shape) != ((truth.shape[0], k), (k, truth.shape[1])):
        return f"shapes {Q.shape}, {B.shape}"
    # Five columns without oversampling, one power iteration.
    return (
        not_orthonormal(Q, "Q", eps)
        or residual_too_large(
            rescale(truth, e) - rescale(Q, 0) @ rescale(B, e), truth, e, max(0, k - 2), eps, 1.5
        )
        or sign_rule_broken(Q)
    )


def check_qr(result: Any, truth: Array, eps: float) -> str | None:
    Q, R = (np.asarray(x) for x in result)
    k, e = min(truth.shape), exponent(truth)
    if (Q.shape, R.shape) != ((truth.shape[0], k), (k, truth.shape[1])):
        return f"shapes {Q.shape}, {R.shape}"
    if np.any(np.tril(R, -1)):
        return "R is not upper triangular"
    return not_orthonormal(Q, "Q", eps) or residual_too_large(
        rescale(truth, e) - rescale(Q, 0) @ rescale(R, e), truth, e, k, eps, 1.0
    )


def check_pivoted_qr(result: Any, truth: Array, eps: float) -> str | None:
    Q, R, perm = (np.asarray(x) for x in result)
    k, e = min(RANK, *truth.shape), exponent(truth)
    if (Q.shape, R.shape) != ((truth.shape[0], k), (k, truth.shape[1])):
        return f"shapes {Q.shape}, {R.shape}"
    if np.any(np.sort(perm) != np.arange(truth.shape[1])):
        return f"perm is no permutation: {perm}"
    if np.any(np.tril(R, -1)) or np.any(np.diagonal(R).real < 0):
        return "R is not upper triangular with a nonnegative diagonal"
    # Pivoting by columns is within a factor of some units of the optimum on these spectra.
    return not_orthonormal(Q, "Q", eps) or residual_too_large(
        rescale(truth, e)[:, perm] - rescale(Q, 0) @ rescale(R, e), truth, e, k, eps, 4.0
    )


def check_utv(result: Any, truth: Array, eps: float) -> str | None:
    U, T, Vh = (np.asarray(x) for x in result)
    m, n = truth.shape
    k, e = min(RANK, m, n), exponent(truth)
    if (U.shape, T.shape, Vh.shape) != ((m, k), (k, k), (k, n)):
        return f"shapes {U.shape}, {T.shape}, {Vh.shape}"
    if np.any(np.tril(T, -1)):
        return "T is not upper triangular"
    return (
        not_orthonormal(U, "U", eps)
        or not_orthonormal(Vh.conj().T, "V", eps)
        or residual_too_large(rescale(truth, e) - rescale(U, 0) @ rescale(T, e) @ Vh, truth, e, k, eps, 1.3)
        or sign_rule_broken(U)
    )


def check_interpolative(result: Any, truth: Array, eps: float) -> str | None:
    index, X = (np.asarray(x) for x in result)
    k, e = min(RANK, *truth.shape), exponent(truth)
    if index.shape != (k,) or X.shape != (k, truth.shape[1]):
        return f"shapes {index.shape}, {X.shape}"
    if not np.array_equal(X[:, index], np.eye(k)):
        return "the chosen columns are not rebuilt exactly"
    A = rescale(truth, e)
    return residual_too_large(A - A[:, index] @ rescale(X, 0), truth, e, k, eps, 5.0)


def check_cur(result: Any, truth: Array, eps: float) -> str | None:
    C, U, R = (x.toarray() if hasattr(x, "toarray") else np.asarray(x) for x in tuple(result)[:3])
    k, e = min(RANK, *truth.shape), exponent(truth)
    if (C.shape, U.shape, R.shape) != ((truth.shape[0], k), (k, k), (k, truth.shape[1])):
        return f"shapes {C.shape}, {U.shape}, {R.shape}"
    if not (np.array_equal(C, truth[:, result[4]]) and np.array_equal(R, truth[np.asarray(result[3])])):
        return "C and R are not columns and rows of A"
    # U carries directions down to sqrt(u) of the largest: what rounding makes of it is 1 / sqrt(u) times u.
    wide = rescale(C, e) @ rescale(U, -e) @ rescale(R, e)
    return residual_too_large(rescale(truth, e) - wide, truth, e, k, float(np.sqrt(eps)), 5.0)


def core_overflows(truth: Array) -> bool:
    """U of cur is of the size of 1 / A: it has no place in the dtype where A is denormal."""
    top = float(np.abs(truth).max(initial=0.0))
    return 0 < top < 1e-306 or 1e-46 < top < 1e-37  # float64 and float32; no float64 case lies between


def pca_told_of_variances(A: Any, *arguments: Any, **keywords: Any) -> Any:
    """Variances below the range are warned of; components and scores are right all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"A: .* variances are below the normal range", RuntimeWarning)
        return randnla.pca(A, *arguments, **keywords)


def variance_overflows(truth: Array) -> bool:
    """A variance is the square of a deviation."""
    top = float(np.abs(truth).max(initial=0.0))
    return top > 1e155 or 1e20 < top < 1e40  # float64 and float32; no float64 case lies between


def check_pca(result: Any, truth: Array, eps: float) -> str | None:
    components = np.asarray(result.components)
    m, n = truth.shape
    k, e = min(RANK, m, n), exponent(truth)
    if components.shape != (k, n):
        return f"components have shape {components.shape}"
    A = rescale(truth, e)
    centred = A - A.mean(axis=0, keepdims=True) if m else A
    wide = rescale(components, 0)
    rest = centred - (centred @ wide.conj().T) @ wide
    bound = 1.2 * optimum(centred, 0, k) + slack(truth, e, eps)
    error = float(np.linalg.norm(rest))
    if error > bound:
        return f"lost variance {error:.3e} > {bound:.3e}"
    return not_orthonormal(wide.conj().T, "components", eps)


def sketch_check(kind: str, size: int) -> Callable[[Any, Array, float], str | None]:
    """The very map of this seed, made dense, times A."""

    def check(result: Any, truth: Array, eps: float) -> str | None:
        dtype = np.float32 if eps > 1e-10 else np.float64
        S = sketch_map(kind)(size, truth.shape[0], rng=0, dtype=dtype).to_dense()
        e = exponent(truth)
        exact = rescale(S, 0) @ rescale(truth, e)
        result = np.asarray(result)
        if result.shape != exact.shape:
            return f"shape {result.shape}, expected {exact.shape}"
        error = float(np.linalg.norm(rescale(result, e) - exact))
        bound = slack(truth, e, eps) * (1 + float(np.linalg.norm(S)))
        return None if error <= bound else f"error {error:.3e} > {bound:.3e}"

    return check


def check_scores(result: Any, truth: Array, eps: float) -> str | None:
    """Row norms of an orthonormal basis; sketched ones, of sparse input, within a factor of ten."""
    scores = np.asarray(result)
    if scores.shape != truth.shape[:1] or not np.all(np.isfinite(scores)) or np.any(scores < 0):
        return f"shape {scores.shape}, from {scores.min()} to {scores.max()}"
    U, s, _ = np.linalg.svd(rescale(truth, exponent(truth)), full_matrices=False)
    # Where the numerical rank is a matter of rounding only its bounds can be told.
    low, high = (
        (np.abs(U[:, s > cut * max(truth.shape) * eps * s[0]]) ** 2).sum(axis=1) for cut in (1e3, 1e-3)
    )
    room = 1e-2 + 50 * eps
    bad = np.any(scores < low / 10 - room) or np.any(scores > 10 * high + room)
    return "scores off" if bad else None


def sketch_map(kind: str) -> Any:
    from randnla.sketching.choose import MAPS

    return MAPS[kind]


# -- the list ------------------------------------------------------------------------------------------


def parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _with_rank(function: Callable[..., Any]) -> Callable[..., Any]:
    """Rank 5, or what the input admits; whoever passes a rank or tol says so."""

    def call(A: Any, **keywords: Any) -> Any:
        if not keywords.keys() & {"rank", "tol"}:
            shape = getattr(A, "shape", ())
            keywords["rank"] = min(RANK, *shape) if len(shape) == 2 else RANK
        return function(A, **{"rng": 0, **keywords})

    return call


def check_product(result: Any, truth: Array, eps: float) -> str | None:
    """f(A) b of the identity f and b = 1."""
    x, e = np.asarray(result.x), exponent(truth)
    if x.shape != truth.shape[:1]:
        return f"shape {x.shape}"
    difference = rescale(x, e) - rescale(truth, e) @ np.ones(len(truth))
    error, bound = float(np.linalg.norm(difference)), slack(truth, e, eps) * len(truth) ** 0.5
    return None if error <= bound else f"error {error:.3e} > {bound:.3e}"


def apply_identity(A: Any, **keywords: Any) -> Any:
    rows = (getattr(A, "shape", None) or (len(A) if isinstance(A, list) else 24,))[0]
    return randnla.apply_function(lambda x: x, A, np.ones(rows, np.float32), **keywords)


_DECOMPOSITIONS: list[tuple[str, Callable[[Any, Array, float], str | None], str]] = [
    ("svd", check_svd, "general"),
    ("range_finder", check_range, "general"),
    ("qb", check_qb, "general"),
    ("interpolative", check_interpolative, "general"),
    ("cur", check_cur, "general"),
    ("pca", check_pca, "general"),
    ("eigh", check_eigen, "symmetric"),
    ("nystrom", check_eigen, "semidefinite"),
    ("rpcholesky", check_cholesky, "semidefinite"),
]
# A stream takes the pass-efficient route of qb, to another basis (2 for each of its columns); `interpolative`
# sketches it by another map, which may choose other columns.
MAPPED = {"qb": 2.0 * RANK, "interpolative": 1.0, "cur": 1.0}
REFUSES = {"cur": core_overflows, "pca": variance_overflows}
# Read a part of the matrix only.
_PARTIAL = {"rpcholesky"}
_SKETCHES = ("gaussian", "sign", "sparse_sign", "countsketch", "srht", "srft", "row_sampling")
# For 8 sampled coordinates (the Hadamard transform of 5 rows has order 8), and for a variance.
ROWS_NEEDED = {"srht": 5, "srft": 8, "row_sampling": 1, "pca": 2}
# Summed by our own kernels in an order that no layout changes.
_OWN_KERNELS = {"sparse_sign", "countsketch", "srht", "row_sampling"}


def _more_qr_targets() -> list[Target]:
    found = [
        Target(
            "qr tsqr",
            lambda A, **keywords: randnla.qr(A, **{"method": "tsqr", **keywords}),
            check_qr,
            dense_only=True,
            parameters=parameters(randnla.qr) - {"method"},
        )
    ]
    for name, check in (("pivoted_qr", check_pivoted_qr), ("utv", check_utv)):
        function = getattr(randnla, name)
        call = _with_rank(function)
        found.append(Target(name, call, check, dense_only=True, whole=True, parameters=parameters(function)))
    return found


def _leverage_target() -> Target:
    return Target(
        "leverage_scores",
        lambda A, **keywords: randnla.leverage_scores(A, **{"rng": 0, **keywords}),
        check_scores,
        mapped_tolerance=1.0,  # sketched scores: of the right size only
        refuses=lambda A: A.shape[0] < A.shape[1] or A.size == 0 or not A.any(),
        parameters=parameters(randnla.leverage_scores),
    )


def _function_target() -> Target:
    return Target(
        "apply_function",
        apply_identity,
        check_product,
        "symmetric",
        parameters=parameters(randnla.apply_function) - {"tol"},
    )


def _targets() -> dict[str, Target]:
    from randnla.sketching.choose import MAPS

    found = [
        Target(
            name,
            _with_rank(pca_told_of_variances if name == "pca" else getattr(randnla, name)),
            check,
            kind,
            parameters=parameters(getattr(randnla, name)),
            mapped_tolerance=MAPPED.get(name, 1e-8),
            rows_needed=ROWS_NEEDED.get(name, 0),
            sees_all=name not in _PARTIAL,
            refuses=REFUSES.get(name, lambda truth: False),
        )
        for name, check, kind in _DECOMPOSITIONS
        if hasattr(randnla, name)
    ]
    if hasattr(randnla, "qr"):
        found.append(Target("qr", randnla.qr, check_qr, dense_only=True, parameters=parameters(randnla.qr)))
        found += _more_qr_targets()
    found += [_leverage_target(), _function_target()]
    single_pass = functools.partial(randnla.svd, method="single_pass")
    found.append(
        Target(
            "svd single_pass",
            _with_rank(single_pass),
            functools.partial(check_svd, factor=4.0),  # no second pass refines it
            parameters=parameters(randnla.svd) - {"method", "power_iters"},
        )
    )
    for kind in _SKETCHES:
        if kind in MAPS:

            def call(A: Any, *, kind: str = kind, **keywords: Any) -> Any:
                return randnla.sketch(A, keywords.pop("size", 8), **{"kind": kind, "rng": 0, **keywords})

            found.append(
                Target(
                    f"sketch {kind}",
                    call,
                    sketch_check(kind, 8),
                    parameters=parameters(randnla.sketch),
                    exact_layouts=kind in _OWN_KERNELS,
                    sees_all=kind != "row_sampling",
                    rows_needed=ROWS_NEEDED.get(kind, 0),
                )
            )
    return {target.name: target for target in found}


TARGETS = _targets()
