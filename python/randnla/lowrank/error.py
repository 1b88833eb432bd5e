# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Certificates: what is known of the error of an approximation, and with what probability.

Three kinds, all from randomness independent of the basis or from none at all:

* ``probe``: Gaussian vectors that took no part in building the basis (Halko, Martinsson and Tropp,
  2011, equation 4.3, and its Frobenius twin);
* ``exact``: the identity ||A - Q Q^H A||_F^2 = ||A||_F^2 - ||Q^H A||_F^2, where rounding lets it
  speak; its failure probability is 0;
* ``leave_one_out``: each column of the sketch is predicted from the others (Epperly and Tropp,
  2024). Free and unbiased for a sketch of one column less, but an estimate, not a bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from randnla._backend.device import is_device
from randnla._backend.kernels import dense, device_dense, qr

from .scaling import Array, unit_roundoff, vector_norm

PROBES = 10
"""Gaussian probes drawn beside every sketch."""

DEFAULT_FAILURE = {"spectral": 1e-10, "frobenius": 1e-4}
"""Failure probability of a probe certificate unless the caller names one."""


@dataclass(frozen=True)
class Certificate:
    """An error estimate in absolute units, how it was found, and the chance that it is too small.

    ``failure_probability`` is None for an estimate that bounds nothing.
    """

    estimate: float
    source: str
    failure_probability: float | None


def frobenius(X: Array) -> float:
    """||X||_F summed in float64."""
    if X.size == 0:
        return 0.0
    if is_device(X):
        return math.sqrt(float(device_dense.column_peaks(X)[1].sum()))
    parts = (X.real, X.imag) if np.iscomplexobj(X) else (X,)
    return math.sqrt(sum(float(np.einsum("ij,ij->", p, p, dtype=np.float64)) for p in parts))


def spectral(X: Array) -> float:
    """||X||_2 of a tall X, from its Gram matrix in float64: the largest value loses nothing there."""
    w, _ = qr.small_eigh(dense.gram(X, wide=True))
    return math.sqrt(max(float(w[-1]), 0.0)) if w.size else 0.0


def column_norms(X: Array) -> npt.NDArray[np.float64]:
    """The 2-norms of the columns, summed in float64."""
    if is_device(X):
        return np.sqrt(device_dense.column_peaks(X)[1])
    parts = (X.real, X.imag) if np.iscomplexobj(X) else (X,)
    squares = sum(np.einsum("ij,ij->j", p, p, dtype=np.float64) for p in parts)
    return np.sqrt(np.asarray(squares, dtype=np.float64))


def inner_products(X: Array, Y: Array) -> Array:
    """``x_j^H y_j`` of the columns, summed in float64."""
    wide = np.complex128 if np.iscomplexobj(X) or np.iscomplexobj(Y) else np.float64
    return np.asarray(np.einsum("ij,ij->j", X.conj(), Y, dtype=wide))


def minus_product(Z: Array, Q: Array, core: Array) -> Array:
    """``Z - Q core``, a new array."""
    if is_device(Z):
        return dense.gemm(Q, core, device_dense.multiple(Z), alpha=-1.0, beta=1.0)
    return Z - dense.gemm(Q, core)


def frobenius_bound(residual: Array, failure: float) -> float:
    """An upper bound on ||E||_F from E times r Gaussian probes, too small with probability <= failure.

    With sigma_i the singular values of E, sum_j ||E w_j||^2 = sum_i sigma_i^2 X_i where the X_i are
    independent chi-square variables of r degrees. The bound is sqrt(sum_j ||E w_j||^2 / x) with x the
    ``failure`` quantile of chi^2_r; it fails when sum_i sigma_i^2 X_i < x ||E||_F^2.
    """
    # The rank-one E is the worst case. Write X_i = 2 G_i, G_i ~ Gamma(a), a = r/2, weights t_i with
    # sum t_i = 1, and F(t) = P(sum t_i G_i <= x). Differentiating the characteristic function,
    #   dF/dt_1 - dF/dt_2 = a (t_1 - t_2) h'(x),  h the density of  sum t_i G_i + t_1 E_1 + t_2 E_2
    # with E_1, E_2 standard exponentials. h rises up to its first critical point z, where its
    # smoothings c_i = (h * exp_{t_i})(z) / h(z) obey c_i <= 1 and, from z h = sum a_i t_i (h * exp_{t_i}),
    #   sum a_i (1 - c_i) = 1   and   z = sum a_i t_i c_i >= a + t_1 + t_2 - max t
    # (a_i the shapes: a + 1 for the pair, a for the others). When t_1 is the largest weight, z >= a:
    # moving weight from any t_2 to it raises F for every x <= a. Repeating it reaches rank one, so
    # F(t) <= P(G_1 <= x) whenever x is at most the mean. Cf. Bock, Diaconis, Huffer, Perlman (1987).
    r = residual.shape[1]
    quantile = 2.0 * float(special.gammaincinv(r / 2, min(failure, 0.5)))
    return frobenius(residual) / math.sqrt(quantile)


def frobenius_below(image: Array, failure: float) -> float:
    """A lower bound on ||A||_F from A times r Gaussian probes, too large with probability <= failure."""
    r = image.shape[1]
    quantile = 2.0 * float(special.gammainccinv(r / 2, min(failure, 0.5)))
    return frobenius(image) / math.sqrt(quantile)


def spectral_bound(residual: Array, failure: float) -> float:
    """An upper bound on ||E||_2 from E times r Gaussian probes (HMT equation 4.3).

    alpha sqrt(2/pi) max_j ||E w_j|| with alpha = failure^(-1/r), since one probe falls short with
    probability P(|g| < sqrt(pi/2) / alpha) <= 1/alpha. For complex E and real probes the law of
    ``frobenius_bound`` with r = 1 covers the leading pair of the real part.
    """
    norms = column_norms(residual)
    alpha = failure ** (-1.0 / norms.size)
    return float(alpha * math.sqrt(2.0 / math.pi) * norms.max())


def probe_bound(residual: Array, norm: str, failure: float | None) -> tuple[float, float]:
    """(bound, failure probability) of a probe certificate in either norm."""
    failure = DEFAULT_FAILURE[norm] if failure is None else failure
    bound = spectral_bound if norm == "spectral" else frobenius_bound
    return bound(residual, failure), failure


def resolution_limit(dtype: npt.DTypeLike) -> float:
    """The relative error below which ||A||_F^2 - ||A_k||_F^2 is lost in rounding by more than 1 %.

    Squares that carry a relative rounding error of about 2u let an error eps ||A||_F be known to 1 % when
    eps^2 >= 4u / 0.01: 4.9e-3 in float32, 2.1e-7 in float64. Products of long columns: `squares_slack`.
    """
    return math.sqrt(4 * unit_roundoff(dtype) / 0.01)


def squares_slack(dtype: npt.DTypeLike, inner: int) -> float:
    """How far rounding may move ||A||_F^2 - ||B||_F^2, B = Q^H A, relative to ||A||_F^2.

    An entry of B is a sum of up to `inner` products in `dtype`. Where all have one sign the partial sums
    grow steadily, and their roundings, of at most u each, add up to inner / 2 u: twice that in the square.
    (Roundings of mixed sign average out far below; sums of one repeated number show a fifth of it.) 64 u
    stand for the norms of the columns of Q (measured: 4 u) and the small factorizations, and the float64
    sum of the squares of A, in runs of at most 2^16, has its own term.
    """
    return unit_roundoff(dtype) * (inner + 64) + unit_roundoff(np.float64) * 2**16


def exact_error(norm: float, captured_squared: float, dtype: npt.DTypeLike, inner: int) -> float | None:
    """An upper bound, 5 % above at most, from ||A||_F^2 - captured; None where rounding says no."""
    if norm == 0.0:
        return 0.0
    slack = squares_slack(dtype, inner)
    least = max(resolution_limit(dtype) ** 2, 10 * slack)
    fraction = 1.0 - captured_squared / norm**2
    return norm * math.sqrt(fraction + slack) if fraction >= least else None


def is_sharp(estimate: float, norm: float, dtype: npt.DTypeLike, inner: int) -> bool:
    """Whether `exact_error` exceeds the error by 1 % at most: its slack is a fiftieth of the difference."""
    return estimate**2 >= 51 * squares_slack(dtype, inner) * norm**2


def rounding_floor(magnitude: float, dtype: npt.DTypeLike, size: int) -> float:
    """What rounding alone puts between A and a product of computed factors of ``size`` columns.

    Each entry of U diag(s) V^H and of the projection Q^H A is a sum whose rounding errors grow like
    the root of its length; 6 u sqrt(size) ||A||_F covers both on every spectrum of the tests (of a
    thousand exact fits of rank 7 the worst took 4.4), and twice that where a product is four.
    """
    factor = 12 if np.dtype(dtype).kind == "c" else 6
    return factor * unit_roundoff(dtype) * math.sqrt(size + 1) * magnitude


def leave_one_out(Z: Array, Q: Array, triangles: Sequence[Array]) -> float:
    """Root mean square of the residuals of the columns of Z, each left out of the basis in turn.

    Parameters
    ----------
    Z : array, shape (m, l)
        First product A Omega, with exchangeable isotropic columns.
    Q : array, shape (m, l)
        Orthonormal basis of (A A^H)^q A Omega.
    triangles : sequence of arrays, shape (l, l)
        The triangular factors of every orthogonalization, in the order they were made; their
        cumulative product R = R_last ... R_first satisfies (A A^H)^q A Omega = Q R.

    Returns
    -------
    float
        An estimate of ||A - Q Q^H A||_F for a sketch of l - 1 columns; 0 when R is singular, for
        the columns left out are then reproduced by the others.
    """
    # Without column j the range loses the direction Q s_j, s_j the normalized j-th column of R^{-H}:
    # it is orthogonal to all other columns of R. Hence
    #   Q_j Q_j^H = Q Q^H - (Q s_j)(Q s_j)^H,
    #   ||(I - Q_j Q_j^H) z_j||^2 = ||(I - Q Q^H) z_j||^2 + |s_j^H Q^H z_j|^2.
    S = left_out_directions(Q.shape[1], triangles)
    if S is None:
        return 0.0
    inside = dense.gemm(Q.conj().T, Z)
    left_out = np.abs(np.einsum("ij,ij->j", S.conj(), inside)) ** 2
    outside = column_norms(Z - dense.gemm(Q, inside)) ** 2
    return math.sqrt(float((outside + left_out).sum()) / max(1, Q.shape[1]))


def left_out_directions(size: int, triangles: Sequence[Array]) -> Array | None:
    """The normalized columns of R^{-H}, R the product of the triangles, the first on the right.

    None where R is singular.
    """
    # R is the *cumulative* product; R^{-H} is applied factor by factor, rescaling columns between,
    # since cond(R) = (sigma_1 / sigma_l)^(2q+1) may exceed 1/u while each factor is benign.
    wide = np.result_type(np.float64, *triangles)
    S = np.eye(size, dtype=wide)
    for R in triangles:
        diagonal = np.abs(np.diagonal(R))
        if size and diagonal.min() <= unit_roundoff(wide) * diagonal.max():
            return None
        S = qr.triangular_solve_right(S.conj().T, R.astype(wide)).conj().T
        S /= np.linalg.norm(S, axis=0)
    return S


def relative(estimate: float, captured_squared: float) -> float:
    """error / ||A||_F given ||A||_F^2 = captured + error^2; grows with the estimate, so a bound stays one."""
    whole = math.hypot(estimate, math.sqrt(captured_squared))
    return estimate / whole if whole else 0.0


def quotient(error: float, norm: float) -> float:
    """Their ratio; an error relative to 0 is 0 or 1."""
    return error / norm if norm > 0 else float(error > 0)


def prefix_error(core: Array, k: int, norm: str) -> float:
    """The norm of the rows k, k+1, ... of B, from `core` with B^H = P core, P orthonormal."""
    rest = core[:, k:]
    if not rest.size:
        return 0.0
    return float(qr.small_svd(rest)[1][0]) if norm == "spectral" else frobenius(rest)


def truncation_errors(s: npt.NDArray[Any], norm: str) -> npt.NDArray[np.float64]:
    """Error of keeping 0, 1, ..., len(s) of the values: their tail (Frobenius) or the next one (spectral)."""
    values = np.asarray(s, dtype=np.float64)
    if norm == "spectral":
        return np.append(values, 0.0)
    top = float(values[0]) if values.size and values[0] > 0 else 1.0
    errors = np.zeros(values.size + 1)
    np.cumsum((values[::-1] / top) ** 2, out=errors[-2::-1])  # scaled: squares of 1e-200 would vanish
    return np.sqrt(errors) * top


def truncation_error(s: npt.NDArray[Any], rank: int, norm: str) -> float:
    """Error of keeping `rank` of the values: an entry of `truncation_errors`, for less than all of them."""
    values = np.asarray(s, dtype=np.float64)
    rest = values[rank:]
    if norm == "spectral" or not rest.size:
        return float(rest[0]) if rest.size else 0.0
    top = float(values[0]) if values[0] > 0 else 1.0
    return vector_norm(rest / top) * top
