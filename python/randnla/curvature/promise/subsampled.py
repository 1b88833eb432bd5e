# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioners from the rows of a Hessian's root: all of them, or few combinations."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import scipy.sparse

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla._backend.kernels import qr
from randnla._backend.kernels.dense import Array
from randnla.sketching import LeverageSampling, RowSampling, Sign, SparseSign

from .forms import DiagonalForm, Form, RowForm, SpectralForm
from .preconditioner import Preconditioner
from .protocol import Root, Source
from .sources import Products

SCORES = ("uniform", "leverage")
_PROBES = 16


def rows_of(source: Source, who: str) -> Root:
    """A source that has a root.

    Raises
    ------
    InputError
    """
    if isinstance(source, Products):
        raise InputError(f"hvp: {who} needs rows, give hessian_root; Nystrom takes products")
    return cast(Root, source)


def exact_form(root: Root) -> Form:
    """All of ``H = R^T R``, by the eigenpairs of R R^T where R has fewer rows than columns."""
    if root.rows < root.dim:
        held = root.owned()
        w, V = qr.small_eigh(held.gram())
        return RowForm(held, np.maximum(w, 0.0), V)
    s, U = qr.small_eigh(root.normal())
    return SpectralForm(np.ascontiguousarray(U.T), np.maximum(s, 0.0))


class SSN(Preconditioner):
    """``P = H + rho I`` with the whole Hessian of the sample: subsampled Newton.

    Parameters
    ----------
    rho : float, default 1e-3
        Positive; may be set at any time.
    rng
        Not used; every preconditioner has it.

    Attributes
    ----------
    rho, dim, health, seed
        As of every preconditioner.

    Raises
    ------
    InputError
        An argument does not fit; an update gets products instead of rows.

    Notes
    -----
    *Algorithm*: of b rows R < p columns the root and the eigenpairs of R R^T, by Woodbury's identity;
    sparse roots stay sparse. Of more rows the eigenpairs of H. Eigenpairs instead of a Cholesky factor give
    every power of P, and a change of rho costs nothing. Products with the root are summed in float64; a
    direction is known to some ``eps_64 (largest eigenvalue + rho) / rho`` beside rounding to the dtype.

    *Cost*: O(b^2 p + b^3) an update, 4 b p + 4 b^2 flops a direction; O(b p^2 + p^3) and 4 p^2 where b >= p.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SSN
    >>> R = np.array([[2.0, 0.0, 0.0]])
    >>> pre = SSN(rho=1.0)
    >>> pre.update(R)
    >>> pre.direction(np.ones(3))
    array([0.2, 1. , 1. ])
    """

    _KIND: ClassVar[str] = "SSN"

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        return exact_form(rows_of(source, self._KIND)), "", ""


class SASSN(Preconditioner):
    """``P = (S R)^T (S R) + rho I`` with `rank` random combinations of the rows of the root R.

    Parameters
    ----------
    rank : int, default 10
        Rows of the sparse sign map S. A root of fewer rows is taken as it is.
    rho : float, default 1e-3
        Positive; may be set at any time.
    nnz : int, default 8
        Combinations that a row takes part in (at most `rank`).
    rng : None, int, SeedSequence or Generator
        Of the maps, one for every update.

    Attributes
    ----------
    rho, dim, health, seed
        As of every preconditioner.

    Raises
    ------
    InputError
        An argument does not fit; an update gets products instead of rows.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2023, PROMISE), the column-sparse embedding.

    *Cost*: 2 nnz additions for every number of R and O(r^2 p) an update, 4 p r flops a direction.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SASSN
    >>> pre = SASSN(rank=20, rho=0.1, rng=0)
    >>> pre.update(np.random.default_rng(0).standard_normal((200, 50)) / 200**0.5)
    >>> pre.direction(np.ones(50)).shape
    (50,)
    """

    _KIND: ClassVar[str] = "SASSN"
    _SETTINGS: ClassVar[dict[str, type]] = {"rank": int, "nnz": int}

    def __init__(self, rank: int = 10, rho: float = 1e-3, *, nnz: int = 8, rng: Any = None) -> None:
        self.rank = validate.integer(rank, name="rank", low=1)
        self.nnz = validate.integer(nnz, name="nnz", low=1)
        super().__init__(rho, rng=rng)

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        root = rows_of(source, self._KIND)
        if self.rank >= root.rows:
            return exact_form(root), "", ""
        options: dict[str, Any] = {"rng": self.seed, "dtype": root.dtype, "stream": self._updates}
        return exact_form(root.sketched(SparseSign(self.rank, root.rows, nnz=self.nnz, **options))), "", ""


class LESSN(Preconditioner):
    """``P = (S R)^T (S R) + rho I`` with `rank` signed sums of few sampled rows of the root R.

    Parameters
    ----------
    rank : int, default 10
        Rows of S. A root of fewer rows is taken as it is.
    rho : float, default 1e-3
        Positive; may be set at any time.
    nnz : int, default 8
        Rows of R in a sum.
    scores : {"uniform", "leverage"}, default "uniform"
        How the rows are drawn: alike, or by their ridge leverage scores, which take the Gram matrix of R.
    rng : None, int, SeedSequence or Generator
        Of the maps, one for every update.

    Attributes
    ----------
    rho, dim, health, seed
        As of every preconditioner.

    Raises
    ------
    InputError
        An argument does not fit; an update gets products instead of rows.

    Notes
    -----
    *Algorithm*: leverage score sparsified embeddings (Derezinski, Liao, Dobriban and Mahoney, 2021) as in
    PROMISE (Frangella, Rathore, Zhao and Udell, 2023). Draws are with replacement; a row drawn with
    probability q counts ``1 / sqrt(r nnz q)``, so that E[S^T S] = I.

    *Cost*: reads r nnz rows of R, and O(r^2 p) an update; 4 p r flops a direction. "leverage" adds
    O(b^2 p + b^3) of b rows.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import LESSN
    >>> pre = LESSN(rank=20, rho=0.1, scores="leverage", rng=0)
    >>> pre.update(np.random.default_rng(0).standard_normal((200, 50)) / 200**0.5)
    >>> pre.direction(np.ones(50)).shape
    (50,)
    """

    _KIND: ClassVar[str] = "LESSN"
    _SETTINGS: ClassVar[dict[str, type]] = {"rank": int, "nnz": int, "scores": str}

    def __init__(
        self, rank: int = 10, rho: float = 1e-3, *, nnz: int = 8, scores: str = "uniform", rng: Any = None
    ) -> None:
        self.rank = validate.integer(rank, name="rank", low=1)
        self.nnz = validate.integer(nnz, name="nnz", low=1)
        self.scores = validate.choice(scores, SCORES, name="scores")
        super().__init__(rho, rng=rng)

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        root = rows_of(source, self._KIND)
        if self.rank >= root.rows or root.trace == 0.0:
            return exact_form(root), "", ""
        return exact_form(root.sketched(self._embedding(root))), "", ""

    def _embedding(self, root: Root) -> Any:
        count = self.rank * self.nnz
        options: dict[str, Any] = {"rng": self.seed, "dtype": root.dtype, "stream": self._updates}
        drawn: Any = RowSampling(count, root.rows, **options)
        if self.scores == "leverage":
            w, V = qr.small_eigh(root.gram())
            shares = np.maximum(w, 0.0) / (np.maximum(w, 0.0) + self.rho)
            drawn = LeverageSampling(count, root.rows, scores=V**2 @ shares, **options)
        # Independent signs make the cross terms of a sum vanish in the mean: E[S^T S] = E[drawn^T drawn].
        signs = np.sign(Sign(1, count, **options).to_dense()[0])
        sums = scipy.sparse.csr_array(
            (signs.astype(root.dtype), np.arange(count), np.arange(0, count + 1, self.nnz)),
            shape=(self.rank, count),
        )
        return sums @ drawn.to_sparse()


class DiagonalPreconditioner(Preconditioner):
    """``P = diag(H) + rho I``.

    Parameters
    ----------
    rho : float, default 1e-3
        Positive; may be set at any time.
    rng : None, int, SeedSequence or Generator
        Of the probes, where H is known by products.

    Attributes
    ----------
    rho, dim, health, seed
        As of every preconditioner.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: sums of squares of the columns of a root, exactly. Of products, the mean of ``z * H z`` over
    16 random sign vectors z (Bekas, Kokiopoulou and Saad, 2007), of which absolute values are taken.

    *Cost*: one pass over a root, or 16 products.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import DiagonalPreconditioner
    >>> pre = DiagonalPreconditioner(rho=1.0)
    >>> pre.update(np.diag([1.0, 2.0]))
    >>> pre.direction(np.ones(2))
    array([0.5, 0.2])
    """

    _KIND: ClassVar[str] = "DiagonalPreconditioner"

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        if not isinstance(source, Products):
            return DiagonalForm(cast(Root, source).diagonal()), "", ""
        values = self._probed(source)
        if values.min() >= 0:
            return DiagonalForm(values), "", ""
        if ggn is not None:
            reason = "an estimate of the Hessian's diagonal is negative"
            return DiagonalForm(np.abs(self._probed(ggn))), "Gauss-Newton", reason
        return DiagonalForm(np.abs(values)), "absolute values", "an estimate of the diagonal is negative"

    def _probed(self, source: Source) -> Array:
        signs = Sign(_PROBES, source.dim, rng=self.seed, dtype=source.dtype, stream=self._updates)
        Z = np.sign(signs.to_dense()).T
        values = np.einsum("ij,ij->i", Z, source.times(np.ascontiguousarray(Z)), dtype=np.float64) / _PROBES
        if not np.isfinite(values).all():
            raise np.linalg.LinAlgError("a product is not finite")
        return np.asarray(values)
