# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Nystrom preconditioner of SketchySGD."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from randnla._backend import validate
from randnla._backend.kernels import dense, qr, streams, symmetric
from randnla._backend.kernels.dense import Array

from ..inverses.pairs import normalize, nystrom_pairs, turn_to_ritz
from .forms import Form, SpectralForm
from .preconditioner import Preconditioner
from .protocol import Source
from .sources import Products

# Rounding of a Ritz value, over eps ||Y||: products of networks lose some digits more than those of matrices.
_ROUNDING = 1e3


class Nystrom(Preconditioner):
    """``P = U diag(s) U^T + rho I`` by the Nystrom approximation of a Hessian, from `rank` products with it.

    Parameters
    ----------
    rank : int, default 10
        Pairs, at most; of fewer columns than that, all.
    rho : float, default 1e-3
        Positive; may be set at any time.
    rng : None, int, SeedSequence or Generator
        Of the test matrices, one for every update.

    Attributes
    ----------
    U : (p, r) array
        Orthonormal.
    s : (r,) float64 array
        Nonnegative, descending.
    rho, dim, health, seed
        As of every preconditioner.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022, SketchySGD), algorithm 2, with the stabilized
    Nystrom approximation of Tropp, Yurtsever, Udell and Cevher (2017). The shift is a multiple of ``u ||Y||``
    for Y = H Omega, the core is factored in float64, and where it is not definite both the core and Y are
    made anew with a larger shift. (The authors' code shifts the core but not Y.)

    Where `hvp` is indefinite there is no Nystrom approximation: the Gauss-Newton products are taken if there
    are any; else the absolute values of the Ritz pairs of ``orth(H Omega)``, at r products more, so that
    directions of negative curvature are not amplified by 1 / rho. `health` tells.

    *Cost*: r products with H and O(p r^2) for an update, 4 p r flops for a direction. Memory p r numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Nystrom
    >>> R = np.random.default_rng(0).standard_normal((3, 50))
    >>> pre = Nystrom(rank=5, rho=0.1, rng=0)
    >>> pre.update(R)
    >>> g = np.ones(50)
    >>> bool(np.allclose(R.T @ (R @ pre.direction(g)) + 0.1 * pre.direction(g), g))
    True
    """

    _KIND: ClassVar[str] = "Nystrom"
    _SETTINGS: ClassVar[dict[str, type]] = {"rank": int}

    def __init__(self, rank: int = 10, rho: float = 1e-3, *, rng: Any = None) -> None:
        self.rank = validate.integer(rank, name="rank", low=1)
        super().__init__(rho, rng=rng)

    @property
    def U(self) -> Array:
        """Orthonormal columns, none before the first update."""
        form = self._form
        return form.rows.T if isinstance(form, SpectralForm) else np.zeros((self.dim, 0), self.dtype)

    @property
    def s(self) -> Array:
        """The eigenvalues that go with them."""
        form = self._form
        return form.s if isinstance(form, SpectralForm) else np.zeros(0)

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        rows = np.empty((min(self.rank, source.dim), source.dim), source.dtype)
        streams.fill_dense_map(rows, kind="gaussian", seed=self.seed, stream=2 * self._updates)
        Q, _, _ = qr.cholesky_qr(rows.T, seed=self.seed)
        Y = source.times(Q)
        fallback = reason = ""
        if isinstance(source, Products):
            least = _least_ritz_value(Q, Y)
            if least < 0:
                fallback = "absolute values" if ggn is None else "Gauss-Newton"
                reason = f"the Hessian is indefinite: a Ritz value is {least:.3g} of its norm"
                if ggn is None:
                    return _absolute(source, Y, self.seed), fallback, reason
                Y = ggn.times(Q)
        if not dense.screen(Y).finite:
            normalize(Y, name="Hessian")  # raises
        U, s = nystrom_pairs(*turn_to_ritz(Q, Y))
        return SpectralForm(np.ascontiguousarray(U.T), s), fallback, reason

    def _truncated(self, source: Source) -> float:
        trace = getattr(source, "trace", 0.0)
        return max(0.0, 1.0 - float(self.s.sum()) / trace) if trace > 0 else 0.0


def _least_ritz_value(Q: Array, Y: Array) -> float:
    """The least eigenvalue of Q^T Y over the norm of Y where that is more than rounding, else 0."""
    Y = Y.copy()
    _, magnitude = normalize(Y, name="Hessian")
    if magnitude == 0.0:
        return 0.0
    least = float(qr.small_eigh(symmetric.crossed_gram(Q, Y))[0][0]) / magnitude
    return least if least < -_ROUNDING * float(np.finfo(Y.dtype).eps) else 0.0


def _absolute(source: Source, Y: Array, seed: int) -> Form:
    """The Ritz pairs of an indefinite H in the range of Y = H Omega, with absolute values."""
    Y = Y.copy()
    normalize(Y, name="Hessian")
    Q, _, _ = qr.cholesky_qr(Y, seed=seed)
    Z = source.times(Q)
    exponent, _ = normalize(Z, name="Hessian")
    w, V = qr.small_eigh(symmetric.crossed_gram(Q, Z))
    order = np.argsort(-np.abs(w))
    rows = np.ascontiguousarray(dense.gemm(Q, V[:, order].astype(Q.dtype)).T)
    return SpectralForm(rows, np.ldexp(np.abs(w[order]).astype(np.float64), exponent))
