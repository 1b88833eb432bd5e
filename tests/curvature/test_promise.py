# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The PROMISE preconditioners against dense matrices."""

import math
import pickle

import numpy as np
import pytest
import scipy.sparse
from cases import ALPHA

from randnla import InputError, NonFiniteError, StateError
from randnla._backend import state as plain_state
from randnla.curvature import LESSN, SASSN, SSN, DiagonalPreconditioner, Multinomial, Nystrom, Preconditioner
from randnla.curvature.promise.kronecker_root import KroneckerRoot

MAKERS = {
    "nystrom": lambda rho=0.1: Nystrom(5, rho, rng=0),
    "ssn": lambda rho=0.1: SSN(rho),
    "sassn": lambda rho=0.1: SASSN(6, rho, nnz=3, rng=0),
    "lessn": lambda rho=0.1: LESSN(6, rho, nnz=3, rng=0),
    "lessn_leverage": lambda rho=0.1: LESSN(6, rho, nnz=3, scores="leverage", rng=0),
    "diagonal": lambda rho=0.1: DiagonalPreconditioner(rho, rng=0),
}
ALL = pytest.mark.parametrize("name", MAKERS)


def root(rows=12, columns=20, dtype=np.float64, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    R = rng.standard_normal((rows, columns)) * 0.8 ** np.arange(columns)
    if rank is not None:
        R = rng.standard_normal((rows, rank)) @ R[:rank]
    return R.astype(dtype)


def sparse_root(seed=0):
    R = root(seed=seed)
    R[np.random.default_rng(seed + 1).random(R.shape) < 0.6] = 0
    return R


ROOTS = {
    "wide": root(),
    "tall": root(40, 8),
    "float32": root(dtype=np.float32),
    "fortran": np.asfortranarray(root()),
    "deficient": root(rank=2),
    "one": root(1, 7),
    "zero": np.zeros((4, 7)),
    "csr": scipy.sparse.csr_array(sparse_root()),
    "csr_tall": scipy.sparse.csr_array(sparse_root().T.copy()),
    "kronecker": Multinomial(3).hessian_root(root(6, 4), root(4, 3, seed=1)),
    "kronecker_csr": Multinomial(3).hessian_root(scipy.sparse.csr_array(root(6, 4)), root(4, 3, seed=1)),
}


def made(name, R, rho=0.1):
    pre = MAKERS[name](rho)
    pre.update(R)
    return pre


def dense_root(R):
    if isinstance(R, KroneckerRoot):
        return R.dots(np.eye(R.dim))
    return (R.toarray() if scipy.sparse.issparse(R) else R).astype(np.float64)


@pytest.mark.parametrize("kind", ROOTS)
@ALL
def test_powers_belong_to_one_positive_definite_matrix(name, kind):
    pre = made(name, ROOTS[kind])
    eye = np.eye(pre.dim)
    P = pre.apply(eye)
    # A few sums of p terms in the dtype, times the condition for the inverses.
    slack = 100 * float(np.finfo(pre.dtype).eps) * float(np.linalg.norm(P))
    condition = float(np.linalg.cond(P))
    np.testing.assert_allclose(P, P.T, atol=slack)
    assert np.linalg.eigvalsh(P)[0] >= pre.rho - slack
    np.testing.assert_allclose(pre.direction(P), eye, atol=slack * condition)
    half = pre.inverse_sqrt(eye)
    np.testing.assert_allclose(half @ half, pre.direction(eye), atol=slack * condition / pre.rho)
    np.testing.assert_allclose(half, half.T, atol=slack * condition / pre.rho)
    x = np.random.default_rng(2).standard_normal((pre.dim, 3))
    np.testing.assert_allclose(pre.quadform(x), np.einsum("ij,ij->j", x, P @ x), rtol=0, atol=slack * 100)
    assert pre.quadform(x[:, 0]) == pytest.approx(pre.quadform(x)[0], rel=1e-12)
    # log det is known to n times the relative error of the smallest eigenvalue.
    np.testing.assert_allclose(
        pre.logdet(), np.linalg.slogdet(P.astype(np.float64))[1], atol=slack * condition * pre.dim
    )
    assert pre.condition == pytest.approx(condition, rel=slack * condition + 1e-6)
    assert pre.direction(x[:, 0].tolist()).shape == (pre.dim,)


@pytest.mark.parametrize("kind", ["wide", "tall", "csr", "kronecker"])
@ALL
def test_rho_changes_without_an_update(name, kind):
    pre, other = made(name, ROOTS[kind], rho=0.1), made(name, ROOTS[kind], rho=0.1)
    x = np.random.default_rng(0).standard_normal(pre.dim)
    before = pre.apply(x)
    pre.rho = 2.0
    np.testing.assert_allclose(pre.apply(x), before + 1.9 * x, rtol=1e-12)
    np.testing.assert_allclose(pre.apply(pre.direction(x)), x, rtol=1e-10, atol=1e-10)
    pre.damping = 0.1
    np.testing.assert_array_equal(pre.direction(x), other.direction(x))


@pytest.mark.parametrize("kind", ROOTS)
def test_what_the_exact_ones_hold(kind):
    R = dense_root(ROOTS[kind])
    H = R.T @ R
    slack = 200 * np.finfo(made("ssn", ROOTS[kind]).dtype).eps * max(1.0, np.linalg.norm(H))
    for name, exact in (("ssn", H), ("diagonal", np.diag(np.diag(H)))):
        pre = made(name, ROOTS[kind])
        np.testing.assert_allclose(pre.apply(np.eye(pre.dim)) - 0.1 * np.eye(pre.dim), exact, atol=slack)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nystrom_is_below_the_hessian_and_exact_where_the_rank_suffices(dtype):
    R = root(30, 20, dtype)
    H = (R.T @ R).astype(np.float64)
    pre = made("nystrom", R)
    slack = 100 * np.finfo(dtype).eps * np.linalg.norm(H)
    values = np.linalg.eigvalsh(H - (pre.U * pre.s) @ pre.U.T)
    assert values[0] >= -slack  # 0 <= H_nys <= H
    np.testing.assert_allclose(pre.U.T @ pre.U, np.eye(5), atol=1e4 * np.finfo(dtype).eps)
    assert pre.health.truncated == pytest.approx(1 - pre.s.sum() / np.trace(H), abs=1e-4)
    assert (np.diff(pre.s) <= 0).all()
    for rank in (20, 50):  # all, and more than there are
        whole = Nystrom(rank, 0.1, rng=0)
        whole.update(R)
        assert whole.U.shape == (20, 20)
        np.testing.assert_allclose((whole.U * whole.s) @ whole.U.T, H, atol=10 * slack)
    low = root(30, 20, dtype, rank=3)
    few = made("nystrom", low)
    np.testing.assert_allclose((few.U * few.s) @ few.U.T, low.T @ low, atol=100 * slack)


def test_nystrom_from_products_is_that_from_the_root():
    R = root()
    first, second = made("nystrom", R), MAKERS["nystrom"]()
    second.update(hvp=lambda V: R.T @ (R @ V), dim=20)
    np.testing.assert_allclose(first.s, second.s, rtol=1e-10)
    x = np.ones(20)
    np.testing.assert_allclose(first.direction(x), second.direction(x), rtol=1e-8)


@ALL
def test_sparse_is_dense(name):
    R = sparse_root()
    a, b = made(name, R), made(name, scipy.sparse.csr_matrix(R))
    x = np.random.default_rng(0).standard_normal((20, 2))
    np.testing.assert_allclose(a.direction(x), b.direction(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["ssn", "lessn"])
def test_sparse_roots_stay_sparse(name):
    R = scipy.sparse.random_array((30, 100_000), density=1e-4, rng=np.random.default_rng(0), format="csr")
    pre = made(name, R)
    assert pre.state_dict()["form/root"] == "sparse"
    assert pre.direction(np.ones(100_000)).shape == (100_000,)
    assert sum(v.nbytes for v in pre.state_dict().values() if isinstance(v, np.ndarray)) < 2_000_000


def test_kronecker_roots_are_those_of_the_dense_hessian():
    A, W = root(6, 4), root(4, 3, seed=1)
    for data in (A, scipy.sparse.csr_array(A)):
        R = Multinomial(3).hessian_root(data, W)
        explicit = np.stack([np.kron(A[i], R.S[i, :, m]) for i in range(6) for m in range(3)])
        np.testing.assert_allclose(R.dots(np.eye(12)), explicit, atol=1e-14)
        np.testing.assert_allclose(R.gram(), explicit @ explicit.T, atol=1e-14)
        np.testing.assert_allclose(R.normal(), explicit.T @ explicit, atol=1e-14)
        np.testing.assert_allclose(R.diagonal(), np.diag(explicit.T @ explicit), atol=1e-14)
        np.testing.assert_allclose(R.times(np.eye(12)), explicit.T @ explicit, atol=1e-14)
        assert R.trace == pytest.approx(np.sum(explicit**2))
        S = np.random.default_rng(0).standard_normal((2, 18))
        np.testing.assert_allclose(R.sketched(scipy.sparse.csr_array(S)).array, S @ explicit, atol=1e-14)


def embedded(name, d, rank, seeds, **settings):
    """``|S x|^2`` for x with E|S x|^2 = 1 whose law does not depend on the rows drawn, over seeds."""
    make = {"sassn": SASSN, "lessn": LESSN}[name]
    q = d**2 / (d**2 + 0.1) if settings.get("scores") == "leverage" else np.ones_like(d)
    x = np.sqrt(q / q.sum()) / d
    values = []
    for seed in range(seeds):
        pre = make(rank, 0.1, nnz=4, rng=seed, **settings)
        pre.update(np.diag(d))
        values.append(pre.quadform(x) - 0.1 * float(x @ x))
    return np.array(values)


@pytest.mark.parametrize("settings", [{}, {"scores": "leverage"}])
def test_sums_of_sampled_rows_have_the_right_scale(settings):
    # |S x|^2 is the mean over `rank` independent rows of (sum of 4 signs)^2 / 4, in [0, 4] with mean 1.
    rank, seeds = 40, 100
    values = embedded("lessn", np.linspace(0.5, 2, 60), rank, seeds, **settings)
    bound = 4 * math.sqrt(math.log(2 / ALPHA) / (2 * rank * seeds))
    assert abs(values.mean() - 1) <= bound < 0.25


def test_sparse_signs_keep_the_diagonal():
    # Columns of the map have unit length: the diagonal of (S D)^T S D is that of D^2.
    d = np.linspace(0.5, 2, 30)
    pre = SASSN(6, 0.1, nnz=3, rng=0)
    pre.update(np.diag(d))
    np.testing.assert_allclose(np.diag(pre.apply(np.eye(30))) - 0.1, d**2, rtol=1e-12)


@ALL
def test_a_hessian_of_zero_leaves_the_gradient_over_rho(name):
    pre = made(name, np.zeros((4, 7)), rho=0.25)
    np.testing.assert_array_equal(pre.direction(np.arange(7.0)), 4 * np.arange(7.0))
    assert pre.logdet() == pytest.approx(7 * math.log(0.25))
    assert pre.condition == 1.0
    assert pre.health.fallback == ""


@ALL
@pytest.mark.parametrize("p", [-9, 7])
@pytest.mark.parametrize("kind", ["wide", "tall", "csr"])
def test_powers_of_two_change_no_digit(name, kind, p):
    R = ROOTS[kind]
    plain, scaled = MAKERS[name](0.125), MAKERS[name](0.125 * 4.0**p)
    plain.update(R)
    scaled.update(R * 2.0**p)
    x = np.random.default_rng(0).standard_normal(R.shape[1])
    np.testing.assert_array_equal(scaled.direction(x) * 4.0**p, plain.direction(x))
    np.testing.assert_array_equal(scaled.inverse_sqrt(x) * 2.0**p, plain.inverse_sqrt(x))


# -- what goes wrong -------------------------------------------------------------------------------------


def indefinite(p=30):
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((p, p)))[0]
    w = np.zeros(p)
    w[:4] = [5, -3, 1, 0.5]
    return (Q * w) @ Q.T, Q, w


def test_an_indefinite_hessian_gives_absolute_values_and_health_says_so():
    H, Q, w = indefinite()
    pre = Nystrom(6, 0.1, rng=0)
    pre.update(hvp=lambda V: H @ V, dim=30)
    assert pre.health.fallback == "absolute values"
    assert "indefinite" in pre.health.reason
    np.testing.assert_allclose(pre.s[:4], [5, 3, 1, 0.5], rtol=1e-9)
    exact = (Q / (np.abs(w) + 0.1)) @ Q.T
    np.testing.assert_allclose(pre.direction(np.eye(30)), exact, atol=1e-8)
    pre.update(hvp=lambda V: Q @ (np.abs(w)[:, None] * (Q.T @ V)), dim=30)
    assert pre.health.fallback == ""
    assert pre.health.reason == ""


def test_gauss_newton_products_stand_in_for_an_indefinite_hessian():
    H, _, _ = indefinite()
    R = root(4, 30)
    pre, plain = Nystrom(6, 0.1, rng=0), Nystrom(6, 0.1, rng=0)
    pre.update(hvp=lambda V: H @ V, ggn=lambda V: R.T @ (R @ V), dim=30)
    plain.update(R)
    assert pre.health.fallback == "Gauss-Newton"
    np.testing.assert_allclose(pre.direction(np.ones(30)), plain.direction(np.ones(30)), rtol=1e-8)
    plain.update(hvp=lambda V: R.T @ (R @ V), ggn=lambda V: 1 / 0, dim=30)  # not called where it is definite
    assert plain.health.fallback == ""


def test_a_diagonal_from_products():
    pre = DiagonalPreconditioner(0.5, rng=0)
    pre.update(hvp=lambda V: np.array([[1.0], [2.0]]) * V, dim=2)  # diagonal: exact for every probe
    np.testing.assert_allclose(pre.apply(np.ones(2)), [1.5, 2.5])
    pre.update(hvp=lambda V: np.array([[1.0], [-2.0]]) * V, dim=2)
    np.testing.assert_allclose(pre.apply(np.ones(2)), [1.5, 2.5])
    assert pre.health.fallback == "absolute values"
    pre.update(hvp=lambda V: -V, ggn=lambda V: 3 * V, dim=2)
    np.testing.assert_allclose(pre.apply(np.ones(2)), [3.5, 3.5])
    assert pre.health.fallback == "Gauss-Newton"


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_roots_that_are_not_finite_change_nothing(name, bad):
    R = root()
    worse = R.copy()
    worse[3, 4] = bad
    pre = MAKERS[name]()
    pre.update(worse)  # the first of all: P = rho I
    assert (pre.health.fallback, pre.health.skipped_statistics) == ("identity", 1)
    np.testing.assert_array_equal(pre.direction(np.ones(20)), np.ones(20) / 0.1)
    pre.update(R)
    assert pre.health.fallback == ""
    before = pre.direction(np.ones(20))
    for given in (worse, scipy.sparse.csr_array(worse)):
        pre.update(given)
        assert pre.health.fallback == "last good inverse"
        assert "NaN or Inf" in pre.health.reason
        np.testing.assert_array_equal(pre.direction(np.ones(20)), before)
    assert pre.health.failed_refreshes == 3


def test_products_that_are_not_finite_change_nothing():
    pre = Nystrom(3, 0.1, rng=0)
    for fallback in ("identity", "last good inverse"):
        pre.update(hvp=lambda V: V * np.nan, dim=5)
        assert pre.health.fallback == fallback
        assert "not finite" in pre.health.reason
        pre.update(hvp=lambda V: V, dim=5)
    np.testing.assert_allclose(pre.U @ pre.U.T, pre.U @ pre.U.T)
    assert pre.health.failed_refreshes == 2


def test_squares_beyond_float32_are_tried_in_float64():
    R = root(12, 20, np.float32) * np.float32(1e25)
    pre = Nystrom(20, 0.1, rng=0)
    pre.update(R)
    assert pre.health.fallback == "float64"
    assert pre.direction(np.ones(20, np.float32)).dtype == np.float32
    H = R.astype(np.float64).T @ R.astype(np.float64)
    # U is rounded to float32.
    np.testing.assert_allclose((pre.U * pre.s) @ pre.U.T, H, atol=1e-5 * np.linalg.norm(H))


@ALL
def test_directions_that_overflow_are_refused(name):
    pre = made(name, np.zeros((4, 7), np.float32), rho=1e-3)
    assert pre.quadform(np.full(7, 1e38, np.float32)) == pytest.approx(7e73, rel=1e-6)
    with pytest.raises(InputError, match=r"g: P to the power of -1 times it overflows float32"):
        pre.direction(np.full(7, 1e37, np.float32))
    large = pre.direction(np.full(7, 1e34, np.float32))  # squares of it overflow, it does not
    np.testing.assert_allclose(large, 1e37, rtol=1e-6)


@ALL
def test_gradients_that_are_not_finite_are_refused(name):
    pre = made(name, root())
    before = pre.state_dict()
    g = np.ones(20)
    g[7] = np.nan
    for call in (pre.direction, pre.inverse_sqrt, pre.apply, pre.quadform):
        with pytest.raises(NonFiniteError, match="1 entry is NaN or Inf, the first at index 7"):
            call(g)
    after = pre.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Nystrom(0), "rank: expected an integer >= 1"),
        (lambda: Nystrom(True), "rank: expected an integer"),
        (lambda: Nystrom(5, 0.0), "rho: expected a positive number"),
        (lambda: SSN(rho=-1.0), "rho: expected a number >= 0"),
        (lambda: LESSN(scores="norms"), "scores: expected one of 'uniform', 'leverage'"),
        (lambda: SASSN(nnz=0), "nnz: expected an integer >= 1"),
        (lambda: SSN().update(), "hessian_root, hvp: expected one of them, got none"),
        (lambda: SSN().update(root(), hvp=len), "hessian_root, hvp: expected one of them, got both"),
        (lambda: SSN().update(hvp=lambda V: V, dim=3), "hvp: SSN needs rows"),
        (lambda: Nystrom().update(hvp=3, dim=3), "hvp: expected a callable, got int"),
        (lambda: Nystrom().update(hvp=lambda V: V), "dim: expected the length of a vector with hvp"),
        (lambda: Nystrom().update(hvp=lambda V: V[:2], dim=3), r"hvp: expected products of shape \(3, 3\)"),
        (lambda: Nystrom().update(np.ones((3, 2), complex)), "hessian_root: expected real numbers"),
        (lambda: Nystrom().update(np.ones((0, 2))), "hessian_root: expected real numbers of shape"),
        (lambda: Nystrom().update(np.ones(3)), "hessian_root: expected 2 dimensions"),
        (
            lambda: made("ssn", root()).update(root(3, 4)),
            "hessian_root: expected 20 columns as before",
        ),
        (lambda: made("ssn", root()).direction(np.ones(3)), "g: expected 20 rows, got shape"),
        (lambda: made("ssn", root()).direction(np.ones(20) * 1j), "g: expected real numbers"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_nothing_is_applied_before_an_update():
    for call in (Nystrom().direction, Nystrom().quadform):
        with pytest.raises(StateError, match="Nystrom: expected an update before it is applied"):
            call(np.ones(3))


@pytest.mark.parametrize("kind", ["wide", "tall", "float32", "csr", "kronecker", "kronecker_csr"])
@ALL
def test_states_go_on_bit_for_bit(name, kind):
    R = ROOTS[kind]
    pre = made(name, R)
    for twin in (type(pre).from_state_dict(pre.state_dict()), pickle.loads(pickle.dumps(pre))):
        assert isinstance(twin, Preconditioner)
        assert twin.health == pre.health
        x = np.random.default_rng(0).standard_normal(pre.dim)
        np.testing.assert_array_equal(twin.direction(x), pre.direction(x))
        twin.update(R)
        again = pickle.loads(pickle.dumps(pre))
        again.update(R)
        np.testing.assert_array_equal(twin.direction(x), again.direction(x))
        assert repr(twin) == repr(pre)


@ALL
def test_altered_states_are_refused(name):
    pre = made(name, root())
    good = pre.state_dict()
    for key in good:
        bad = dict(good)
        del bad[key]
        with pytest.raises(StateError, match=key.split("/")[0] if "/" not in key else "digest"):
            pre.load_state_dict(bad)
    with pytest.raises(StateError, match="digest"):
        pre.load_state_dict({**good, "rho": 3.0})
    assert pre.rho == 0.1
    pre.load_state_dict(good)


def test_every_update_has_its_own_test_matrix():
    pre = made("nystrom", root(), rho=0.1)
    first = pre.s.copy()
    pre.update(root())
    assert not np.array_equal(first, pre.s)


@pytest.mark.parametrize("name", ["nystrom", "ssn"])
def test_tensors_in_tensors_out(name):
    torch = pytest.importorskip("torch")
    pre = MAKERS[name]()
    pre.update(torch.from_numpy(root(dtype=np.float32)))
    found = pre.direction(torch.ones(20))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), made(name, root(dtype=np.float32)).direction(np.ones(20)))


def test_products_that_are_complex_are_refused():
    with pytest.raises(InputError, match="hvp: expected real products"):
        Nystrom(rng=0).update(hvp=lambda V: 1j * V, dim=6)


def test_places_outside_of_a_sparse_root_are_no_state():
    pre = SSN()
    pre.update(scipy.sparse.csr_array(np.eye(3, 6)))
    state = {key: value for key, value in pre.state_dict().items() if key != "digest"}
    state["form/indices"] = state["form/indices"] + 100
    with pytest.raises(StateError, match="form"):
        SSN.from_state_dict({**state, "digest": plain_state.digest(state)})
