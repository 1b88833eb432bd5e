# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""StreamingSVD and svd(method="single_pass"): linearity, certificates, states, one reading of A."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cases import ALPHA
from lowrank_cases import DTYPES, assert_orthonormal, error, hermitian, matrix, tail
from scipy import stats

import randnla

GENERAL = ("tyuc17", "sketchy", "generalized_nystrom", "hmt")
METHODS = (*GENERAL, "nystrom")
SHAPE = (60, 50)


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


def stream(A, rank=5, **options):
    found = randnla.StreamingSVD(A.shape, rank, dtype=A.dtype, **{"rng": 0, **options})
    found.update(A)
    return found


def sketches(found):
    state = found.state_dict()
    return [state[key] for key in ("range", "corange", "core", "error")]


def integers(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


def assert_same_sketches(found, wanted, *, exact):
    for i, (x, y) in enumerate(zip(sketches(found), sketches(wanted), strict=True)):
        if exact and i < 3:  # the error sketch is Gaussian always
            assert np.array_equal(x, y)
        else:
            assert np.allclose(x, y, atol=1e-12 * max(1.0, np.abs(y).max(initial=0.0)), rtol=0)


def pieces(A, way):
    """Updates that add up to A."""
    m, n = A.shape
    if way == "rows":
        return [((A[i : i + 7],), {"rows": slice(i, min(i + 7, m))}) for i in range(0, m, 7)]
    if way == "columns":
        return [((A[:, j : j + 9],), {"columns": slice(j, min(j + 9, n))}) for j in range(0, n, 9)]
    if way == "blocks":
        cuts = [(slice(i, i + 30), slice(j, j + 25)) for i in (0, 30) for j in (0, 25)]
        return [((A[i, j],), {"rows": i, "columns": j}) for i, j in cuts]
    if way == "sparse":
        return [
            ((scipy.sparse.csr_array(A[:40]),), {"rows": slice(0, 40)}),
            ((scipy.sparse.csc_array(A[40:]),), {"rows": slice(40, m)}),
        ]
    assert way == "combination"
    B = integers(seed=5)
    return [((A + 2 * B,), {}), ((B,), {"scale": -2})]


@pytest.mark.parametrize("sketch", ["gaussian", "sign", "countsketch", "sparse_sign"])
@pytest.mark.parametrize("way", ["rows", "columns", "blocks", "sparse", "combination", "rank_one"])
def test_any_sequence_of_updates_gives_the_sketch_of_the_whole(way, sketch):
    # Sizes 4, 16 and 16 make the entries of sign maps 1/2 and 1/4: sums of integers are then exact.
    A = integers()
    for method, oversample in (("tyuc17", 3), ("sketchy", 3), ("generalized_nystrom", 3)):
        options = {"rank": 1, "method": method, "oversample": oversample, "sketch": sketch}
        whole = stream(A, **options)
        found = randnla.StreamingSVD(SHAPE, rng=0, **options)
        if way == "rank_one":
            for j in range(A.shape[1]):
                found.update_rank_one(A[:, j], np.eye(A.shape[1])[j])
        else:
            for arguments, where in pieces(A, way):
                found.update(*arguments, **where)
        assert_same_sketches(found, whole, exact=sketch == "countsketch")
        if sketch != "gaussian" and method == "tyuc17":
            # 4 columns of a sign map: entries 1/2.
            assert np.array_equal(sketches(found)[0], sketches(whole)[0])


def test_rank_one_terms_of_complex_matrices_and_scale():
    rng = np.random.default_rng(0)
    u, v = (rng.standard_normal((n, 3)) + 1j * rng.standard_normal((n, 3)) for n in SHAPE)
    for method in GENERAL:
        found = randnla.StreamingSVD(SHAPE, 3, method=method, dtype=complex, rng=0)
        found.update_rank_one(u[:, 0], v[:, 0])
        found.scale(2j)
        found.update_rank_one(u[:, 1:], v[:, 1:], scale=1 - 1j)
        A = 2j * np.outer(u[:, 0], v[:, 0].conj()) + (1 - 1j) * u[:, 1:] @ v[:, 1:].conj().T
        assert error(A, found.result()) <= 1e-11 * np.linalg.norm(A)
        assert_same_sketches(found, stream(A, 3, method=method), exact=False)


@pytest.mark.parametrize("method", METHODS)
def test_merge_is_commutative_and_associative(method):
    shape = (50, 50)
    A, B, C = (integers(shape, seed) for seed in range(3))
    options = {"method": method, "sketch": "countsketch", "oversample": 5}

    def made(X):
        return stream(X, **options)

    left, right = made(A), made(C)
    left.merge(made(B))
    left.merge(made(C))
    right.merge(made(B))
    right.merge(made(A))
    assert_same_sketches(left, right, exact=True)
    assert_same_sketches(left, made(A + B + C), exact=True)


def test_merge_refuses_other_parameters():
    A = integers()
    found = stream(A)
    before = found.state_dict()["digest"]
    for key, options in {
        "seed": {"rng": 1},
        "rank": {"rank": 4},
        "method": {"method": "sketchy"},
        "sketch": {"sketch": "sign"},
        "oversample": {"oversample": 3},
        "probes": {"probes": 4},
    }.items():
        with pytest.raises(randnla.InputError, match=f"other: expected {key}="):
            found.merge(stream(A, **options))
    with pytest.raises(randnla.InputError, match="other: expected dtype"):
        found.merge(stream(A.astype(np.float32)))
    with pytest.raises(randnla.InputError, match="other: expected m="):
        found.merge(stream(A[1:]))
    with pytest.raises(randnla.InputError, match="StreamingSVD"):
        found.merge(A)
    assert found.state_dict()["digest"] == before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_low_rank_is_recovered(method, dtype):
    A, s = hermitian(60, "low_rank", dtype) if method == "nystrom" else matrix(*SHAPE, "low_rank", dtype)
    result = stream(A, 9, method=method).result()
    u = np.finfo(dtype).eps
    assert_orthonormal(result.U)
    assert_orthonormal(result.Vh.conj().T)
    assert result.info.method == method
    # Rounding of sketches, amplified by the condition of tall maps, some tens; of square ones in "hmt", and
    # squared by its normal equations.
    assert error(A, result) <= (400 if method != "hmt" else 1e5) * u * np.linalg.norm(s)
    assert method == "hmt" or result.info.rank == 7
    rows = np.argmax(np.abs(result.U), axis=0)
    assert np.all(result.U[rows, np.arange(9)].real > 0)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_and_rank_zero(method):
    A = np.zeros((20, 20))
    result = stream(A, 4, method=method).result()
    assert not result.s.any()
    assert result.info.error_estimate == 0
    assert_orthonormal(result.U)
    none = stream(np.eye(20), 0, method=method)
    assert [x.shape for x in none.result()] == [(20, 0), (0,), (0, 20)]
    assert none.result().info.error_estimate >= np.sqrt(20)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm_failure", [0.1])
def test_certificate_covers_and_the_estimate_is_unbiased(method, norm_failure):
    A, _ = hermitian(30, "harmonic") if method == "nystrom" else matrix(32, 28, "harmonic")
    trials = 400
    misses, ratios = 0, []
    for seed in range(trials):
        found = stream(A, 4, method=method, oversample=4, rng=seed)
        lost = error(A, found.result())
        estimate = found.error_estimate(norm_failure)
        assert estimate.info.failure_probability == norm_failure
        misses += lost > estimate.info.error_estimate
        ratios.append((estimate.value / lost) ** 2)
    assert misses <= stats.binom.isf(1e-9, trials, norm_failure)
    # Given the factors, the squared ratio is a mean of chi-squares: variance at most 2/q = .2 (rank one).
    bound = stats.norm.isf(ALPHA / 2) * np.sqrt(0.2 / trials)
    assert abs(np.mean(ratios) - 1) <= bound


def test_the_certificate_is_exact_for_an_error_of_rank_one():
    # The worst case of the law: the failure is then the nominal one.
    A = np.outer(np.arange(1.0, 31), np.ones(20))
    misses, trials = 0, 600
    for seed in range(trials):
        found = stream(A, 0, oversample=4, rng=seed)
        misses += np.linalg.norm(A) > found.error_estimate(0.1).info.error_estimate
    assert stats.binom.ppf(1e-9, trials, 0.1) <= misses <= stats.binom.isf(1e-9, trials, 0.1)


@pytest.mark.parametrize("method", ["tyuc17", "sketchy", "generalized_nystrom"])
def test_scree_brackets_the_tails(method):
    A, s = matrix(80, 60, "geometric")
    for seed in range(40):
        lower, upper = stream(A, 10, method=method, rng=seed).scree()
        exact = np.array([tail(s, r) for r in range(lower.size)])
        assert np.all(lower <= exact)
        assert np.all(exact <= upper)
    assert upper[0] <= 1.1 * exact[0]
    assert lower[0] >= 0.9 * exact[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["dict", "pickle", "npz"])
def test_a_saved_stream_goes_on_bit_for_bit(method, form):
    A = hermitian(50, "harmonic")[0]
    first = stream(A, 4, method=method)
    if form == "dict":
        second = randnla.StreamingSVD.from_state_dict(first.state_dict())
    elif form == "pickle":
        second = pickle.loads(pickle.dumps(first))
    else:
        file = io.BytesIO()
        np.savez(file, **first.state_dict())
        file.seek(0)
        second = randnla.StreamingSVD.from_state_dict(dict(np.load(file)))
    for each in (first, second):
        each.update(A[:20], rows=slice(0, 20), scale=1e-3)
        each.scale(0.5)
    assert first.state_dict()["digest"] == second.state_dict()["digest"]
    if method != "nystrom":
        assert all(np.array_equal(x, y) for x, y in zip(first.result(), second.result(), strict=True))


def test_broken_states_are_refused():
    state = stream(integers()).state_dict()
    for key in state:
        with pytest.raises(randnla.StateError, match=key):
            randnla.StreamingSVD.from_state_dict({k: v for k, v in state.items() if k != key})
    bad = state["range"].copy()
    bad[0, 0] += 1
    for change, pattern in (
        ({"range": bad}, "digest"),
        ({"rank": 4}, "digest"),
        ({"rank": "4"}, "rank"),
        ({"schema": 9}, "schema"),
        ({"new": 1}, "new"),
        ({"kind": "other"}, "kind"),
    ):
        with pytest.raises(randnla.StateError, match=pattern):
            randnla.StreamingSVD.from_state_dict({**state, **change})


@pytest.mark.parametrize("method", GENERAL)
def test_bad_blocks_change_no_bit(method):
    A = integers()
    found = stream(A, method=method)
    before = found.state_dict()["digest"]
    for value in (np.nan, np.inf, -np.inf):
        for place in ((0, 0), (59, 49)):
            bad = A.copy()
            bad[place] = value
            for form in (np.asarray, scipy.sparse.csr_array):
                with pytest.raises(randnla.NonFiniteError, match="block: 1 entry is NaN or Inf"):
                    found.update(form(bad))
    refused = [
        (lambda: found.update(A[:, 1:]), randnla.InputError, r"block: expected 50 columns"),
        (lambda: found.update(A[:9], rows=slice(0, 8)), randnla.InputError, r"block: expected 8 rows"),
        (lambda: found.update(A[:9], rows=slice(55, 64)), randnla.InputError, r"rows.stop"),
        (lambda: found.update(A[:9], rows=slice(-9, None)), randnla.InputError, r"rows.start"),
        (lambda: found.update(A[::2], rows=slice(0, 60, 2)), randnla.InputError, r"rows: expected a step"),
        (lambda: found.update(A[:9], rows=[0, 1]), randnla.InputError, r"rows: expected a slice"),
        (lambda: found.update(A + 1j), randnla.InputError, r"block: expected real"),
        (lambda: found.update(A, scale=1j), randnla.InputError, r"scale: expected a real"),
        (lambda: found.update(A, scale=np.nan), randnla.InputError, r"scale"),
        (lambda: found.scale(np.inf), randnla.InputError, r"eta"),
        (lambda: found.update_rank_one(A[:, 0], A[:, 0]), randnla.InputError, r"v: expected shape"),
        (lambda: found.update_rank_one(A[:, 0] * np.nan, A[0]), randnla.NonFiniteError, r"u: 60 entries"),
    ]
    for call, kind, pattern in refused:
        with pytest.raises(kind, match=pattern):
            call()
    assert found.state_dict()["digest"] == before


def test_arguments_are_refused():
    good = {"shape": (9, 8), "rank": 3}
    for bad in (
        {"shape": 9},
        {"shape": (9, 0)},
        {"shape": (9, 8.0)},
        {"rank": 9},
        {"rank": True},
        {"rank": 2.0},
        {"method": "best"},
        {"oversample": -1},
        {"oversample": "many"},
        {"sketch": "srht"},
        {"probes": 0},
        {"dtype": np.int64},
        {"dtype": None},
        {"rng": -1},
    ):
        with pytest.raises(randnla.InputError, match=next(iter(bad))):
            randnla.StreamingSVD(**{**good, **bad})
    with pytest.raises(randnla.InputError, match="shape"):
        randnla.StreamingSVD((9, 8), 3, method="nystrom")
    A = integers()
    for bad in ({"sketch": "sign"}, {"power_iters": 1}, {"certificate": "exact"}):
        with pytest.raises(randnla.InputError, match=next(iter(bad))):
            randnla.svd(A, 3, method="single_pass", **bad)
    with pytest.raises(randnla.InputError, match="method"):
        randnla.svd(np.ones((400, 300)), tol=0.1, method="single_pass")


@pytest.mark.parametrize("method", ["single_pass", *GENERAL])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling_law(method, dtype):
    A = matrix(40, 30, "harmonic", dtype)[0]
    powers = (-100, -33, 1, 60, 110) if dtype == np.float32 else (-940, -333, 1, 500, 1000)

    def run(B):
        if method == "single_pass":
            return randnla.svd(B, 5, method=method, rng=0)
        return stream(B, 5, method=method).result()

    base = run(A)
    for p in powers:
        scaled = run(np.ldexp(A, p))
        assert np.array_equal(base.U, scaled.U), p
        assert np.array_equal(base.Vh, scaled.Vh), p
        assert np.array_equal(np.ldexp(base.s, p), scaled.s), p
        assert np.ldexp(base.info.error_estimate, p) == scaled.info.error_estimate, p


def test_one_reading_of_every_kind_of_input():
    A, s = matrix(90, 70, "geometric")
    base = randnla.svd(A, 6, method="single_pass", rng=4)
    assert base.info.method == "single_pass"
    assert error(A, base) <= min(base.info.error_estimate, 1.7 * tail(s, 6))

    def blocks():
        return iter([A[:40], A[40:41], A[41:]])

    kinds = {
        "fortran": (np.asfortranarray(A), 1),
        "csr": (scipy.sparse.csr_array(A), 1),
        "csc": (scipy.sparse.csc_array(A), 1),
        "iterator": (randnla.RowStream(blocks(), shape=A.shape), 1),
        "transposed": (randnla.RowStream(A.T.copy(), max_memory=20_000).T, 1),
        "operator": (scipy.sparse.linalg.aslinearoperator(A), 3),
    }
    for name, (B, passes) in kinds.items():
        result = randnla.svd(B, 6, method="single_pass", rng=4)
        assert result.info.passes == passes, name
        assert np.allclose(result.s, base.s, rtol=1e-11), name
        assert np.allclose(result.U, base.U, atol=1e-8), name
    assert (
        randnla.svd(randnla.RowStream(blocks(), shape=A.shape), 6, method="single_pass", rng=0).info.passes
        == 1
    )
    short = randnla.RowStream(iter([A[:40]]), shape=A.shape)
    with pytest.raises(randnla.InputError, match="the blocks hold 40 rows, expected 90"):
        randnla.svd(short, 6, method="single_pass", rng=0)
    changing = randnla.RowStream(iter([A[:40], A[40:, 1:]]), shape=A.shape)
    with pytest.raises(randnla.InputError, match="does not fit"):
        randnla.svd(changing, 6, method="single_pass", rng=0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_memory_is_that_of_the_sketches():
    code = (
        "import numpy as np, randnla; randnla.set_num_threads(1)\n"
        # ru_maxrss would start at the peak of the parent.
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "m, n = 40000, 20000\n"
        "f = randnla.StreamingSVD((m, n), 10, rng=0, dtype=np.float32)\n"
        "rng = np.random.default_rng(0); B = rng.standard_normal((200, n), dtype=np.float32)\n"
        "f.update(B, rows=slice(0, 200)); f.result()\n"
        "before = peak()\n"
        "for i in range(200, 1000, 200): f.update(B, rows=slice(i, i + 200))\n"
        "f.result(); after = peak()\n"
        "print(before, after, f.result().info.memory)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    before, after, held = map(int, done.stdout.split())
    assert held == 4 * (40000 * 30 + 20000 * (61 + 10))
    # Import 80 MB, a block 16 MB, sketches 10.5 MB, as much again in updates and factors; A takes 3.2 GB.
    assert after * 1024 <= 230e6
    assert after - before <= 20_000
