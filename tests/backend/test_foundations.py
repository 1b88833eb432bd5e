# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Seeds, checks and results: the words of errors and the values that pass."""

import json
import pickle

import numpy as np
import pytest

from randnla import InputError, NonFiniteError
from randnla._backend import namespace, results, rng, validate


def test_seeds_that_pass():
    assert rng.seed_from(0) == 0
    assert rng.seed_from(2**64 - 1) == 2**64 - 1
    assert rng.seed_from(np.uint64(7)) == 7
    assert 0 <= rng.seed_from(2**200) < 2**64
    assert rng.seed_from(2**200) == rng.seed_from(2**200) != rng.seed_from(2**200 + 1)
    sequence = np.random.SeedSequence(3)
    assert rng.seed_from(sequence) == rng.seed_from(sequence)
    generator = np.random.default_rng(3)
    first, second = rng.seed_from(generator), rng.seed_from(generator)
    assert first != second
    assert first == rng.seed_from(np.random.default_rng(3)) == rng.seed_from(np.random.PCG64(3))
    assert len({rng.seed_from(None) for _ in range(8)}) == 8


@pytest.mark.parametrize(
    "bad", [-1, True, np.True_, 1.0, np.float64(2), "0", [1], np.array([1, 2]), object()]
)
def test_seeds_that_do_not(bad):
    with pytest.raises(InputError, match=r"^rng: "):
        rng.seed_from(bad)
    with pytest.raises(InputError, match=r"^rng: "):
        rng.seed_from(np.random.RandomState(0))


@pytest.mark.parametrize("bad", [-1, 5, True, 2.0, np.float64(2), "2", [2], np.array(2), 2**70])
def test_ranks_that_do_not_pass(bad):
    with pytest.raises(InputError, match=r"^rank: "):
        validate.rank(bad, 4)


@pytest.mark.parametrize("bad", [0, 0.0, 1, 1.0, -0.1, np.nan, np.inf, True, "0.1", [0.1], 1e300])
def test_tolerances_that_do_not_pass(bad):
    with pytest.raises(InputError, match=r"^tol: "):
        validate.tolerance(bad)


def test_rank_and_tol():
    assert validate.rank_and_tol(np.int8(4), None, 4) == (4, None)
    assert validate.rank_and_tol(0, 1e-3, 4) == (0, 1e-3)
    with pytest.raises(InputError, match="rank, tol"):
        validate.rank_and_tol(None, None, 4)


def test_choices_and_others():
    assert validate.power_iters("auto") is None
    assert validate.power_iters(3) == 3
    for bad in ("three", -1, 1.5, True):
        with pytest.raises(InputError, match="power_iters"):
            validate.power_iters(bad)
    with pytest.raises(InputError, match="method: expected one of 'a', 'b', got 'c'"):
        validate.choice("c", ("a", "b"), name="method")
    for call in (validate.memory, validate.oversample):
        with pytest.raises(InputError):
            call(-1)
    with pytest.raises(InputError, match="check_finite"):
        validate.flag(1, name="check_finite")
    with pytest.raises(InputError, match="callback"):
        validate.callback(3)


def test_dtypes():
    for given, worked in (("?", "f8"), ("i2", "f8"), ("u8", "f8"), ("f2", "f4"), (">f4", "f4"), ("c8", "c8")):
        array = validate.as_matrix(np.ones((2, 2), dtype=given))
        assert array.dtype == np.dtype(worked)
        assert array.dtype.isnative
    for bad in ("O", "U3", "S2", "g", "G", "M8[s]", "m8[s]", [("a", "f8")]):
        with pytest.raises(InputError, match=r"^X: dtype"):
            validate.as_matrix(np.empty((2, 2), dtype=bad), name="X")


def test_no_needless_copies():
    A = np.arange(24.0).reshape(4, 6)
    for view in (A, A.T, A[::2, ::-1], A[:, 1:2]):
        assert np.shares_memory(validate.as_matrix(view), A)
    record = np.zeros((2, 2), dtype=[("a", "i1"), ("b", "f8")])["b"]
    fixed = validate.as_matrix(record)
    assert fixed.flags.aligned
    assert all(stride % 8 == 0 for stride in fixed.strides)


@pytest.mark.parametrize("where", [(0, 0), (3, 4), (6, 9)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_entries_are_named(where, value):
    A = np.ones((7, 10))
    A[where] = value
    A[6, 9] = value
    count = 1 if where == (6, 9) else 2
    for layout in (A, np.asfortranarray(A), A.astype(complex)):
        assert not validate.is_finite(layout)
        with pytest.raises(NonFiniteError) as caught:
            validate.require_finite(layout, name="X")
        entries = "1 entry is" if count == 1 else "2 entries are"
        assert str(caught.value) == f"X: {entries} NaN or Inf, the first at index {where}"
    validate.require_finite(np.ones((0, 3)))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_masked_arrays():
    clean = np.ma.masked_array(np.ones((2, 2)), mask=False)
    assert type(namespace.to_host(clean)) is np.ndarray
    with pytest.raises(InputError, match="mask"):
        namespace.to_host(np.ma.masked_equal(np.eye(2), 1))
    assert type(namespace.to_host(np.matrix(np.eye(2)))) is np.ndarray
    with pytest.raises(InputError, match="rectangular"):
        namespace.to_host([[1, 2], [3]])


def test_torch_shares_memory_both_ways():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(3, 2, requires_grad=True)
    host = namespace.to_host(tensor)
    host[0, 0] = 5
    assert tensor[0, 0] == 5
    kind = namespace.kind_of(tensor)
    back = namespace.restore(kind, host)
    back[1, 1] = 7
    assert host[1, 1] == 7
    assert namespace.restore(kind, host[::-1]).shape == (3, 2)
    assert namespace.to_host(torch.ones(2, 2, dtype=torch.complex64).conj()).dtype == np.complex64
    with pytest.raises(InputError, match="layout"):
        namespace.to_host(torch.eye(3).to_sparse())
    with pytest.raises(InputError, match="meta"):
        namespace.to_host(torch.ones(2, 2, device="meta"))


def test_results_unpack_print_and_pickle():
    info = results.Info(rank=2, error_estimate=np.float32(0.5), converged=np.True_, seed=2**63)
    result = results.SVDResult(np.eye(3, 2), np.array([2.0, 1.0]), np.eye(2), info=info)
    U, s, Vh = result
    assert U is result.U
    assert s is result[1]
    assert len(result) == 3
    assert result[-1] is Vh
    with pytest.raises(AttributeError):
        result.s = s
    text = str(result)
    assert "U: (3, 2) float64" in text
    assert "error_estimate" in text
    assert "passes" not in text
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.U, U)
    assert again.info == info
    assert json.loads(json.dumps(info.to_dict()))["seed"] == 2**63
    assert info.to_dict()["passes"] is None
    assert np.allclose(result.to_dense(), np.diag([2.0, 1.0, 0.0])[:, :2])
    (Q,) = results.RangeResult(np.eye(2))
    assert Q.shape == (2, 2)
