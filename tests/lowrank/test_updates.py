# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Frequent directions and the incremental SVD: bounds that hold with certainty, states that go on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from interrupts import interrupt_at_line
from lowrank_cases import DTYPES, assert_orthonormal, error, matrix, tail

import randnla
from randnla._backend.kernels import dense

WIDTH = 30
MAKERS = [lambda: randnla.FrequentDirections(WIDTH, 8), lambda: randnla.IncrementalSVD(WIDTH, 8)]
FORMS = [np.asarray, np.asfortranarray, scipy.sparse.csc_array, scipy.sparse.coo_array, randnla.RowStream]


@pytest.fixture(autouse=True)
def one_thread():
    before = randnla.num_threads()
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(before)


def directions(A, size, step=17, **options):
    found = randnla.FrequentDirections(A.shape[1], size, dtype=A.dtype, **options)
    for start in range(0, len(A), step):
        found.update(A[start : start + step])
    return found


def incremental(A, rank, step=20, **options):
    found = randnla.IncrementalSVD(A.shape[1], rank, dtype=A.dtype, **options)
    for start in range(0, len(A), step):
        found.update(A[start : start + step])
    return found


def gram_error(A, B):
    A, B = (X.astype(np.complex128) for X in (A, B))
    return np.linalg.norm(A.conj().T @ A - B.conj().T @ B, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spectrum", ["harmonic", "geometric", "flat", "low_rank"])
def test_frequent_directions_keep_their_bound(spectrum, dtype):
    A, s = matrix(200, WIDTH, spectrum, dtype)
    size = 8
    result = directions(A, size).result()
    assert result.s.dtype == np.zeros(1, dtype).real.dtype
    assert_orthonormal(result.Vh.conj().T)
    lost = gram_error(A, result.to_dense())
    u = np.finfo(dtype).eps
    assert lost <= result.info.error_estimate
    theorem = min(tail(s, k) ** 2 / (size - k) for k in range(size))
    # 22 shrinkings and the last rows, each known to 8 sqrt(2 l) (eps / 2) of at most ||A||_F^2.
    assert result.info.error_estimate <= theorem + 24 * 16 * u * np.sum(s**2)


def test_the_bound_of_frequent_directions_is_tight():
    # Orthogonal rows of one length: every shrinking loses all that it may, l sigma^2 in l + 1 directions.
    size, n = 6, 48
    found = directions(np.eye(n), size)
    lost = gram_error(np.eye(n), found.result().to_dense())
    assert lost == pytest.approx(1.0)
    assert found.loss >= 0.99
    assert found.loss <= n / size
    # The mutant that forgets to subtract keeps too much: what is kept is below A^H A.
    A, _ = matrix(200, WIDTH, "harmonic")
    B = directions(A, 8).result().to_dense()
    least = np.linalg.eigvalsh(A.T @ A - B.T @ B)[0]
    assert least >= -1e-13
    assert gram_error(A, B) >= 0.3 * directions(A, 8).loss


def test_merged_directions_keep_the_bound():
    A, s = matrix(240, WIDTH, "harmonic")
    left, right = directions(A[:100], 8), directions(A[100:], 8)
    left.merge(right)
    result = left.result()
    lost = gram_error(A, result.to_dense())
    assert lost <= result.info.error_estimate <= min(tail(s, k) ** 2 / (8 - k) for k in range(8)) + 1e-12
    with pytest.raises(randnla.InputError, match="size"):
        left.merge(randnla.FrequentDirections(WIDTH, 9))
    with pytest.raises(randnla.InputError, match="other"):
        left.merge(A)


@pytest.mark.parametrize("p", [-450, -3, 1, 450, 500])
def test_directions_scale(p):
    A, _ = matrix(120, WIDTH, "harmonic")
    base, scaled = directions(A, 8).result(), directions(np.ldexp(A, p), 8).result()
    assert np.array_equal(base.Vh, scaled.Vh)
    assert np.array_equal(np.ldexp(base.s, p), scaled.s)


@pytest.mark.parametrize("dtype", DTYPES)
def test_incremental_is_the_svd_where_the_rank_suffices(dtype):
    A, s = matrix(150, 40, "low_rank", dtype)
    result = incremental(A, 9).result()
    assert_orthonormal(result.U)
    assert_orthonormal(result.Vh.conj().T)
    u = np.finfo(dtype).eps
    # Seven updates, each with rounding of a few u sqrt(rank) ||A||_F.
    assert error(A, result) <= 40 * u * np.linalg.norm(s)
    assert error(A, result) <= result.info.error_estimate
    exact = np.linalg.svd(A.astype(np.complex128), compute_uv=False)[:9]
    assert np.allclose(result.s, exact, atol=40 * u)
    assert result.info.rank == 7
    rows = np.argmax(np.abs(result.U), axis=0)
    assert np.all(result.U[rows, np.arange(result.U.shape[1])].real > 0)


@pytest.mark.parametrize("spectrum", ["harmonic", "geometric", "flat"])
@pytest.mark.parametrize("step", [1, 7, 60, 200])
def test_accumulated_error_of_rows_is_exact(spectrum, step):
    A, s = matrix(160, 50, spectrum)
    result = incremental(A, 8, step).result()
    lost = error(A, result)
    assert tail(s, 8) * (1 - 1e-10) <= lost <= result.info.error_estimate
    assert result.info.error_estimate <= lost * (1 + 1e-9)
    assert_orthonormal(result.U)
    assert_orthonormal(result.Vh.T)


def test_rows_and_columns():
    A, s = matrix(90, 70, "geometric")
    found = randnla.IncrementalSVD(40, 12)
    found.update(A[:50, :40])
    found.update_columns(A[:50, 40:])
    found.update(A[50:])
    assert found.shape == A.shape
    result = found.result()
    assert result.info.path == "rows and columns"
    assert error(A, result) <= result.info.error_estimate <= 3 * tail(s, 12)
    C = A + 1j * A[::-1]
    other = randnla.IncrementalSVD(40, 70, dtype=np.complex128)
    other.update(C[:, :40])
    other.update_columns(C[:, 40:])
    assert error(C, other.result()) <= 1e-13 * np.linalg.norm(C)


def test_forgetting_weighs_rows_by_age():
    A, _ = matrix(90, 30, "harmonic")
    found = incremental(A, 30, 30, forget=0.5).result()
    weighed = np.repeat([0.25, 0.5, 1.0], 30)[:, None] * A
    assert error(weighed, found) <= 1e-13
    cut = incremental(A, 5, 30, forget=0.5).result()
    assert cut.info.error_estimate == pytest.approx(error(weighed, cut))


@pytest.mark.parametrize("make", MAKERS)
def test_states_go_on_bit_for_bit_and_are_checked(make):
    A, _ = matrix(160, WIDTH, "harmonic")
    first = make()
    first.update(A[:70])
    state = first.state_dict()
    second, third = type(first).from_state_dict(state), pickle.loads(pickle.dumps(first))
    for each in (first, second, third):
        each.update(A[70:])
    for other in (second, third):
        assert all(np.array_equal(x, y) for x, y in zip(first.result(), other.result(), strict=True))
    for key in state:
        with pytest.raises(randnla.StateError, match=key):
            type(first).from_state_dict({name: value for name, value in state.items() if name != key})
    with pytest.raises(randnla.StateError, match="digest"):
        type(first).from_state_dict({**state, "dtype": "float32"})
    with pytest.raises(randnla.StateError, match="dict"):
        type(first).from_state_dict([])


@pytest.mark.parametrize("make", MAKERS)
def test_bad_rows_change_nothing(make):
    A, _ = matrix(90, WIDTH, "harmonic")
    found = make()
    found.update(A)
    before = found.state_dict()["digest"]
    bad = A.copy()
    bad[-1, -1] = np.nan
    with pytest.raises(randnla.NonFiniteError, match="rows: 1 entry"):
        found.update(bad)
    with pytest.raises(randnla.InputError, match="rows: expected 30 columns"):
        found.update(A[:, 1:])
    with pytest.raises(randnla.InputError, match="rows: expected real"):
        found.update(A + 1j)
    assert found.state_dict()["digest"] == before


@pytest.mark.parametrize("make", MAKERS)
def test_an_interrupt_or_a_bad_block_of_a_stream_changes_nothing(make, monkeypatch):
    A, _ = matrix(90, WIDTH, "harmonic")
    found = make()
    for start in range(0, 90, 30):
        found.update(A[start : start + 30])
    saved = found.state_dict()
    bad = np.full((1, WIDTH), np.nan)
    with pytest.raises(randnla.NonFiniteError, match="rows: "):
        found.update(randnla.RowStream(lambda: iter([A, bad]), shape=(91, WIDTH), name="rows"))
    assert found.state_dict()["digest"] == saved["digest"]

    gemm, calls = dense.gemm, 0

    def interrupted(*args, **keywords):
        nonlocal calls
        calls -= 1
        if calls == 0:
            raise KeyboardInterrupt
        return gemm(*args, **keywords)

    monkeypatch.setattr(dense, "gemm", interrupted)
    answered = 0
    for turn in range(1, 100):
        one = type(found).from_state_dict(saved)
        calls = turn
        try:
            one.update(A)
        except KeyboardInterrupt:
            answered += 1
            assert one.state_dict()["digest"] == saved["digest"]
        else:
            break
    assert answered >= 1


def test_an_interrupt_at_any_line_of_a_merge_leaves_all_or_nothing():
    """Both shrink: the other's rows overflow the buffer, and its squares come in a larger unit."""
    A, _ = matrix(90, WIDTH, "harmonic")
    one, other = (randnla.FrequentDirections(WIDTH, 5) for _ in range(2))
    one.update(A)
    other.update(np.ldexp(A, 500))
    saved, digest = one.state_dict(), one.state_dict()["digest"]
    merged = type(one).from_state_dict(saved)
    merged.merge(other)
    digests = {digest: 0, merged.state_dict()["digest"]: 0}
    path = type(one).merge.__code__.co_filename
    for turn in range(1, 1000):
        found = type(one).from_state_dict(saved)
        stopped = interrupt_at_line(turn, {path}, lambda found=found: found.merge(other))
        digests[found.state_dict()["digest"]] += 1  # any third state has no key
        if not stopped:
            break
    assert not stopped
    assert digests[digest] > 20


def test_an_interrupt_of_a_result_loses_no_rows(monkeypatch):
    A, _ = matrix(80, WIDTH, "harmonic")
    found = randnla.IncrementalSVD(WIDTH, 5)
    found.update(A[:60])
    found.update(A[60:])
    with monkeypatch.context() as patch:
        patch.setattr(dense, "gemm", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            found.result()
    assert found.shape == (80, WIDTH)
    assert np.linalg.norm(A - found.result().to_dense()) <= found.result().info.error_estimate


def test_kinds_of_rows_agree():
    A, _ = matrix(90, WIDTH, "harmonic")
    A[np.abs(A) < 0.02] = 0
    for make in MAKERS:
        results = []
        for form in FORMS:
            found = make()
            found.update(form(A))
            results.append(found.result())
        assert all(np.allclose(result.s, results[0].s, rtol=1e-12) for result in results)


def test_refusals():
    for bad in ({"n": 0}, {"n": 2.0}, {"size": 0}, {"size": True}, {"dtype": int}, {"dtype": "no"}):
        with pytest.raises(randnla.InputError, match=next(iter(bad))):
            randnla.FrequentDirections(**{"n": 5, "size": 3, **bad})
    for bad in ({"n": -1}, {"rank": 0}, {"rank": 1.5}, {"forget": 0.0}, {"forget": 2.0}, {"dtype": None}):
        with pytest.raises(randnla.InputError, match=next(iter(bad))):
            randnla.IncrementalSVD(**{"n": 5, "rank": 3, **bad})
    found = randnla.IncrementalSVD(4, 2)
    found.update(np.eye(4))
    with pytest.raises(randnla.InputError, match="columns: expected 4 rows"):
        found.update_columns(np.eye(3))
