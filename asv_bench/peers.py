# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every contender, called through its public API with its best documented options.

`by_hand_*` are what a user would write in a few lines of NumPy. Low-rank contenders return
(U, s, Vh) or (w, V) as NumPy arrays. torch and scikit-learn are imported at the first call: asv starts
a process for every figure, and their import costs more than most of what is measured.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

Array = NDArray[Any]
SVD = tuple[Array, Array, Array]
Eigen = tuple[Array, Array]


# Memory: the floor of everything that reads an array once.


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def copyto(A: Array, out: Array, threads: int) -> Array:
    """np.copyto of the same array, cut along its slower axis into one piece a thread."""
    if threads == 1:
        np.copyto(out, A)
        return out
    fortran = A.flags.f_contiguous and not A.flags.c_contiguous
    source, target = (A.T, out.T) if fortran else (A, out)
    cuts = np.linspace(0, source.shape[0], threads + 1).astype(int)
    jobs = [_pool(threads).submit(np.copyto, target[a:b], source[a:b]) for a, b in itertools.pairwise(cuts)]
    for job in jobs:
        job.result()
    return out


def column_sum(A: Array) -> Array:
    return A.sum(0)


# Random numbers.


def numpy_normal(out: Array, rng: np.random.Generator) -> Array:
    return rng.standard_normal(out=out, dtype=out.dtype)


def torch_normal(out: Array) -> Array:
    import torch

    return torch.from_numpy(out).normal_().numpy()


def torch_randn(shape: tuple[int, int], dtype: str) -> Any:
    import torch

    return torch.randn(shape, dtype=getattr(torch, dtype))


# Sketches.


def numpy_choice(p: Array, count: int, rng: np.random.Generator) -> Array:
    """Indices by weight, whose sums it takes anew at every call."""
    return rng.choice(p.size, count, p=p)


def by_hand_searchsorted(ends: Array, count: int, rng: np.random.Generator) -> Array:
    """Indices by weight from sums that are kept."""
    return np.searchsorted(ends, rng.random(count) * ends[-1], side="right")


def gemm(S: Array, A: Array) -> Array:
    """The product alone, the map being there already."""
    return S @ A


def torch_gemm(S: Array, A: Array) -> Array:
    import torch

    return (torch.from_numpy(S) @ torch.from_numpy(A)).numpy()


def by_hand_gaussian(A: Array, d: int, rng: np.random.Generator) -> Array:
    S = rng.standard_normal((d, A.shape[0]), dtype=A.dtype)
    S *= A.dtype.type(1 / np.sqrt(d))
    return S @ A


def torch_gaussian(A: Array, d: int) -> Array:
    import torch

    T = torch.from_numpy(A)
    return (torch.randn(d, T.shape[0], dtype=T.dtype).mul_(d**-0.5) @ T).numpy()


def by_hand_sign(A: Array, d: int, rng: np.random.Generator) -> Array:
    bits = rng.integers(0, 2, (d, A.shape[0]), dtype=np.int8)
    return ((1 - 2 * bits).astype(A.dtype) * A.dtype.type(1 / np.sqrt(d))) @ A


def numpy_sparse_columns(m: int, d: int, nnz: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Positions and signs of m columns, a position possibly twice in a column."""
    return rng.integers(0, d, (m, nnz)), rng.integers(0, 2, (m, nnz), dtype=np.int8)


def scipy_sparse_product(S: sp.csr_array, A: Array) -> Array:
    """CSR map times dense, the map being there already."""
    return S @ A


def scipy_dense_map(A: sp.csr_array | sp.csc_array, S: Array) -> Array:
    """A dense map, there already, times sparse data: as compressed rows of its transpose times dense rows."""
    return (A.T.tocsr() @ S.T).T if A.format == "csr" else (A.T @ S.T).T


def sklearn_sparse_projection(A: Array, d: int, nnz: int, seed: int) -> Array:
    """Random signs at density nnz/d; sketches the rows of A as the features of its transpose."""
    from sklearn.random_projection import SparseRandomProjection

    projection = SparseRandomProjection(d, density=nnz / d, random_state=seed, dense_output=True)
    return projection.fit_transform(A.T).T


def clarkson_woodruff(A: Array, d: int, seed: int) -> Array:
    return scipy.linalg.clarkson_woodruff_transform(A, d, rng=seed)


def by_hand_countsketch(A: Array, d: int, rng: np.random.Generator) -> Array:
    m = A.shape[0]
    signs = rng.choice(np.array([-1, 1], dtype=A.dtype), m)
    return sp.csr_array((signs, (rng.integers(0, d, m), np.arange(m))), shape=(d, m)) @ A


def by_hand_srft(A: Array, d: int, rng: np.random.Generator, threads: int) -> Array:
    """Signs, SciPy's DCT along axis 0 and a sample of its rows."""
    m = A.shape[0]
    signs = rng.choice(np.array([-1, 1], dtype=A.dtype), m)
    rows = rng.choice(m, d, replace=False)
    return scipy.fft.dct(A * signs[:, None], axis=0, norm="ortho", workers=threads)[rows] * A.dtype.type(
        np.sqrt(m / d)
    )


def dct(A: Array, threads: int) -> Array:
    """The transform alone."""
    return scipy.fft.dct(A, axis=0, norm="ortho", workers=threads)


# Orthogonalization.


def scipy_qr(A: Array) -> tuple[Array, Array]:
    return scipy.linalg.qr(A, mode="economic", check_finite=False)


def numpy_qr(A: Array) -> tuple[Array, Array]:
    return np.linalg.qr(A)


def torch_qr(A: Array) -> tuple[Array, Array]:
    import torch

    Q, R = torch.linalg.qr(torch.from_numpy(A))
    return Q.numpy(), R.numpy()


def by_hand_cholesky_qr2(A: Array) -> tuple[Array, Array]:
    Q, R = A, np.eye(A.shape[1], dtype=A.dtype)
    for _ in range(2):
        L = np.linalg.cholesky(Q.T @ Q)
        Q = scipy.linalg.solve_triangular(L, Q.T, lower=True, check_finite=False).T
        R = L.T @ R
    return Q, R


def by_hand_normal_equations(A: Array, b: Array) -> Array:
    """What ten lines of NumPy do: fast, and of no use from a condition of 1e8 on."""
    return np.linalg.solve(A.T @ A, A.T @ b)


def scipy_lstsq(A: Array, b: Array, driver: str) -> Array:
    return scipy.linalg.lstsq(A, b, lapack_driver=driver, check_finite=False)[0]


def numpy_lstsq(A: Array, b: Array) -> Array:
    return np.linalg.lstsq(A, b, rcond=None)[0]


def torch_lstsq(A: Array, b: Array) -> Array:
    import torch

    return torch.linalg.lstsq(torch.from_numpy(A), torch.from_numpy(b)[:, None]).solution[:, 0].numpy()


def scipy_pivoted_qr(A: Array) -> tuple[Array, Array, Array]:
    return scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)


def by_hand_cholesky_qr(A: Array) -> tuple[Array, Array]:
    """One pass by the BLAS routines themselves, for column-major A; no pivots, and good conditions only."""
    (syrk, trsm), (potrf,) = (
        scipy.linalg.get_blas_funcs(("syrk", "trsm"), (A,)),
        scipy.linalg.get_lapack_funcs(("potrf",), (A,)),
    )
    R, _ = potrf(syrk(1.0, A, trans=1), lower=0)
    return trsm(1.0, R, A, side=1), R


def lapack_geqp3(A: Array) -> tuple[Array, Array]:
    """The factorization alone, Q left in reflectors, of column-major A."""
    (geqp3,) = scipy.linalg.get_lapack_funcs(("geqp3",), (A,))
    QR, perm, _, _, _ = geqp3(A, lwork=64 * A.shape[1])
    return QR, perm


def lapack_geqrf(A: Array) -> tuple[Array, Array]:
    """Without pivots, Q left in reflectors, of column-major A."""
    (geqrf,) = scipy.linalg.get_lapack_funcs(("geqrf",), (A,))
    QR, tau, _, _ = geqrf(A, lwork=64 * A.shape[1])
    return QR, tau


def lapack_geqrf_orgqr(A: Array) -> tuple[Array, Array]:
    """LAPACK's Q, of column-major A."""
    QR, tau = lapack_geqrf(A)
    (orgqr,) = scipy.linalg.get_lapack_funcs(("orgqr",), (A,))
    return orgqr(QR, tau, lwork=64 * A.shape[1])[0], QR[: A.shape[1]]


# Low rank, general matrices.


def torch_svd_lowrank(A: Array, k: int, q: int, oversample: int = 10) -> SVD:
    import torch

    U, s, V = torch.svd_lowrank(torch.from_numpy(A), q=k + oversample, niter=q)
    return U[:, :k].numpy(), s[:k].numpy(), V[:, :k].numpy().T


def sklearn_randomized_svd(
    A: Any, k: int, q: int | str, seed: int, normalizer: str = "auto", oversample: int = 10
) -> SVD:
    from sklearn.utils.extmath import randomized_svd

    return randomized_svd(
        A, k, n_oversamples=oversample, n_iter=q, power_iteration_normalizer=normalizer, random_state=seed
    )


def by_hand_rsvd(A: Array, k: int, q: int, rng: np.random.Generator, oversample: int = 10) -> SVD:
    Q = np.linalg.qr(A @ rng.standard_normal((A.shape[1], k + oversample), dtype=A.dtype))[0]
    for _ in range(q):
        Q = np.linalg.qr(A.T @ Q)[0]
        Q = np.linalg.qr(A @ Q)[0]
    U, s, Vh = np.linalg.svd(Q.T @ A, full_matrices=False)
    return Q @ U[:, :k], s[:k], Vh[:k]


def scipy_svds(A: Any, k: int, solver: str, seed: int) -> SVD:
    U, s, Vh = spla.svds(A, k, solver=solver, rng=seed)
    order = np.argsort(-s)
    return U[:, order], s[order], Vh[order]


def by_hand_qb(A: Array, tol: float, block: int, q: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Blocks until ||A||^2 - ||B||^2 falls below the tolerance: the textbook loop."""
    Q, B = np.empty((A.shape[0], 0), A.dtype), np.empty((0, A.shape[1]), A.dtype)
    left = (1 - tol**2) * np.linalg.norm(A) ** 2
    while left > 0 and Q.shape[1] < min(A.shape):
        Omega = rng.standard_normal((A.shape[1], block), dtype=A.dtype)
        P = np.linalg.qr(A @ Omega - Q @ (B @ Omega))[0]
        for _ in range(q):
            Omega = np.linalg.qr(A.T @ P)[0]
            P = np.linalg.qr(A @ Omega - Q @ (B @ Omega))[0]
        P = np.linalg.qr(P - Q @ (Q.T @ P))[0]
        C = P.T @ A
        left -= np.linalg.norm(C) ** 2
        Q, B = np.hstack([Q, P]), np.vstack([B, C])
    return Q, B


def numpy_svd(A: Array, k: int) -> SVD:
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    return U[:, :k], s[:k], Vh[:k]


def _transposed(U: Array, s: Array, Vh: Array) -> SVD:
    return Vh.T, s, U.T


def by_hand_gram_svd(A: Array, k: int) -> SVD:
    """Eigenvectors of the Gram matrix of the short side, then the other side; squares the condition."""
    if A.shape[0] < A.shape[1]:
        return _transposed(*by_hand_gram_svd(A.T, k))
    w, V = np.linalg.eigh(A.T @ A)
    s, V = np.sqrt(np.maximum(w[: -k - 1 : -1], 0)), V[:, : -k - 1 : -1]
    return (A @ V) / s, s, V.T


def by_hand_gram_qr_svd(A: Array, k: int) -> SVD:
    """The same with a QR of the other side, which rounding leaves far from orthogonal."""
    if A.shape[0] < A.shape[1]:
        return _transposed(*by_hand_gram_qr_svd(A.T, k))
    V = np.linalg.eigh(A.T @ A)[1][:, : -k - 1 : -1]
    Q, R = np.linalg.qr(A @ V)
    X, s, Wh = np.linalg.svd(R)
    return Q @ X, s, Wh @ V.T


# Columns (and rows) of the matrix itself: indices and coefficients, A ~ A[:, J] X.

Skeleton = tuple[Array, Array]


def _coefficients(order: Array, T: Array, n: int) -> Skeleton:
    k = len(T)
    X = np.empty((k, n), T.dtype)
    X[:, order[:k]], X[:, order[k:]] = np.eye(k), T
    return order[:k], X


def scipy_interpolative(A: Array, k: int, seed: int) -> Skeleton:
    import scipy.linalg.interpolative as sli

    order, T = sli.interp_decomp(A, k, rand=True, rng=np.random.default_rng(seed))
    return _coefficients(order, T, A.shape[1])


def librla_interpolative(A: Array, k: int, rng: np.random.Generator) -> Skeleton:
    import librla

    _, order, T = librla.id_sketch(A, k, rng=rng)
    return _coefficients(order, T, A.shape[1])


def by_hand_interpolative(A: Array, k: int, rng: np.random.Generator, oversample: int = 10) -> Skeleton:
    Y = rng.standard_normal((k + oversample, A.shape[0]), dtype=A.dtype) @ A
    _, R, order = scipy.linalg.qr(Y, mode="economic", pivoting=True, check_finite=False)
    T = scipy.linalg.solve_triangular(R[:k, :k], R[:k, k:], check_finite=False)
    return _coefficients(order, T, A.shape[1])


def by_hand_cur(A: Array, k: int, rng: np.random.Generator) -> SVD:
    """Columns as above, rows by pivoting of the columns, the best core by pseudoinverses: C, U, R."""
    C = A[:, by_hand_interpolative(A, k, rng)[0]]
    R = A[scipy.linalg.qr(C.T, mode="r", pivoting=True, check_finite=False)[1][:k]]
    return C, np.linalg.pinv(C) @ A @ np.linalg.pinv(R), R


def scipy_cur(A: Array, k: int, seed: int) -> SVD:
    """The columns and rows of two decompositions of SciPy's, the best core by pseudoinverses."""
    C, R = A[:, scipy_interpolative(A, k, seed)[0]], A[scipy_interpolative(A.T, k, seed)[0]]
    return C, np.linalg.pinv(C) @ A @ np.linalg.pinv(R), R


def librla_cur(A: Array, k: int, rng: np.random.Generator) -> SVD:
    """The columns and rows of two decompositions of librla's, the best core by pseudoinverses."""
    C, R = A[:, librla_interpolative(A, k, rng)[0]], A[librla_interpolative(A.T, k, rng)[0]]
    return C, np.linalg.pinv(C) @ A @ np.linalg.pinv(R), R


# Low rank, positive semidefinite matrices.


def by_hand_eigen(A: Array, k: int, q: int, rng: np.random.Generator, oversample: int = 10) -> Eigen:
    Q = np.linalg.qr(A @ rng.standard_normal((A.shape[1], k + oversample), dtype=A.dtype))[0]
    for _ in range(q):
        Q = np.linalg.qr(A @ Q)[0]
    w, V = np.linalg.eigh(Q.T @ (A @ Q))
    return w[: -k - 1 : -1], Q @ V[:, : -k - 1 : -1]


def by_hand_nystrom(A: Array, k: int, rng: np.random.Generator, oversample: int = 10) -> Eigen:
    """One pass: Y = A Omega, shift, Cholesky, SVD."""
    Omega = np.linalg.qr(rng.standard_normal((A.shape[1], k + oversample), dtype=A.dtype))[0]
    Y = A @ Omega
    shift = np.finfo(A.dtype).eps * np.linalg.norm(Y)
    Y += shift * Omega
    L = np.linalg.cholesky(Omega.T @ Y)
    F = scipy.linalg.solve_triangular(L, Y.T, lower=True, check_finite=False).T
    U, s, _ = np.linalg.svd(F, full_matrices=False)
    return np.maximum(s[:k] ** 2 - shift, 0), U[:, :k]


def torch_eigen(A: Array, k: int, q: int) -> Eigen:
    """torch.svd_lowrank of the symmetric matrix, as the published K-FAC codes do."""
    U, s, _ = torch_svd_lowrank(A, k, q)
    return s, U


def scipy_eigsh(A: Array, k: int, seed: int) -> Eigen:
    start = np.random.default_rng(seed).standard_normal(A.shape[0]).astype(A.dtype)
    w, V = spla.eigsh(A, k, which="LA", v0=start)
    return w[::-1], V[:, ::-1]


def scipy_lobpcg(A: Array, k: int, rng: np.random.Generator) -> Eigen:
    start = rng.standard_normal((A.shape[0], k + 10), dtype=A.dtype)
    w, V = spla.lobpcg(A, start, largest=True, maxiter=20, tol=1e-3)
    return w[:k], V[:, :k]


def scipy_eigh(A: Array, k: int) -> Eigen:
    n = A.shape[0]
    w, V = scipy.linalg.eigh(A, subset_by_index=(n - k, n - 1), check_finite=False)
    return w[::-1], V[:, ::-1]


def numpy_eigh(A: Array, k: int) -> Eigen:
    w, V = np.linalg.eigh(A)
    return w[: -k - 1 : -1], V[:, : -k - 1 : -1]


# Kernel matrices of points, Gaussian.


def sklearn_kernel_product(X: Array, V: Array, h: float) -> Array:
    from sklearn.metrics.pairwise import rbf_kernel

    return rbf_kernel(X, gamma=0.5 / h**2) @ V


def scipy_kernel_product(X: Array, V: Array, h: float) -> Array:
    from scipy.spatial.distance import cdist

    return np.exp(cdist(X, X, "sqeuclidean") / (-2 * h * h)).astype(X.dtype, copy=False) @ V


def torch_kernel_product(X: Array, V: Array, h: float) -> Array:
    import torch

    T = torch.from_numpy(X)
    return (torch.exp(torch.cdist(T, T).square_().mul_(-0.5 / h**2)) @ torch.from_numpy(V)).numpy()


def by_hand_rpcholesky(X: Array, h: float, k: int, rng: np.random.Generator) -> Array:
    n, rest = len(X), np.ones(len(X))
    F = np.zeros((n, k), order="F")
    for j in range(k):
        s = rng.choice(n, p=rest / rest.sum())
        g = np.exp(((X - X[s]) ** 2).sum(1) / (-2 * h * h)) - F[:, :j] @ F[s, :j]
        F[:, j] = g / np.sqrt(g[s])
        rest = np.maximum(rest - F[:, j] ** 2, 0)
    return F


# Low rank, rows in blocks.


def by_hand_hutchpp(A: Array, budget: int, rng: np.random.Generator) -> float:
    """Meyer, Musco, Musco and Woodruff (2021), a third of the products each for range, trace and rest."""
    n, k = len(A), budget // 3
    Q = np.linalg.qr(A @ rng.choice([-1.0, 1.0], (n, k)))[0]
    G = rng.choice([-1.0, 1.0], (n, k))
    G -= Q @ (Q.T @ G)
    return float(np.einsum("ij,ij->", Q, A @ Q) + np.einsum("ij,ij->", G, A @ G) / k)


def by_hand_single_pass(A: Array, k: int, step: int, rng: np.random.Generator) -> SVD:
    """Range and corange sketches of l = 3 k and 2 l + 1 columns, maps held, a block of rows at a time."""
    m, n, l = *A.shape, 3 * k  # noqa: E741
    Omega = rng.standard_normal((n, l), dtype=A.dtype)
    Psi = rng.standard_normal((2 * l + 1, m), dtype=A.dtype)
    Y, W = np.zeros((m, l), A.dtype), np.zeros((2 * l + 1, n), A.dtype)
    for start in range(0, m, step):
        rows = slice(start, start + step)
        Y[rows] = A[rows] @ Omega
        W += Psi[:, rows] @ A[rows]
    Q = np.linalg.qr(Y)[0]
    U, s, Vh = np.linalg.svd(np.linalg.lstsq(Psi @ Q, W)[0], full_matrices=False)
    return Q @ U[:, :k], s[:k], Vh[:k]


def sklearn_incremental_pca(A: Array, k: int, step: int) -> tuple[Array, Array]:
    """Singular values and components; it centers, which matrices of mean zero hardly notice."""
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(k, batch_size=step)
    for start in range(0, len(A), step):
        model.partial_fit(A[start : start + step], check_input=False)
    return model.singular_values_, model.components_


# Principal components: components (k, n), mean, scores.

Components = tuple[Array, Array, Array]


def sklearn_pca(A: Array, k: int, solver: str, seed: int) -> Components:
    from sklearn.decomposition import PCA

    model = PCA(k, svd_solver=solver, random_state=seed)
    scores = model.fit_transform(A)
    return model.components_, model.mean_, scores


def numpy_pca(A: Array, k: int) -> Components:
    """Full SVD of the centered matrix."""
    mean = A.mean(0)
    U, s, Vh = np.linalg.svd(A - mean, full_matrices=False)
    return Vh[:k], mean, U[:, :k] * s[:k]


def by_hand_pca(A: Array, k: int) -> Components:
    """Gram matrix and eigh, then the scores: the deterministic route for tall matrices."""
    mean = A.mean(0)
    G = A.T @ A - len(A) * np.outer(mean, mean)
    V = np.linalg.eigh(G)[1][:, : -k - 1 : -1]
    scores = A @ V
    scores -= mean @ V
    return V.T, mean, scores


# Many small positive definite matrices.


def torch_batched_inv(A: Array) -> Array:
    import torch

    return torch.linalg.inv(torch.from_numpy(A)).numpy()


def torch_batched_cholesky_inverse(A: Array) -> Array:
    import torch

    return torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(A))).numpy()


def numpy_batched_inv(A: Array) -> Array:
    return np.linalg.inv(A)


# The damped inverse of one large averaged factor.


def torch_cholesky_inverse(A: Array) -> Array:
    import torch

    return torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(A))).numpy()


def torch_eigh(A: Array) -> tuple[Array, Array]:
    import torch

    w, V = torch.linalg.eigh(torch.from_numpy(A))
    return w.numpy(), V.numpy()


def scipy_potri(A: Array) -> Array:
    from scipy.linalg import lapack

    factor, _ = lapack.get_lapack_funcs(("potrf",), (A,))[0](A, lower=1, clean=0)
    return lapack.get_lapack_funcs(("potri",), (A,))[0](factor, lower=1)[0]
