# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Traces and diagonals: figures of the paper, unbiasedness, honest errors, exactness, refusals."""

import itertools

import numpy as np
import pytest
from cases import ALPHA
from estimate_cases import SPECTRA, low_rank, matrix, spectrum
from scipy import stats

import randnla
from randnla.estimate import call as estimate_call
from randnla.estimate import squared_row_norms
from randnla.estimate.left_out import left_out

TRACES = ("xtrace", "xnystrace", "hutchpp", "hutchinson")
DIAGONALS = ("xdiag", "xnysdiag", "hutchinson")


class Counted:
    """An operator that counts the columns it multiplies."""

    def __init__(self, A):
        self.A, self.shape, self.dtype, self.columns = A, A.shape, A.dtype, 0

    def matmat(self, X):
        self.columns += X.shape[1]
        return self.A @ X

    def rmatmat(self, X):
        self.columns += X.shape[1]
        return self.A.conj().T @ X


# -- the paper's figures: n = 1000, equal products; medians over 12 seeds within a factor of three ------

# Errors relative to the trace, measured by an independent script for the formulas with signs.
PAPER = {
    ("exp", 60): {"hutchpp": 1.3e-4, "xtrace": 5.3e-6, "xnystrace": 5.6e-9},
    ("exp", 120): {"hutchpp": 9e-8, "xtrace": 8e-11},  # Hutch++: the median of 60 runs in NumPy
    ("poly", 120): {"hutchpp": 3e-4, "xtrace": 1.0e-4, "xnystrace": 1.1e-4},
    ("flat", 120): {"hutchinson": 8e-4, "hutchpp": 2e-3, "xtrace": 2e-3, "xnystrace": 2e-3},
    ("step", 120): {"hutchpp": 8e-3, "xtrace": 3e-5, "xnystrace": 2.9e-4},
}


@pytest.mark.parametrize(("name", "budget"), PAPER)
def test_errors_at_equal_products_are_those_of_the_paper(name, budget):
    d = np.where(np.arange(1000) < 50, 1.0, 1e-3) if name == "step" else spectrum(name, 1000)
    X = np.linalg.qr(np.random.default_rng(0).standard_normal((1000, 1000)))[0]
    A = (X * d) @ X.T
    true = d.sum()
    for method, figure in PAPER[name, budget].items():
        found = [randnla.trace(A, budget, method=method, rng=seed) for seed in range(12)]
        assert all(r.info.matvecs <= budget for r in found)
        # The median of 12 errors of a normal law is within a factor 2 of its own median (3 sigma), and
        # resphered Gaussian vectors do somewhat better or worse than signs: three times, as a ceiling.
        assert np.median([abs(r.value - true) for r in found]) <= 3 * figure * true
        if method == "xtrace":
            within = sum(abs(r.value - true) <= 5 * r.std_error for r in found)
            assert within == 12


# -- laws -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["xtrace", "xnystrace", "hutchinson"])
def test_mean_over_all_sign_patterns_is_the_trace(method, monkeypatch):
    """Unbiased also where vectors of signs depend on each other, as a quarter of these pairs do."""
    n, k = 3, 2
    A = matrix("poly", 16)[:n, :n]  # positive definite
    budget = {"xtrace": 2 * k, "xnystrace": k, "hutchinson": k}[method]
    big = np.zeros((5, 5))
    big[:n, :n] = A
    total = []
    for signs in itertools.product((-1.0, 1.0), repeat=5 * k):
        block = np.array(signs).reshape(5, k)
        monkeypatch.setattr(
            estimate_call.Call, "vectors", lambda self, start, count, b=block, **o: b[:, :count]
        )
        total.append(randnla.trace(big, budget, method=method, probes="sign").value)
    assert np.mean(total) == pytest.approx(np.trace(A), rel=1e-10)


@pytest.mark.parametrize("method", ["xdiag", "xnysdiag"])
def test_mean_diagonal_over_all_sign_patterns(method, monkeypatch):
    k, A = 2, np.pad(matrix("poly", 16)[:3, :3], (0, 2))
    total = []
    for signs in itertools.product((-1.0, 1.0), repeat=5 * k):
        block = np.array(signs).reshape(5, k)
        monkeypatch.setattr(
            estimate_call.Call, "vectors", lambda self, start, count, b=block, **o: b[:, :count]
        )
        total.append(randnla.diag(A, 4 if method == "xdiag" else 2, method=method).value)
    np.testing.assert_allclose(np.mean(total, axis=0), np.diag(A), atol=1e-10 * np.trace(A))


@pytest.mark.parametrize("method", TRACES)
def test_order_of_the_vectors_does_not_matter(method, monkeypatch):
    A, rng = matrix("poly", 60), np.random.default_rng(4)
    blocks = {stream: rng.standard_normal((60, 12)) for stream in (0, 1)}
    values = []
    for order in (np.arange(12), rng.permutation(12)):

        def vectors(self, start, count, *, stream=0, order=order):
            return blocks[stream][:, order][:, start : start + count]

        monkeypatch.setattr(estimate_call.Call, "vectors", vectors)
        budget = {"xtrace": 24, "xnystrace": 12, "hutchpp": 36, "hutchinson": 12}[method]
        found = randnla.trace(A, budget, method=method, probes="gaussian")
        values.append((found.value, found.std_error))
    np.testing.assert_allclose(*values, rtol=1e-9)


@pytest.mark.parametrize("method", TRACES)
def test_unbiased_over_seeds(method):
    A = matrix("exp", 24)
    true = np.trace(A)
    values = np.array([randnla.trace(A, 12, method=method, rng=seed).value for seed in range(500)])
    # The mean of 500 is normal to well below the 6.5 sigma of a two-sided test at ALPHA; heavy tails of
    # single samples get twice that.
    assert abs(values.mean() - true) <= 14 * values.std() / np.sqrt(values.size)


@pytest.mark.parametrize("method", TRACES)
@pytest.mark.parametrize("name", SPECTRA)
def test_two_standard_errors_hold_the_truth(method, name):
    """At least nine times in ten with twelve vectors: an exact binomial test of that claim at ALPHA."""
    A, runs = matrix(name, 40), 250
    true = np.trace(A)
    budget = {"xtrace": 24, "xnystrace": 12, "hutchpp": 36, "hutchinson": 12}[method]
    found = [randnla.trace(A, budget, method=method, rng=seed) for seed in range(runs)]
    inside = sum(abs(r.value - true) <= 2 * r.std_error for r in found)
    assert inside >= stats.binom.ppf(ALPHA, runs, 0.9)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("probes", ["gaussian", "sign"])
@pytest.mark.parametrize("method", ["xtrace", "hutchpp", "xnystrace"])
def test_low_rank_is_exact(method, probes, complex_):
    """More vectors than the rank: R is singular, and the trace comes out to rounding."""
    A = low_rank(60, 4, complex_=complex_)
    A = A @ A.conj().T if method == "xnystrace" else A
    found = randnla.trace(A, 30, method=method, probes=probes, rng=1)
    # 30 n u |A|_F, and the Nystrom shift of a core known to u sqrt(n) |A|.
    assert abs(found.value - np.trace(A)) <= 30 * 60 * 1.2e-16 * np.linalg.norm(A)
    if method != "xnystrace":
        assert np.iscomplexobj(found.value) == complex_


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("method", ["xdiag", "xnysdiag"])
def test_diagonal_of_low_rank_is_exact(method, complex_):
    A = low_rank(60, 4, complex_=complex_)
    A = A @ A.conj().T if method == "xnysdiag" else A
    found = randnla.diag(A, 30, method=method, rng=1)
    np.testing.assert_allclose(found.value, np.diag(A), atol=60 * 60 * 1.2e-16 * np.linalg.norm(A))


def test_row_norms_of_low_rank_are_exact_and_wide_ones_unbiased():
    A = low_rank(60, 4, complex_=True)[:20]
    np.testing.assert_allclose(squared_row_norms(A, 30, rng=0).value, (np.abs(A) ** 2).sum(axis=1))
    B = matrix("poly", 30)[:7]
    true = (B**2).sum(axis=1)
    values = np.array([squared_row_norms(B, 12, rng=seed).value for seed in range(500)])
    assert np.all(np.abs(values.mean(axis=0) - true) <= 14 * values.std(axis=0) / np.sqrt(500))
    np.testing.assert_allclose(squared_row_norms(B, 30).value, true)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.complex128, np.int64])
@pytest.mark.parametrize("method", TRACES)
def test_budget_of_n_products_is_exact(method, dtype):
    rng = np.random.default_rng(0)
    A = (10 * rng.standard_normal((30, 30))).astype(dtype)
    counted = Counted(A.astype(np.result_type(dtype, np.float32)))
    found = randnla.trace(counted, 30, method=method)
    eps = np.finfo(np.float32).eps if np.dtype(dtype).char in "efF" else np.finfo(np.float64).eps
    assert abs(found.value - np.trace(A.astype(np.complex128))) <= 4 * eps * np.linalg.norm(
        A.astype(np.complex128)
    )
    assert found.info.method == "exact"
    assert counted.columns == 30
    np.testing.assert_allclose(randnla.diag(A, 30).value, np.diag(A), rtol=2 * eps)


def test_resphered_vectors_take_the_identity_exactly():
    A = 3.0 * np.eye(50)
    for method in TRACES:
        found = randnla.trace(A, 12, method=method, probes="gaussian", rng=0)
        assert found.value == pytest.approx(150.0, rel=1e-12)
        plain = randnla.trace(A, 12, method=method, probes="gaussian", resphere=False, rng=0)
        assert abs(plain.value - 150.0) > 1e-3


@pytest.mark.parametrize("method", TRACES)
def test_tolerance_is_met_or_the_budget_says_no(method):
    A = matrix("poly", 300)
    if method != "hutchinson":
        found = randnla.trace(A, tol=0.003, method=method, rng=2)
        assert found.info.converged
        assert found.std_error <= 0.003 * found.value
        assert abs(found.value - np.trace(A)) <= 5 * found.std_error
        assert found.info.matvecs < 300
    with pytest.warns(randnla.ConvergenceWarning, match="exceeds tol"):
        short = randnla.trace(A, 30, tol=1e-6, method=method, rng=2)
    assert not short.info.converged
    assert short.info.matvecs <= 30
    whole = randnla.trace(A, tol=1e-9, method=method, rng=2)
    assert whole.info.method == "exact"
    assert whole.value == pytest.approx(np.trace(A), rel=1e-12)


def test_growing_in_rounds_is_growing_at_once():
    """Blocks of products are used again: the same estimate as from one block, to rounding."""
    A = matrix("poly", 200)
    with pytest.warns(randnla.ConvergenceWarning, match="exceeds tol"):
        grown = randnla.trace(A, 100, tol=1e-9, rng=5)
    once = randnla.trace(A, 100, rng=5)
    assert grown.value == pytest.approx(once.value, rel=1e-12)
    assert grown.info.matvecs == once.info.matvecs == 100


def test_auto_adds_up_what_is_at_hand():
    A = matrix("poly", 40)
    for given in (A, randnla.Sparse(randnla_sparse(A)), randnla.Kronecker(A[:5, :5], A[:8, :8])):
        found = randnla.trace(given, 10, method="auto")
        whole = given if isinstance(given, np.ndarray) else given.to_dense()
        assert found.value == pytest.approx(np.trace(whole))
        assert (found.info.path, found.info.matvecs) == ("diagonal at hand", 0)
    assert randnla.trace(Counted(A), 10, method="auto", rng=0).info.method == "xtrace"


def randnla_sparse(A):
    import scipy.sparse

    return scipy.sparse.csr_array(A)


def test_left_out_directions_are_orthogonal_to_the_other_columns():
    rng = np.random.default_rng(3)
    R = np.triu(rng.standard_normal((6, 6)))
    R[:, 4] = R[:, 1] - 2 * R[:, 2]  # 1, 2 and 4 make each other superfluous
    out = left_out(np.linalg.qr(R)[1], 1e-16)
    inner = (out.U @ out.S).conj().T @ np.linalg.qr(R)[1]
    np.testing.assert_allclose(inner, np.diag(out.overlap), atol=1e-12)
    assert (out.overlap > 0).tolist() == [True, False, False, True, False, True]
    assert out.dimension.tolist() == [4, 5, 5, 4, 5, 4]


# -- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "pattern"),
    [
        ({"budget": 3}, "budget: expected at least 4 products or n = 40, got 3"),
        ({"budget": 3, "method": "hutchpp"}, "budget: expected at least 6"),
        ({"budget": 0}, "budget: expected an integer >= 1, got 0"),
        ({"budget": 10, "method": "best"}, "method: expected one of"),
        ({"budget": 10, "probes": "uniform"}, "probes: expected one of"),
        ({"budget": 10, "probes": "sign", "resphere": True}, "resphere: True needs probes='gaussian'"),
        ({"budget": 10, "resphere": 1}, "resphere: expected True or False"),
        ({"tol": 2.0}, "tol: expected a number strictly between 0 and 1"),
    ],
)
def test_refusals(keywords, pattern):
    with pytest.raises(randnla.InputError, match=pattern):
        randnla.trace(matrix("flat", 40), **keywords)


def test_nystrom_methods_refuse_what_is_not_semidefinite():
    A = matrix("flat", 40)
    with pytest.raises(randnla.BreakdownError, match="A: expected a positive semidefinite matrix"):
        randnla.trace(-A, 12, method="xnystrace")
    with pytest.raises(randnla.InputError, match="A: expected a symmetric"):
        randnla.diag(A + np.triu(A), 12, method="xnysdiag")
    with pytest.raises(randnla.InputError, match="A: expected a square matrix"):
        randnla.trace(A[:, :30], 12)
