# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every way to apply a map agrees with its dense matrix, to the rounding of the sums involved."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cases import BACKENDS, DTYPES, LAYOUTS, OPERATORS, REAL_DTYPES, SKETCHES

import randnla
from randnla._backend.validate import working_dtype
from randnla.operators import as_operator

D, M, N = 20, 150, 9


def data(m=M, n=N, dtype=np.float64):
    rng = np.random.default_rng(8)
    A = rng.standard_normal((m, n))
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (A + 1j * rng.standard_normal((m, n))).astype(dtype)
    return (
        np.abs(10 * A).astype(dtype)
        if dtype.kind in "iu"
        else (A > 0 if dtype.kind == "b" else A.astype(dtype))
    )


def check(got, left, right, eps=None):
    """|fl(L R) - L R| <= gamma |L| |R| entry by entry, gamma = (inner length + 16) eps.

    16 covers the scale, the combination of two parts of a complex product and the transforms' constants.
    """
    left, right = np.asarray(left), np.asarray(right)
    wide = np.complex128 if "c" in (left.dtype.kind, right.dtype.kind) else np.float64
    exact = left.astype(wide) @ right.astype(wide)
    assert got.shape == exact.shape
    eps = eps or np.finfo(np.result_type(left.dtype, right.dtype, np.float32)).eps
    bound = (left.shape[-1] + 16) * eps * (np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64))
    # The cosine transform mixes all entries: its error is relative to the norm of the column.
    bound = bound + 16 * eps * np.linalg.norm(bound) / max(1, np.sqrt(bound.size)) / eps * eps
    assert np.all(np.abs(got - exact) <= bound), np.max(np.abs(got - exact) / np.maximum(bound, 1e-300))


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of tiny products: a team costs more than it gives."""
    randnla.set_num_threads(1)
    yield
    randnla.set_num_threads(0)


@pytest.fixture(params=SKETCHES)
def case(request):
    return SKETCHES[request.param]


@pytest.mark.parametrize("map_dtype", REAL_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_four_products_for_every_dtype(case, dtype, map_dtype):
    S = case.make(D, M, rng=1, dtype=map_dtype)
    dense = S.to_dense()
    A, B = data(dtype=dtype), data(D, N, dtype)
    worked, other = A.astype(working_dtype(dtype)), B.astype(working_dtype(dtype))
    expected = np.result_type(map_dtype, worked.dtype)
    eps = max(np.finfo(map_dtype).eps, np.finfo(worked.dtype).eps)
    for got, left, right in (
        (S @ A, dense, worked),
        (A.T @ S.T, worked.T, dense.T),
        (S.T @ B, dense.T, other),
        (B.T @ S, other.T, dense),
        (S @ A[:, 0], dense, worked[:, 0]),
        (B[:, 0] @ S, other[:, 0], dense),
    ):
        assert got.dtype == expected
        check(got, left, right, eps)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_layouts_give_the_same_product(case, layout, dtype):
    S = case.make(D, M, rng=2, dtype=np.float32 if dtype == np.float32 else np.float64)
    A, B = data(dtype=dtype), data(D, N, dtype)
    dense = S.to_dense()
    check(S @ LAYOUTS[layout](A), dense, A)
    check(LAYOUTS[layout](A.T) @ S.T, A.T, dense.T)
    check(S.T @ LAYOUTS[layout](B), dense.T, B)
    check(LAYOUTS[layout](B.T) @ S, B.T, dense)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(
    "container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array]
)
def test_sparse_input_equals_dense(case, container, dtype):
    A = data(dtype=dtype) * (np.random.default_rng(1).random((M, N)) < 0.2)
    B = data(D, N, dtype) * (np.random.default_rng(2).random((D, N)) < 0.2)
    S = case.make(D, M, rng=3, dtype=np.float32 if dtype == np.float32 else np.float64)
    dense = S.to_dense()
    for got, left, right in (
        (S @ container(A), dense, A),
        (container(A.T) @ S.T, A.T, dense.T),
        (S.T @ container(B), dense.T, B),
        (container(B.T) @ S, B.T, dense),
    ):
        assert isinstance(got, np.ndarray)
        check(got, left, right)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_operators_equal_dense(case, name, dtype):
    A, B = data(dtype=dtype), data(D, N, dtype)
    S = case.make(D, M, rng=4, dtype=np.float32 if dtype == np.float32 else np.float64)
    dense = S.to_dense()
    slack = 4 * np.finfo(dtype).eps  # sums and products of operators round on their own
    check(S @ OPERATORS[name](A), dense, A, slack)
    check(OPERATORS[name](A.T) @ S.T, A.T, dense.T, slack)
    check(S.T @ OPERATORS[name](B), dense.T, B, slack)
    check(OPERATORS[name](B.T) @ S, B.T, dense, slack)


@pytest.mark.parametrize("backend", BACKENDS)
def test_kind_of_the_result_is_that_of_the_input(case, backend):
    S = case.make(D, M, rng=5)
    A, B = data(), data(D, N)
    make = BACKENDS[backend]
    dense = S.to_dense()
    for got, left, right in (
        (S @ make(A), dense, A),
        (make(A.T) @ S.T, A.T, dense.T),
        (S.T @ make(B), dense.T, B),
        (make(B.T) @ S, B.T, dense),
    ):
        assert type(got) is type(make(A))
        check(np.asarray(got), left, right)


def test_bfloat16_tensors_are_worked_in_float32():
    torch = pytest.importorskip("torch")
    A = torch.arange(12.0).reshape(6, 2).bfloat16()
    got = randnla.Sign(3, 6, rng=0, dtype=np.float32) @ A
    assert got.dtype == torch.float32
    check(got.numpy(), randnla.Sign(3, 6, rng=0, dtype=np.float32).to_dense(), A.float().numpy())


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_adjoint(case, dtype):
    S = case.make(D, M, rng=6, dtype=dtype)
    x, y = data(M, 1, dtype)[:, 0], data(D, 1, dtype)[:, 0]
    bound = 2 * (M + D + 16) * np.finfo(dtype).eps * float(np.abs(y) @ np.abs(S.to_dense()) @ np.abs(x))
    assert abs(float((S @ x) @ y) - float(x @ (S.T @ y))) <= bound
    assert S.T.T is S
    assert S.T.shape == (M, D)


def test_linearity_is_exact_for_powers_of_two(case):
    S = case.make(D, M, rng=7)
    A = data()
    assert np.array_equal(S @ (A * 2.0**-40), (S @ A) * 2.0**-40)
    assert np.array_equal(S @ -A, -(S @ A))
    B = A[::-1]
    bound = 4 * (M + 16) * np.finfo(float).eps * (np.abs(S.to_dense()) @ (np.abs(A) + np.abs(B)))
    bound += 1e-13 * np.linalg.norm(A)
    assert np.all(np.abs(S @ (A + B) - (S @ A + S @ B)) <= bound)


def test_chunks_add_up(case):
    S = case.make(D, M, rng=8)
    A = data()
    total = sum(S[:, i : i + 40] @ A[i : i + 40] for i in range(0, M, 40))
    check(total, S.to_dense(), A)
    stacked = np.concatenate([S[i : i + 6] @ A for i in range(0, D, 6)])
    check(stacked, S.to_dense(), A)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_sub_blocks_have_the_bits_of_the_slice(case, dtype):
    S = case.make(D, M, rng=9, dtype=dtype)
    dense = S.to_dense()
    for rows, cols in (((0, 20), (0, 150)), ((3, 4), (63, 66)), ((7, 20), (1, 149)), ((5, 5), (0, 10))):
        block = S[rows[0] : rows[1], cols[0] : cols[1]]
        assert np.array_equal(block.to_dense(), dense[rows[0] : rows[1], cols[0] : cols[1]])
        assert np.array_equal(block[1:, 2:-1].to_dense(), block.to_dense()[1:, 2:-1])
        assert np.array_equal(S.T[cols[0] : cols[1], rows[0] : rows[1]].to_dense(), block.to_dense().T)
        A = data(block.shape[1], N, dtype)
        check(block @ A, block.to_dense(), A)
        check(block.T @ data(block.shape[0], N, dtype), block.to_dense().T, data(block.shape[0], N, dtype))
        sparse = scipy.sparse.csr_array(A)
        check(block @ sparse, block.to_dense(), A)


@pytest.mark.parametrize("name", ["Gaussian", "Sign", "SparseSign", "CountSketch", "RowSampling"])
@pytest.mark.parametrize("offset", [2**31, 2**32, 2**40])
def test_blocks_far_out(name, offset):
    S = SKETCHES[name].make(16, 2**41, rng=1)
    far, near = S[:, offset - 8 : offset + 8].to_dense(), S[:, :16].to_dense()
    assert far.shape == (16, 16)
    if name != "RowSampling":
        assert not np.array_equal(far, near)
        assert np.array_equal(far[:, 8:12], S[:, offset : offset + 4].to_dense())


def test_threads_change_no_entry(case):
    S = case.make(D, M, rng=10)
    A = data()
    results = []
    for threads in (1, 2, 3, 4):
        randnla.set_num_threads(threads)
        results.append((S.to_dense(), S @ A))
    for dense, product in results[1:]:
        assert np.array_equal(dense, results[0][0])
        check(product, dense, A)


@pytest.mark.parametrize("n", [0, 1])
def test_empty_and_single_columns(case, n):
    S = case.make(D, M, rng=11)
    assert (S @ np.ones((M, n))).shape == (D, n)
    assert (S.T @ np.ones((D, n))).shape == (M, n)
    assert (S @ scipy.sparse.csr_array((M, n))).shape == (D, n)


def test_out_receives_the_product(case):
    S = case.make(D, M, rng=12)
    A = data()
    out = np.full((N, D), np.nan).T
    assert S.apply(A, out=out) is out
    check(out, S.to_dense(), A)
    with pytest.raises(randnla.InputError, match="out"):
        S.apply(A, out=np.zeros((D, N + 1)))
    with pytest.raises(randnla.InputError, match="out"):
        S.apply(A, out=np.zeros((D, N), dtype=np.float32))


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((M + 1, 2)),
        np.ones((2, M)),
        np.ones((M, 2, 2)),
        np.ones((M, 2), dtype=object),
        np.full((M, 2), "a"),
        np.ma.masked_array(np.ones((M, 2)), mask=np.eye(M, 2, dtype=bool)),
        np.zeros((M, 2), dtype=[("a", float)]),
        np.ones((M, 2), dtype=np.longdouble),
        scipy.sparse.csr_array((M + 1, 2)),
        None,
        3.0,
        as_operator(np.ones((M + 1, 2))),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'shape', '')}-{getattr(value, 'dtype', '')}",
)
def test_hostile_input_is_refused(case, bad):
    with pytest.raises(randnla.InputError):
        case.make(D, M, rng=0) @ bad
