# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Registries: a new thing is tested by adding a row here; a public name without a row fails the suite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from cases_maps import SKETCHES as SKETCHES
from cases_maps import SketchCase as SketchCase
from cases_maps import scores_for as scores_for
from cases_sampling import QUANTUM_INSPIRED

import randnla
from randnla import estimate, operators
from randnla.matrix_functions import SqrtUpdate

# False alarm probability of one statistical assertion.
ALPHA = 1e-12

REAL_DTYPES = (np.float32, np.float64)
DTYPES = (
    np.float16,
    np.float32,
    np.float64,
    np.complex64,
    np.complex128,
    np.int8,
    np.int64,
    np.uint16,
    np.bool_,
)


# -- layouts: the same values, stored otherwise ------------------------------------------------------


def _sliced(A):
    big = np.full((2 * A.shape[0], 3 * A.shape[1]), 99, dtype=A.dtype)
    big[::2, 1::3] = A
    return big[::2, 1::3]


def _read_only(A):
    copy = A.copy()
    copy.flags.writeable = False
    return copy


def _unaligned(A):
    raw = np.zeros(A.nbytes + 1, dtype=np.uint8)
    out = raw[1:].view(A.dtype).reshape(A.shape)
    out[...] = A
    return out


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "sliced": _sliced,
    "fortran_sliced": lambda A: _sliced(A.T).T,
    "reversed_rows": lambda A: A[::-1].copy()[::-1],
    "reversed_columns": lambda A: A[:, ::-1].copy()[:, ::-1],
    "read_only": _read_only,
    "unaligned": _unaligned,
    "big_endian": lambda A: A.astype(A.dtype.newbyteorder(">")),
}


# -- kinds of arrays ---------------------------------------------------------------------------------


def _torch(A):
    import torch

    return torch.from_numpy(np.array(A))


BACKENDS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda A: A,
    "torch": _torch,
}


# -- operators: from an array, an operator of the same values ----------------------------------------


def _entries(A):
    return operators.EntryOperator(A.shape, entries=lambda i, j: A[np.ix_(i, j)], dtype=A.dtype)


def _columns(A):
    return operators.EntryOperator(A.shape, columns=lambda j: A[:, j], dtype=A.dtype)


def _stream(A):
    return operators.RowStream(
        lambda: (A[i : i + 7] for i in range(0, len(A), 7)), shape=A.shape, dtype=A.dtype
    )


OPERATORS: dict[str, Callable[[np.ndarray], operators.LinearOperator]] = {
    "Dense": operators.Dense,
    "Sparse_csr": lambda A: operators.Sparse(scipy.sparse.csr_array(A)),
    "Sparse_csc": lambda A: operators.Sparse(scipy.sparse.csc_matrix(A)),
    "Sparse_coo": lambda A: operators.Sparse(scipy.sparse.coo_array(A)),
    "EntryOperator": _entries,
    "EntryOperator_columns": _columns,
    "Masked": lambda A: operators.Masked(A, np.ones(A.shape, bool)),
    "RowStream": _stream,
    "RowStream_transposed": lambda A: _stream(A.T).T,
    "as_operator_scipy": lambda A: randnla.as_operator(scipy.sparse.linalg.aslinearoperator(A)),
    "transposed": lambda A: operators.Dense(A.T).T,
    "adjoint": lambda A: operators.Dense(A.conj().T).H,
    "product": lambda A: operators.Dense(A) @ operators.Dense(np.eye(A.shape[1], dtype=A.dtype)),
    "sum": lambda A: operators.Dense(A) + operators.Sparse(scipy.sparse.csr_array(A)) - operators.Dense(A),
    "scaled": lambda A: 0.5 * operators.Dense(2 * A),
}


# -- structured operators: (rng, dtype) -> operator, and the matrix it stands for ----------------------


def _random(rng, dtype, *shape):
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else X).astype(dtype)


def _definite(rng, dtype, n):
    X = _random(rng, dtype, n, 2 * n)
    return (X @ X.conj().T / n).astype(dtype)


def _woodbury(rng, dtype):
    d = rng.uniform(1, 2, 9).astype(np.dtype(dtype).type(0).real.dtype)
    U, C, V = _random(rng, dtype, 9, 3), _random(rng, dtype, 3, 3), _random(rng, dtype, 9, 3)
    return operators.DiagonalPlusLowRank(d, U, C, V), np.diag(d) + U @ C @ V.conj().T


def _woodbury_constant(rng, dtype):
    U, c = _random(rng, dtype, 9, 3), np.array([2.0, -0.05, 0.5], np.dtype(dtype).type(0).real.dtype)
    eye = np.eye(9, dtype=dtype)
    return operators.DiagonalPlusLowRank(1.5, U, c), 1.5 * eye + (U * c) @ U.conj().T


def _kronecker(rng, dtype):
    A, B = _definite(rng, dtype, 3), _definite(rng, dtype, 2)
    d, U = rng.uniform(1, 2, 2).astype(A.real.dtype), _random(rng, dtype, 2, 1)
    low = operators.DiagonalPlusLowRank(2.0, U)
    whole = np.kron(np.kron(np.kron(A, B), np.diag(d)), 2 * np.eye(2, dtype=dtype) + U @ U.conj().T)
    return operators.Kronecker(A, B, operators.Diagonal(d), low), whole


def _kronecker_sum(rng, dtype):
    A, B = _definite(rng, dtype, 4), _definite(rng, dtype, 3)
    whole = np.kron(A, np.eye(3, dtype=dtype)) + np.kron(np.eye(4, dtype=dtype), B)
    return operators.KroneckerSum(A, B), whole


def _damped(form):
    def make(rng, dtype):
        A, B = _definite(rng, dtype, 4), _definite(rng, dtype, 3)
        K = operators.DampedKronecker(A, B, 0.5, form=form)
        e = K.effective_damping
        left, right = A + e.left * np.eye(4, dtype=dtype), B + e.right * np.eye(3, dtype=dtype)
        return K, (np.kron(left, right) + e.whole * np.eye(12)).astype(dtype)

    return make


def _damped_low_rank(rng, dtype):
    U, V = _random(rng, dtype, 5, 2), _random(rng, dtype, 4, 1)
    left, right = operators.DiagonalPlusLowRank(0.75, U), operators.DiagonalPlusLowRank(0.5, V)
    whole = np.kron(0.75 * np.eye(5) + U @ U.conj().T, 0.5 * np.eye(4) + V @ V.conj().T) + 0.25 * np.eye(20)
    return operators.DampedKronecker(left, right, 0.25, form="exact"), whole.astype(dtype)


def _damped_mixed(rng, dtype):
    A, d = _definite(rng, dtype, 3), rng.uniform(1, 2, 4).astype(np.dtype(dtype).type(0).real.dtype)
    K = operators.DampedKronecker(operators.Diagonal(d), A, 0.25, form="exact")
    return K, (np.kron(np.diag(d), A) + 0.25 * np.eye(12)).astype(dtype)


def _two_term(rng, dtype):
    (A, B), (C, D) = ([_definite(rng, dtype, n) + np.eye(n) for n in (3, 4)] for _ in range(2))
    A, B, C, D = (X.astype(dtype) for X in (A, B, C, D))
    return operators.TwoTermKronecker(A, B, C, D), np.kron(A, B) + np.kron(C, D)


def _general(rng, dtype):
    A = _random(rng, dtype, 6, 6) + 3 * np.eye(6, dtype=dtype)
    return operators.Dense(A), A


def _dense_definite(rng, dtype):
    A = _definite(rng, dtype, 6)
    return operators.Dense(A), A


def _product(rng, dtype):
    A, B = _general(rng, dtype)[1], _dense_definite(rng, dtype)[1]
    return operators.Dense(A) @ operators.Dense(B), A @ B


def _diagonal(rng, dtype):
    d = rng.uniform(1, 5, 7).astype(dtype)
    return operators.Diagonal(d), np.diag(d)


def _low_rank(rng, dtype):
    U, C, V = _random(rng, dtype, 7, 2), _random(rng, dtype, 2, 2), _random(rng, dtype, 7, 2)
    return operators.LowRank(U, C, V), U @ C @ V.conj().T


def _adjoint(rng, dtype):
    A = _general(rng, dtype)[1]
    return operators.algebra.Adjoint(operators.Dense(A)), A.conj().T


def _sum(rng, dtype):
    (first, A), (second, B) = _woodbury(rng, dtype), _woodbury_constant(rng, dtype)
    return first + second, A + B


def _sqrt_update(rng, dtype):
    d = rng.uniform(1, 5, 8).astype(np.dtype(dtype).type(0).real.dtype)
    Y = np.linalg.qr(_random(rng, dtype, 8, 3))[0].astype(dtype)
    w = np.array([4, -0.5, 0.25], d.dtype)
    return SqrtUpdate(operators.Diagonal(d), Y, w), np.diag(d) + (Y * w) @ Y.conj().T


def _sqrt_update_found(rng, dtype):
    Z = _random(rng, dtype, 8, 2)
    found = randnla.sqrt_update(
        operators.DiagonalPlusLowRank(2.0, _random(rng, dtype, 8, 1)), Z, inverse=True
    )
    whole = found.base.to_dense() + (found.Y * found.weights) @ found.Y.conj().T
    return found, whole.astype(dtype)


STRUCTURED: dict[str, Callable[[Any, Any], tuple[Any, np.ndarray]]] = {
    "Dense": _general,
    "Dense_definite": _dense_definite,
    "Diagonal": _diagonal,
    "LowRank": _low_rank,
    "DiagonalPlusLowRank": _woodbury,
    "DiagonalPlusLowRank_constant": _woodbury_constant,
    "Kronecker": _kronecker,
    "KroneckerSum": _kronecker_sum,
    "DampedKronecker": _damped("tikhonov"),
    "DampedKronecker_exact": _damped("exact"),
    "DampedKronecker_relative": _damped("relative"),
    "DampedKronecker_low_rank": _damped_low_rank,
    "DampedKronecker_mixed": _damped_mixed,
    "TwoTermKronecker": _two_term,
    "Product": _product,
    "Scaled": lambda rng, dtype: tuple(3 * X for X in _dense_definite(rng, dtype)),
    "Transposed": lambda rng, dtype: tuple(X.T for X in _woodbury(rng, dtype)),
    "Adjoint": _adjoint,
    "Sum": _sum,
    "SqrtUpdate": _sqrt_update,
    "SqrtUpdate_found": _sqrt_update_found,
}


# -- decompositions: a call on an (m, n) array with m >= n, with its factors put together -------------


@dataclass(frozen=True)
class Decomposition:
    """call(A, rng=...) -> result; rebuild(result, A) -> what approximates A; symmetric: A = A^T >= 0."""

    call: Callable[..., Any]
    rebuild: Callable[[Any, np.ndarray], np.ndarray]
    symmetric: bool = False


DECOMPOSITIONS: dict[str, Decomposition] = {
    "svd": Decomposition(lambda A, **o: randnla.svd(A, 4, **o), lambda r, A: (r.U * r.s) @ r.Vh),
    "eigh": Decomposition(
        lambda A, **o: randnla.eigh(A, 4, **o), lambda r, A: (r.V * r.w) @ r.V.conj().T, symmetric=True
    ),
    "nystrom": Decomposition(
        lambda A, **o: randnla.nystrom(A, 4, **o), lambda r, A: (r.V * r.w) @ r.V.conj().T, symmetric=True
    ),
    "rpcholesky": Decomposition(
        lambda A, **o: randnla.rpcholesky(A, 4, **o), lambda r, A: r.F @ r.F.conj().T, symmetric=True
    ),
    "pca": Decomposition(
        lambda A, **o: randnla.pca(A, 4, **o), lambda r, A: r.scores @ r.components + r.mean
    ),
    "range_finder": Decomposition(
        lambda A, **o: randnla.range_finder(A, 4, **o), lambda r, A: r.Q @ (r.Q.conj().T @ A)
    ),
    "qb": Decomposition(lambda A, **o: randnla.qb(A, 4, **o), lambda r, A: r.Q @ r.B),
    "interpolative": Decomposition(
        lambda A, **o: randnla.interpolative(A, 4, **o), lambda r, A: A[:, r.indices] @ r.coefficients
    ),
    "cur": Decomposition(lambda A, **o: randnla.cur(A, 4, **o), lambda r, A: r.C @ r.U @ r.R),
    "qr": Decomposition(lambda A, **o: randnla.qr(A), lambda r, A: r.Q @ r.R),
    "pivoted_qr": Decomposition(
        lambda A, **o: randnla.pivoted_qr(A, 4, **o), lambda r, A: (r.Q @ r.R)[:, np.argsort(r.perm)]
    ),
    "utv": Decomposition(lambda A, **o: randnla.utv(A, 4, **o), lambda r, A: r.U @ r.T @ r.Vh),
}
AVAILABLE_DECOMPOSITIONS = {name: row for name, row in DECOMPOSITIONS.items() if name in randnla.__all__}

# -- estimators: numbers found from products with an (n, n) array -------------------------------------


@dataclass(frozen=True)
class Estimator:
    """call(A, rng=...) -> Estimate of truth(A); `symmetric` as above; A -> 2^p A makes it 2^(degree p);
    not `random`: the same for every seed, to rounding."""

    call: Callable[..., Any]
    truth: Callable[[np.ndarray], Any]
    symmetric: bool = False
    degree: float = 1.0
    random: bool = True


def _estimate(name: str, **options: Any) -> Callable[..., Any]:
    return lambda A, **more: getattr(estimate, name)(A, **{**options, **more})


ESTIMATORS: dict[str, Estimator] = {
    **{
        f"trace_{method}": Estimator(
            _estimate("trace", budget=12, method=method), np.trace, symmetric=method == "xnystrace"
        )
        for method in ("xtrace", "xnystrace", "hutchpp", "hutchinson")
    },
    **{
        f"diag_{method}": Estimator(
            _estimate("diag", budget=12, method=method), np.diag, symmetric=method == "xnysdiag"
        )
        for method in ("xdiag", "xnysdiag", "hutchinson")
    },
    "squared_row_norms": Estimator(
        _estimate("squared_row_norms", budget=12), lambda A: (np.abs(A) ** 2).sum(axis=1), degree=2.0
    ),
    "norm_2": Estimator(_estimate("norm"), lambda A: np.linalg.norm(A, 2), random=False),
    "norm_schatten": Estimator(
        lambda A, **more: estimate.norm(
            operators.as_operator(A) @ operators.Diagonal(np.ones(A.shape[1], np.float32)),
            "schatten",
            p=4.0,
            **more,
        ),
        lambda A: float((np.linalg.svd(A, compute_uv=False) ** 4).sum() ** 0.25),
    ),
    "estimate_rank": Estimator(
        _estimate("estimate_rank", tol=0.03),
        lambda A: np.count_nonzero(np.linalg.svd(A, compute_uv=False) > 0.03 * np.linalg.norm(A, 2)),
        degree=0.0,
        random=False,
    ),
}

# Public names that are neither maps, operators nor decompositions, with the file that tests them.
OTHERS: dict[str, str] = {
    "BreakdownError": "backend/test_errors.py",
    "CapacityError": "backend/test_errors.py",
    "ConvergenceWarning": "backend/test_errors.py",
    "InputError": "backend/test_errors.py",
    "NonFiniteError": "backend/test_errors.py",
    "RangeError": "backend/test_errors.py",
    "StateError": "backend/test_errors.py",
    "KernelMatrix": "operators/test_kernel_matrix.py",
    "trace": "estimate/test_trace.py",
    "diag": "estimate/test_trace.py",
    **dict.fromkeys(
        ("cond", "estimate_rank", "logdet", "norm", "spectral_density"), "estimate/test_functions.py"
    ),
    "LinearOperator": "operators/test_operators.py",
    "as_operator": "operators/test_operators.py",
    "FrequentDirections": "lowrank/test_updates.py",
    "IncrementalSVD": "lowrank/test_updates.py",
    "StreamingSVD": "lowrank/test_streaming.py",
    "apply_function": "matrix_functions/test_apply_function.py",
    "sqrt_update": "matrix_functions/test_sqrt_update.py",
    "lstsq": "solvers/test_lstsq.py",
    "sketch": "sketching/test_sketch.py",
    "solve": "solvers/test_solve.py",
    "ridge": "solvers/test_ridge.py",
    "gmres": "solvers/test_gmres.py",
    "leverage_scores": "sketching/test_leverage.py",
    "info": "backend/test_system.py",
    "num_threads": "backend/test_threads.py",
    "set_num_threads": "backend/test_threads.py",
    "__version__": "backend/test_system.py",
}


# Names of randnla.curvature -> the file that tests them.
CURVATURE: dict[str, str] = {
    "Absolute": "curvature/test_kfac.py",
    "BrandFactor": "curvature/test_brand.py",
    "BrandKFAC": "curvature/test_kfac.py",
    "CholeskyInverse": "curvature/test_inverses.py",
    "Conv1d": "curvature/test_layers.py",
    "Conv2d": "curvature/test_layers.py",
    "Damping": "curvature/test_refresh.py",
    "Dense": "curvature/test_layers.py",
    "DiagonalFactor": "curvature/test_inverses.py",
    "DiagonalInverse": "curvature/test_inverses.py",
    "EKFAC": "curvature/test_ekfac.py",
    "EigenInverse": "curvature/test_inverses.py",
    "Embedding": "curvature/test_layers.py",
    "Every": "curvature/test_kfac.py",
    "Exact": "curvature/test_kfac.py",
    "GammaRule": "curvature/test_quadratic.py",
    "GradientWindow": "curvature/test_window.py",
    "Health": "curvature/test_refresh.py",
    "KFAC": "curvature/test_kfac.py",
    "KLDWRM": "curvature/test_kld_wrm.py",
    "KLClip": "curvature/test_kfac.py",
    "LowRankFactor": "curvature/test_low_rank_factor.py",
    "KroneckerFactor": "curvature/test_factors.py",
    "LevenbergMarquardt": "curvature/test_quadratic.py",
    "LowRankInverse": "curvature/test_low_rank_inverse.py",
    "MFAC": "curvature/test_mfac.py",
    "Moments": "curvature/test_kfac.py",
    "Piecewise": "curvature/test_kfac.py",
    "PruneInfo": "curvature/test_pruning.py",
    "PruneResult": "curvature/test_pruning.py",
    "QuadraticMinimum": "curvature/test_quadratic.py",
    "RMSClip": "curvature/test_kfac.py",
    "RSKFAC": "curvature/test_kfac.py",
    "Relative": "curvature/test_kfac.py",
    "Report": "curvature/test_kfac.py",
    "SREKFAC": "curvature/test_kfac.py",
    "ScaleShift": "curvature/test_layers.py",
    "Shifts": "curvature/test_kfac.py",
    "Tikhonov": "curvature/test_kfac.py",
    "TridiagonalKFAC": "curvature/test_tridiagonal.py",
    "WakeRecursion": "curvature/test_wake.py",
    "ExactWake": "curvature/test_wake.py",
    "SketchySGD": "curvature/test_sketchy_sgd.py",
    "SketchySVRG": "curvature/test_sketchy_variants.py",
    "SketchySAGA": "curvature/test_sketchy_variants.py",
    "SketchyKatyusha": "curvature/test_sketchy_variants.py",
    "Nystrom": "curvature/test_promise.py",
    "SSN": "curvature/test_promise.py",
    "SASSN": "curvature/test_promise.py",
    "LESSN": "curvature/test_promise.py",
    "DiagonalPreconditioner": "curvature/test_promise.py",
    "Preconditioner": "curvature/test_promise.py",
    "LeastSquares": "curvature/test_glm.py",
    "Logistic": "curvature/test_glm.py",
    "Multinomial": "curvature/test_glm.py",
    "Poisson": "curvature/test_glm.py",
    "LinearModel": "curvature/test_glm.py",
    "ConvBlocks": "curvature/test_mini_block_fisher.py",
    "Elementwise": "curvature/test_mini_block_fisher.py",
    "MiniBlockFisher": "curvature/test_mini_block_fisher.py",
    "NeuronBlocks": "curvature/test_mini_block_fisher.py",
    "RaggedBlocks": "curvature/test_mini_block_fisher.py",
    "SENG": "curvature/test_seng.py",
    "minimize_quadratic": "curvature/test_quadratic.py",
    "prune": "curvature/test_pruning.py",
}

# Names of the rooms of faces -> the file that tests them.
FACES: dict[str, dict[str, str]] = {
    "quantum_inspired": QUANTUM_INSPIRED,
    "tensor": {
        **dict.fromkeys(("CPResult", "als", "cp", "cpca", "ico"), "tensor/test_tensor_cp.py"),
        **dict.fromkeys(("match_components", "mttkrp"), "tensor/test_tensor_products.py"),
        **dict.fromkeys(("TuckerResult", "hosvd"), "tensor/test_tensor_tucker.py"),
        "cp_covariance": "tensor/test_tensor_samples.py",
    },
    "manifold": {
        **dict.fromkeys(
            ("Boundary", "EllipticResult", "solve_elliptic"), "manifold/test_manifold_elliptic.py"
        ),
        **dict.fromkeys(
            ("LaplacianResult", "estimate_dimension", "laplacian"), "manifold/test_manifold_laplacian.py"
        ),
        **dict.fromkeys(("DiffusionMapResult", "diffusion_map"), "manifold/test_manifold_maps.py"),
    },
    "recovery": {
        **dict.fromkeys(("TransitionResult", "complete", "learn_transition"), "recovery/test_recovery.py"),
        "draw_places": "recovery/test_places.py",
    },
    "robust": dict.fromkeys(("RPCAResult", "rpca"), "robust/test_rpca.py"),
    "testing": dict.fromkeys(
        ("CNN", "MLP", "Backward", "Network", "Run", "SoftmaxCrossEntropy", "SquaredError"),
        "testing/test_networks.py",
    ),
    "optim": {
        **dict.fromkeys(("KFAC", "Loss", "Network"), "optim/test_optim_kfac.py"),
        "MFAC": "optim/test_optim_mfac.py",
        "MiniBlockFisher": "optim/test_optim_mini_blocks.py",
        **dict.fromkeys(
            ("SketchyKatyusha", "SketchySAGA", "SketchySGD", "SketchySVRG"), "optim/test_optim_sketchy.py"
        ),
    },
}


# Names of randnla.jax -> the file that tests them.
JAX: dict[str, str] = {
    "KFACState": "jax_adapter/test_jax_kfac.py",
    "KFACTransformation": "jax_adapter/test_jax_kfac.py",
    "LayerState": "jax_adapter/test_jax_kfac.py",
    "Loss": "jax_adapter/test_jax_tap.py",
    "Site": "jax_adapter/test_jax_tap.py",
    "SketchyTransformation": "jax_adapter/test_jax_sketchy.py",
    "MiniBlockState": "jax_adapter/test_jax_mini_blocks.py",
    "TappedModel": "jax_adapter/test_jax_tap.py",
    "kfac": "jax_adapter/test_jax_agreement.py",
    "mfac": "jax_adapter/test_jax_mfac.py",
    "mini_block_fisher": "jax_adapter/test_jax_mini_blocks.py",
    "sketchy_sgd": "jax_adapter/test_jax_sketchy.py",
    "prune": "jax_adapter/test_jax_pruning.py",
    "tap": "jax_adapter/test_jax_tap.py",
}


def registered_names() -> set[str]:
    """All public names that some registry row covers."""
    bases = {name.split("_")[0] for name in [*OPERATORS, *STRUCTURED]}
    return bases | set(SKETCHES) | set(DECOMPOSITIONS) | set(OTHERS)


def hoeffding(total_squares: np.ndarray, count: int) -> np.ndarray:
    """Threshold for |sum of independent symmetric variables| given their squares, over `count` assertions."""
    return np.sqrt(2.0 * math.log(2.0 * count / ALPHA) * total_squares)
