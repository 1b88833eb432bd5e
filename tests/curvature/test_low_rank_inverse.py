# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Warm and cold refreshes against exact eigenpairs, and the damped inverse against dense solves."""

from dataclasses import dataclass

import numpy as np
import pytest

import randnla
from randnla.curvature import BrandFactor, KroneckerFactor, LowRankInverse
from randnla.curvature.inverses.low_rank_inverse import CONTINUATIONS

EPS32 = float(np.finfo(np.float32).eps)


def stream(d, n, seed=0, decay=0.75, dtype=np.float32):
    """Batches of one covariance with eigenvalues i^(-2 decay) in reflected axes."""
    rng = np.random.default_rng(seed)
    scales = (np.arange(d) + 1.0) ** -decay
    v = rng.standard_normal((3, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    while True:
        X = rng.standard_normal((n, d)) * scales
        for u in v:
            X = X - 2 * np.outer(X @ u, u)
        yield X.astype(dtype)


def factor_of(d, n, batches=10, **arguments):
    dtype = arguments.pop("dtype", np.float32)
    batch = stream(d, n, dtype=dtype, **arguments)
    factor = KroneckerFactor(d, dtype=dtype)
    for _ in range(batches):
        factor.update(next(batch))
    return factor, batch


def excess(factor, inverse):
    """||X - U diag(s) U^T||_F over the least of its rank, in float64; ||U^T U - I||."""
    X = factor.value.astype(np.float64)
    U = inverse.U.astype(np.float64)
    least = np.linalg.norm(np.linalg.eigvalsh(X)[: -inverse.s.size])
    return np.linalg.norm(X - (U * inverse.s) @ U.T) / least, np.abs(U.T @ U - np.eye(U.shape[1])).max()


def dense_model(inverse):
    U = inverse.U.astype(np.result_type(inverse.U, np.float64))
    rest = np.eye(len(U)) - U @ U.conj().T
    return (U * (inverse.s + inverse.damping)) @ U.conj().T + (inverse.tail + inverse.damping) * rest


def test_twenty_warm_refreshes_stay_within_a_hundredth_of_the_least_error():
    factor, batch = factor_of(500, 128, batches=40)
    inverse = LowRankInverse(100, rng=0)
    inverse.refresh(factor, 1e-3)
    assert inverse.info.path == "cold"
    assert inverse.info.passes == 2
    assert excess(factor, inverse)[0] < 1.3
    for _ in range(5):  # the first warm ones make up for the cold start
        factor.update(next(batch))
        inverse.refresh(factor)
    for _ in range(20):
        factor.update(next(batch))
        inverse.refresh(factor)
        error, orthogonality = excess(factor, inverse)
        assert (inverse.info.path, inverse.info.passes) == ("warm", 1)
        assert error <= 1.01
        assert orthogonality < 64 * EPS32


def test_more_passes_and_more_columns_help_a_cold_start():
    factor, _ = factor_of(500, 300)
    errors = {}
    for oversample, power_iters in ((5, 1), (5, 2), (60, 1)):
        inverse = LowRankInverse(60, oversample=oversample, power_iters=power_iters, rng=0)
        inverse.refresh(factor)
        errors[oversample, power_iters] = excess(factor, inverse)[0]
        assert inverse.info.passes == power_iters + 1
    assert errors[5, 2] < errors[5, 1]
    assert errors[60, 1] < errors[5, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certificate_is_the_trace_norm(dtype):
    factor, batch = factor_of(300, 40, dtype=dtype)
    inverse = LowRankInverse(30, rng=0)
    for _ in range(3):
        inverse.refresh(factor, 0.1)
        X = factor.value.astype(np.float64)
        U = inverse.U.astype(np.float64)
        gap = np.linalg.eigvalsh(X - (U * inverse.s) @ U.T)
        rounding = 64 * float(np.finfo(dtype).eps) * np.trace(X)
        assert np.abs(gap).sum() <= inverse.info.error_estimate + rounding
        assert inverse.info.error_estimate <= np.abs(gap).sum() + rounding
        assert inverse.info.error_kind == "trace"
        factor.update(next(batch))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("continuation", CONTINUATIONS)
def test_apply_quadform_and_logdet_are_those_of_the_model(continuation, dtype):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((50, 60)) * (np.arange(60) + 1.0) ** -1
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.standard_normal((50, 60)) * (np.arange(60) + 1.0) ** -1
    factor = KroneckerFactor(60, dtype=dtype)
    factor.update(X.astype(dtype))
    inverse = LowRankInverse(12, continuation=continuation, rng=0)
    inverse.refresh(factor, 0.05)
    smallest = inverse.s[-1]
    mean = (factor.trace - inverse.s.sum()) / 48
    assert inverse.tail == pytest.approx(
        {"trace": mean, "none": 0.0, "min": smallest}[continuation], rel=1e-5
    )
    V = rng.standard_normal((60, 7)).astype(dtype)
    tolerance = 2e3 * float(np.finfo(dtype).eps)
    for damping in (0.05, 0.3, 5.0):  # no refresh between
        inverse.damping = damping
        model = dense_model(inverse)
        expected = np.linalg.solve(model, V)
        assert np.linalg.norm(inverse.apply(V) - expected) < tolerance * np.linalg.norm(expected)
        v = inverse.apply(V[:, 0])
        assert v.shape == (60,)
        np.testing.assert_allclose(v, inverse.apply(V)[:, 0], rtol=tolerance, atol=tolerance)
        form = np.vdot(V[:, 0], np.linalg.solve(model, V[:, 0])).real
        assert inverse.quadform(V[:, 0]) == pytest.approx(form, rel=tolerance)
        assert inverse.logdet() == pytest.approx(np.linalg.slogdet(model)[1], rel=1e-6, abs=1e-4)


def test_exact_where_the_rank_suffices():
    rng = np.random.default_rng(6)
    factor = KroneckerFactor(400, dtype=np.float64)
    factor.update(rng.standard_normal((12, 400)))  # rank 12
    inverse = LowRankInverse(20, rng=0)
    inverse.refresh(factor, 0.01)
    V = rng.standard_normal((400, 3))
    expected = np.linalg.solve(factor.value + 0.01 * np.eye(400), V)
    assert np.linalg.norm(inverse.apply(V) - expected) < 1e-10 * np.linalg.norm(expected)
    assert inverse.info.rank == 12
    small = LowRankInverse(50, rng=0)
    other = KroneckerFactor(40, dtype=np.float64)
    other.update(rng.standard_normal((90, 40)))
    small.refresh(other, 0.01)
    assert (small.info.method, small.info.path) == ("full", "full")
    expected = np.linalg.inv(other.value + 0.01 * np.eye(40))
    assert np.linalg.norm(small.apply(np.eye(40)) - expected) < 1e-10 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("damping", [1e-12, 1e-8, 1e-6, 1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("rank", [4, 32, 256])
def test_definite_for_every_damping(rank, damping, dtype):
    """A factor of a batch with fewer rows than columns, and hardly any damping.

    In the range of the factor, where rounding of the rest is 1 / damping times as large, and outside it.
    """
    rng = np.random.default_rng(7)
    X = rng.standard_normal((32, 256)).astype(dtype)
    factor = KroneckerFactor(256, dtype=dtype)
    factor.update(X)
    inverse = LowRankInverse(rank, rng=0)
    inverse.refresh(factor, damping)
    eps = float(np.finfo(dtype).eps)
    inside = (inverse.U[:, : min(rank, 32)] @ rng.standard_normal((min(rank, 32), 20))).astype(dtype)
    for V in (X.T, inside, rng.standard_normal((256, 20)).astype(dtype)):
        W = inverse.apply(V).astype(np.float64)
        forms = np.einsum("ij,ij->j", V.astype(np.float64), W)
        assert (forms > 0).all()
        assert (inverse.quadform(V) > 0).all()
        # The rounding of V itself, off the basis, counts 1 / damping in the exact form, too.
        roundoff = 64 * eps**2 * (V.astype(np.float64) ** 2).sum(axis=0) / (inverse.tail + damping)
        np.testing.assert_array_less(np.abs(forms - inverse.quadform(V)), 2e-2 * forms + roundoff)
    if rank >= 32:  # the pairs are all there are: v^H F^-1 v over the range
        wide = X.astype(np.float64)
        exact = np.linalg.inv(wide @ wide.T / 32 + damping * np.eye(32))  # of the dual
        forms = np.einsum("ij,jk,ki->i", wide @ wide.T, exact, np.eye(32))
        got = np.einsum("ij,ij->j", wide.T, inverse.apply(X.T).astype(np.float64))
        off_basis = 256 * eps**2 * (wide**2).sum(axis=1) / damping
        np.testing.assert_array_less(np.abs(got - forms), 2e-2 * forms + off_basis)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("damping", [1e-6, 1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("rank", [4, 32, 256])
def test_as_accurate_as_damping_allows(rank, damping, dtype):
    X = np.random.default_rng(7).standard_normal((32, 256)).astype(dtype)
    factor = KroneckerFactor(256, dtype=dtype)
    factor.update(X)
    inverse = LowRankInverse(rank, rng=0)
    inverse.refresh(factor, damping)
    got = inverse.apply(np.eye(256, dtype=dtype)).astype(np.float64)
    U, eps = inverse.U.astype(np.float64), float(np.finfo(dtype).eps)
    outer = 0.0 if rank == 256 else 1 / (inverse.tail + damping)
    model = (U / (inverse.s + damping)) @ U.T + outer * (np.eye(256) - U @ U.T)
    # Rounding of U loses eps against the largest value.
    assert np.linalg.norm(got - model, 2) <= 64 * eps * np.linalg.norm(model, 2)
    if rank >= 32:
        wide = X.astype(np.float64)
        # Woodbury: the inverse of the sum itself would be known to eps of its condition only.
        exact = np.eye(256) - wide.T @ np.linalg.solve(wide @ wide.T / 32 + damping * np.eye(32), wide / 32)
        exact /= damping
        # Eigenvalues of zero are known to eps of the largest, 20; their mean better, from the trace.
        allowed = 64 * eps * (1 + 20 / (1 if rank == 256 else 224) / damping)
        assert np.linalg.norm(got - exact, 2) <= allowed * np.linalg.norm(exact, 2)


def test_applying_changes_nothing():
    factor, _ = factor_of(200, 30)
    inverse = LowRankInverse(20, rng=0)
    inverse.refresh(factor, 0.1)
    V = np.random.default_rng(8).standard_normal((200, 4)).astype(np.float32)
    held = [inverse.U.tobytes(), inverse.s.tobytes(), V.tobytes(), factor.state_dict()["digest"]]
    first = inverse.apply(V)
    assert np.array_equal(first, inverse.apply(V))
    assert np.array_equal(first, inverse.apply(V))
    assert held == [inverse.U.tobytes(), inverse.s.tobytes(), V.tobytes(), factor.state_dict()["digest"]]


def test_trace_continuation_beats_none_on_a_heavy_tail():
    factor, _ = factor_of(600, 500, decay=0.4, dtype=np.float64)
    V = np.random.default_rng(9).standard_normal((600, 8))
    errors = {}
    for continuation in CONTINUATIONS:
        inverse = LowRankInverse(50, continuation=continuation, rng=0)
        inverse.refresh(factor, 1e-3)
        exact = np.linalg.solve(factor.value + 1e-3 * np.eye(600), V)
        errors[continuation] = np.linalg.norm(inverse.apply(V) - exact) / np.linalg.norm(exact)
    assert errors["trace"] < errors["none"]
    assert errors["trace"] < errors["min"]


def test_identity_start_is_damping_the_pairs_know_of():
    factor = KroneckerFactor(300, ema=0.9, start="identity", dtype=np.float64)
    factor.update(np.random.default_rng(10).standard_normal((5, 300)))
    inverse = LowRankInverse(10, rng=0)
    inverse.refresh(factor, 0.1)
    expected = np.linalg.inv(factor.value + 0.1 * np.eye(300))
    assert np.linalg.norm(inverse.apply(np.eye(300)) - expected) < 1e-10 * np.linalg.norm(expected)


def test_rank_follows_the_tolerance():
    factor, batch = factor_of(800, 200, decay=1.0)
    inverse = LowRankInverse(200, tol=0.05, rng=0)
    for _ in range(6):
        inverse.refresh(factor, 0.1)
        factor.update(next(batch))
    w = np.linalg.eigvalsh(factor.value.astype(np.float64))[::-1]
    needed = int(np.argmax(np.cumsum(w) >= 0.95 * w.sum())) + 1
    assert inverse.info.converged
    assert inverse.info.error_relative <= 0.05 + 1e-4
    assert needed <= inverse.s.size <= needed + 3
    few = LowRankInverse(3, tol=0.05, rng=0)
    few.refresh(factor, 0.1)
    assert not few.info.converged
    assert few.s.size == 3


def test_zero_rank_one_and_one_dimensional_factors():
    zero = KroneckerFactor(200)
    zero.update(np.zeros((2, 200)))
    inverse = LowRankInverse(5, rng=0)
    inverse.refresh(zero, 0.5)
    assert inverse.info.rank == 0
    np.testing.assert_allclose(inverse.apply(np.ones(200, np.float32)), 2.0, rtol=1e-6)
    inverse.damping = 0.0
    with pytest.raises(randnla.InputError, match="damping: expected a positive number"):
        inverse.apply(np.ones(200, np.float32))
    one = KroneckerFactor(200)
    one.update(np.ones((3, 200)))
    inverse.refresh(one, 0.5)  # warm, from the basis of a zero factor
    assert inverse.info.rank == 1
    # Rounding against 1 / damping, 401 times the result.
    rounding = 4 * EPS32 * 200.5 / 0.5
    np.testing.assert_allclose(inverse.apply(np.ones(200, np.float32)), 1 / 200.5, rtol=rounding)
    scalar = KroneckerFactor(1)
    scalar.update(np.full((1, 1), 3.0))
    inverse.refresh(scalar, 1.0)
    assert inverse.apply(np.ones(1, np.float32))[0] == pytest.approx(0.1)


def test_steep_spectra_keep_orthonormal_vectors():
    d = 400
    Q = np.linalg.qr(np.random.default_rng(11).standard_normal((d, d)))[0]
    w = 10.0 ** -np.arange(d, dtype=float)
    rows = (Q * np.sqrt(np.maximum(w, 1e-40))).T[:60]
    for dtype in (np.float32, np.float64):
        factor = KroneckerFactor(d, dtype=dtype)
        factor.update(rows.astype(dtype))
        inverse = LowRankInverse(30, rng=0)
        for _ in range(3):
            inverse.refresh(factor, 1e-9)
        eps = float(np.finfo(dtype).eps)
        U = inverse.U.astype(np.float64)
        assert np.abs(U.T @ U - np.eye(30)).max() < 64 * eps
        X = factor.value.astype(np.float64)
        assert np.linalg.norm(X - (U * inverse.s) @ U.T, 2) < 64 * eps * np.linalg.norm(X, 2)


def test_pairs_of_a_brand_factor_are_taken_as_they_are():
    brand = BrandFactor(500, 10)
    brand.update(np.random.default_rng(12).standard_normal((25, 500)))
    inverse = LowRankInverse(10)
    inverse.refresh(brand, 0.2)
    assert inverse.info.path == "pairs"
    assert inverse.info.error_estimate == pytest.approx(brand.lost, rel=1e-4)
    v = np.ones(500, np.float32)
    model = dense_model(inverse)
    np.testing.assert_allclose(inverse.apply(v), np.linalg.solve(model, v), rtol=1e-4)


@pytest.mark.parametrize("power", [-45, -3, 1, 20])
def test_powers_of_two_scale_everything_exactly(power):
    rng = np.random.default_rng(13)
    X = (rng.standard_normal((60, 300)) * (np.arange(300) + 1.0) ** -1).astype(np.float32)
    V = rng.standard_normal((300, 2)).astype(np.float32)
    results = []
    for p in (0, power):
        factor = KroneckerFactor(300)
        inverse = LowRankInverse(20, rng=3)
        for _ in range(2):
            factor.update(np.ldexp(X, p))
            inverse.refresh(factor, 0.01 * 4.0**p)
        results.append((inverse.s / 4.0**p, inverse.U, inverse.apply(V) * np.float32(4.0**p)))
    for plain, scaled in zip(*results, strict=True):
        assert np.array_equal(plain, scaled)


@dataclass
class Fake:
    """Not semidefinite, or not finite."""

    matrix: np.ndarray
    scale: float = 1.0
    ridge: float = 0.0

    @property
    def dim(self):
        return len(self.matrix)

    @property
    def dtype(self):
        return self.matrix.dtype

    @property
    def trace(self):
        return float(np.trace(self.matrix))

    @property
    def value(self):
        return self.matrix

    def sum_times(self, X):
        return self.matrix @ X


@pytest.mark.parametrize("entry", [-1.0, np.nan])
def test_a_factor_gone_wrong_is_named_and_the_inverse_stays(entry):
    factor, _ = factor_of(300, 30, dtype=np.float64)
    inverse = LowRankInverse(20, rng=0)
    inverse.refresh(factor, 0.1)
    before = inverse.U.tobytes(), inverse.s.tobytes(), inverse.tail, inverse.damping, inverse.info
    broken = -np.diag(np.linspace(1, 2, 300))
    broken[150, 150] = entry
    with pytest.raises(randnla.BreakdownError, match=r"not finite|positive semidefinite"):
        inverse.refresh(Fake(broken), 0.2)
    assert before == (inverse.U.tobytes(), inverse.s.tobytes(), inverse.tail, inverse.damping, inverse.info)


def test_a_factor_of_another_size_starts_cold():
    inverse = LowRankInverse(10, rng=0)
    for d in (200, 300, 300):
        factor, _ = factor_of(d, 30)
        inverse.refresh(factor, 0.1)
    assert inverse.info.path == "warm"
    fresh = LowRankInverse(10, warm_start=False, rng=0)
    for _ in range(2):
        fresh.refresh(factor, 0.1)
    assert fresh.info.path == "cold"


def test_a_negative_full_factor_is_refused():
    inverse = LowRankInverse(8)
    with pytest.raises(randnla.BreakdownError, match="positive semidefinite matrix, got an eigenvalue of -1"):
        inverse.refresh(Fake(-np.eye(10)), 0.1)


def test_misuse_is_refused():
    with pytest.raises(randnla.StateError, match="expected a refresh before"):
        LowRankInverse(3).apply(np.ones(4))
    with pytest.raises(randnla.InputError, match="rank: expected an integer"):
        LowRankInverse(0)
    with pytest.raises(randnla.InputError, match="continuation: expected one of"):
        LowRankInverse(3, continuation="mean")
    with pytest.raises(randnla.InputError, match="tol: expected"):
        LowRankInverse(3, tol=-1.0)
    factor, _ = factor_of(40, 30)
    inverse = LowRankInverse(3, rng=0)
    with pytest.raises(randnla.InputError, match="damping: expected"):
        inverse.refresh(factor, -0.1)
    inverse.refresh(factor, 0.1)
    with pytest.raises(randnla.InputError, match=r"V: expected 40 rows, got shape \(39,\)"):
        inverse.apply(np.ones(39))
    with pytest.raises(randnla.InputError, match="damping: expected"):
        inverse.damping = np.nan
    with pytest.raises(randnla.NonFiniteError, match=r"V: 1 entry is NaN or Inf, the first at index \(3"):
        inverse.apply(np.where(np.arange(40) == 3, np.nan, 1.0))
    with pytest.raises(
        randnla.InputError,
        match="factor: expected a KroneckerFactor, a BrandFactor or a LowRankFactor, got nd",
    ):
        inverse.refresh(np.eye(40))
    none = LowRankInverse(3, continuation="none", rng=0)
    none.refresh(factor, 1e-42)
    with pytest.raises(randnla.InputError, match="damping: 1e-42 is too small for float32"):
        none.apply(np.ones(40))


def test_torch_blocks_come_back_as_torch():
    torch = pytest.importorskip("torch")
    factor, _ = factor_of(100, 30)
    inverse = LowRankInverse(10, rng=0)
    inverse.refresh(factor, 0.1)
    V = torch.ones((100, 2))
    out = inverse.apply(V)
    assert isinstance(out, torch.Tensor)
    assert np.array_equal(out.numpy(), inverse.apply(V.numpy()))


@pytest.mark.parametrize("decay", [0.5, 1.0, 1.5, 2.5])
@pytest.mark.parametrize("jump", [0.0, 3.0, 100.0])
def test_the_basis_stays_orthonormal_where_spectra_decay_fast_and_factors_jump(decay, jump):
    # Columns of X Q are then far from the graded ones that sums in float32 would do for.
    factor, batch = factor_of(513, 128, batches=3, decay=decay)
    inverse = LowRankInverse(100, rng=0)
    direction = np.random.default_rng(1).standard_normal(513)
    for k in range(6):
        X = next(batch)
        if k % 2:
            X = (X + jump * np.random.default_rng(k).standard_normal((128, 1)) * direction).astype(np.float32)
        factor.update(X)
        inverse.refresh(factor, 1e-3)
        U = inverse.U.astype(np.float64)
        assert np.abs(U.T @ U - np.eye(100)).max() < 1e-4
