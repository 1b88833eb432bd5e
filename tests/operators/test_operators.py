# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Operators act as the matrices they stand for."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from cases import OPERATORS

import randnla
from randnla import InputError, NonFiniteError
from randnla.operators import Dense, RowStream, Sparse, as_operator, sparse


def data(dtype, shape=(30, 8)):
    rng = np.random.default_rng(0)
    A = rng.integers(-4, 5, shape).astype(dtype)
    return A + 1j * rng.integers(-4, 5, shape) if np.dtype(dtype).kind == "c" else A


def stacked_products(op, A, X, Y):
    """Of stacks along leading axes, as NumPy's of the array: also of none and of empty blocks."""
    return (
        (op @ X, A @ X),
        (op.rmatmat(Y), A.conj().T @ Y),
        (op.T @ Y, A.T @ Y),
        (op.H.rmatmat(X), A @ X),
        (np.swapaxes(Y, -1, -2) @ op, np.swapaxes(Y, -1, -2) @ A),
        (op @ X[:0], A @ X[:0]),
        (op @ X[..., :0], A @ X[..., :0]),
        (op @ X[0, ::-1, :, ::2], A @ X[0, ::-1, :, ::2]),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("name", OPERATORS)
def test_products_transposes_and_algebra(name, dtype):
    # Small integers: every product is exact.
    A = data(dtype)
    op = OPERATORS[name](A)
    X, Y = data(dtype, (8, 3)), data(dtype, (30, 3))
    assert op.shape == A.shape
    assert op.dtype == A.dtype
    for got, expected in (
        (op @ X, A @ X),
        (op @ X[:, 0], A @ X[:, 0]),
        (op.rmatmat(Y), A.conj().T @ Y),
        (Y.T @ op, Y.T @ A),
        (op.T @ Y, A.T @ Y),
        (op.H @ Y, A.conj().T @ Y),
        (op.T.matmat(Y), A.T @ Y),
        (op.T.rmatmat(X), A.conj() @ X),
        (op.to_dense(), A),
        (op.T.to_dense(), A.T),
        (op.H.to_dense(), A.conj().T),
        ((2 * op - op / 2).to_dense(), 1.5 * A),
        ((-op).to_dense(), -A),
        ((op.H @ op).to_dense(), A.conj().T @ A),
        *stacked_products(op, A, data(dtype, (2, 3, 8, 4)), data(dtype, (2, 3, 30, 4))),
    ):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)
    norm = op.frobenius_norm()
    assert norm is None or norm == pytest.approx(np.linalg.norm(A), rel=1e-12)
    for wrong in (np.ones(9), np.ones((8, 9, 2)), np.ones((3, 9, 8))):
        with pytest.raises(InputError, match="shape"):
            op @ wrong
    with pytest.raises(InputError, match="shapes"):
        _ = op @ op


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_frobenius_norm_over_the_whole_range(scale):
    A = data(np.float64) * scale
    expected = np.linalg.norm(A / scale) * scale
    for op in (Dense(A), Dense(A.T), Sparse(scipy.sparse.csr_array(A)), RowStream(A)):
        assert op.frobenius_norm() == pytest.approx(expected, rel=1e-12)
    assert Dense(np.zeros((3, 0))).frobenius_norm() == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_the_norm_of_blocks_is_gathered_in_one_reading(dtype):
    A = data(dtype, (60, 7)).astype(dtype)
    A[20:40] = 0
    if A.real.itemsize == 8:
        A[:20] *= 2.0**600
        A[40:] *= 2.0**-600
    for order in ("C", "F"):
        X = np.asarray(A, order=order)
        op = RowStream(lambda X=X: (X[i : i + 20] for i in range(0, 60, 20)), shape=A.shape, dtype=dtype)
        op.matmat(np.ones(7, dtype))
        top = float(abs(A).max())
        assert op.frobenius_norm() == pytest.approx(np.linalg.norm(A.astype(complex) / top) * top, rel=1e-12)
        assert op.passes == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_the_norm_of_what_is_not_finite_is_nan(bad, dtype):
    A = np.ones((30, 4), dtype)
    A[13, 2] = bad
    stream = RowStream(lambda: (A[i : i + 10] for i in range(0, 30, 10)), shape=(30, 4), dtype=dtype)
    with pytest.raises(NonFiniteError, match=r"\(13, 2\)"):
        stream.frobenius_norm()
    for op in (
        RowStream(A, check_finite=False),
        Sparse(scipy.sparse.csr_array(A), check_finite=False),
        Dense(A, check_finite=False),
    ):
        assert np.isnan(op.frobenius_norm())


def test_memmap_is_read_in_blocks_once_a_product(tmp_path):
    A = data(np.float32, (1000, 16))
    mapped = np.memmap(tmp_path / "a.bin", dtype=np.float32, mode="w+", shape=A.shape)
    mapped[:] = A
    op = as_operator(mapped, max_memory=8192)
    assert isinstance(op, RowStream)
    sizes = [len(block) for _, block in op.blocks()]
    assert len(sizes) > 10
    assert max(sizes) * 16 * 9 <= 8192
    passes = op.passes
    assert np.array_equal(op.normal_matmat(np.eye(16, dtype=np.float32)), A.T @ A)
    above, beside = op.sketch_both(randnla.Sign(4, 1000, rng=0), randnla.Sign(4, 16, rng=0))
    assert op.passes == passes + 2
    image, square = op.matmat_both(np.eye(16, 3, dtype=np.float32))
    assert op.passes == passes + 3
    assert np.array_equal(image, A[:, :3])
    assert np.allclose(square, A.T @ A[:, :3])
    with pytest.raises(randnla.InputError, match="X: expected a block"):
        op.matmat_both(np.ones(16))
    assert np.allclose(above, randnla.Sign(4, 1000, rng=0).to_dense() @ A)
    assert np.allclose(beside, A @ randnla.Sign(4, 16, rng=0).to_dense().T)
    assert op.frobenius_norm() == pytest.approx(np.linalg.norm(A.astype(float)))
    assert op.passes == passes + 3
    fortran = np.memmap(tmp_path / "f.bin", dtype=">f4", mode="w+", shape=A.shape, order="F")
    fortran[:] = A
    assert np.array_equal(as_operator(fortran).to_dense(), A)
    assert isinstance(as_operator(mapped[10:20]), RowStream)
    assert isinstance(as_operator(mapped + 1), Dense)


def test_streams_that_lie():
    blocks = [np.ones((2, 3)), np.ones((2, 3))]
    once = RowStream(iter(blocks), shape=(4, 3))
    assert np.array_equal(once.to_dense(), np.ones((4, 3)))
    with pytest.raises(InputError, match="once"):
        once.to_dense()
    with pytest.raises(InputError, match="4 rows, expected 5"):
        RowStream(lambda: blocks, shape=(5, 3)).to_dense()
    with pytest.raises(InputError, match="does not fit"):
        RowStream(lambda: blocks, shape=(3, 3)).to_dense()
    with pytest.raises(InputError, match="does not fit"):
        RowStream(lambda: blocks, shape=(4, 2)).to_dense()
    with pytest.raises(InputError, match="shape"):
        RowStream(lambda: blocks)
    bad = [np.ones((2, 3)), np.array([[1, 2, np.nan], [1, 1, 1]])]
    with pytest.raises(NonFiniteError, match=r"A: 1 entry .* \(2, 2\)"):
        RowStream(lambda: bad, shape=(4, 3)).matmat(np.ones(3))
    assert np.isnan(RowStream(lambda: bad, shape=(4, 3), check_finite=False).to_dense()[2, 2])


def test_streams_that_lie_about_their_dtype():
    with pytest.raises(InputError, match="complex blocks needs dtype="):
        RowStream(lambda: [np.ones((4, 3)) * 1j], shape=(4, 3)).to_dense()
    for bad, dtype in ((np.ones((4, 3)) * 1j, None), (np.full((4, 3), 1e300), np.float32)):
        stream = RowStream(lambda bad=bad: [np.ones((2, 3)), bad[:2]], shape=(4, 3), dtype=dtype)
        with pytest.raises(InputError, match=r"A\[2:\]: expected .*float(64|32)"):
            stream.matmat(np.ones(3))
        with pytest.raises(InputError, match=r"A\[2:\]: expected"):
            stream.to_dense()
    with pytest.raises(InputError, match="range of complex64"):
        RowStream(lambda: [np.full((4, 3), 1e300j)], shape=(4, 3), dtype=np.complex64).to_dense()
    # What fits is converted; infinities stay infinities.
    blocks = [np.array([[1.0, np.inf]]), np.array([[0.1, -2.0]])]
    stream = RowStream(lambda: blocks, shape=(2, 2), dtype=np.float32, check_finite=False)
    assert np.array_equal(stream.to_dense(), np.array([[1, np.inf], [0.1, -2]], dtype=np.float32))
    wider = RowStream(lambda: [np.ones((4, 3), np.float32)], shape=(4, 3), dtype=np.complex128)
    assert wider.to_dense().dtype == np.complex128


class Liar(scipy.sparse.linalg.LinearOperator):
    def __init__(self, answer):
        super().__init__(float, (4, 3))
        self.answer = answer

    def _matmat(self, X):
        return self.answer(X)

    _rmatmat = _matmat

    def matmat(self, X):
        return self.answer(X)


def test_foreign_operators_are_checked():
    with pytest.raises(InputError, match="expected shape"):
        as_operator(Liar(lambda X: np.ones((5, X.shape[1])))) @ np.ones(3)
    with pytest.raises(NonFiniteError):
        as_operator(Liar(lambda X: np.full((4, X.shape[1]), np.nan))) @ np.ones(3)
    with pytest.raises(InputError, match="dtype"):
        as_operator(Liar(lambda X: np.full((4, X.shape[1]), "x"))) @ np.ones(3)

    def fail(X):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        as_operator(Liar(fail)) @ np.ones(3)
    quiet = as_operator(Liar(lambda X: np.full((4, X.shape[1]), np.nan)), check_finite=False)
    assert np.isnan(quiet @ np.ones(3)).all()


class Foreign:
    """No SciPy class, products of ours to choose; `answer` takes the block and returns the product."""

    shape = (4, 3)

    def __init__(self, answer, dtype, method):
        self.dtype = np.dtype(dtype)
        setattr(self, method, answer)


@pytest.mark.parametrize("method", ["matmat", "matvec"])
def test_foreign_operators_with_a_lying_dtype(method):
    def run(answer, dtype, X):
        return as_operator(Foreign(answer, dtype, method), check_finite=False) @ X

    def fill(value, dtype):
        return lambda X: np.full((4, *X.shape[1:]), value, dtype=dtype)

    X = np.ones((3, 2), np.float32)
    assert run(fill(2, np.float64), np.float32, X).dtype == np.float32
    assert run(fill(2, np.float32), np.float64, X).dtype == np.float64
    assert run(fill(2, np.int64), np.float32, X).dtype == np.float32
    assert run(fill(2, np.float32), np.complex128, X).dtype == np.complex128
    assert run(fill(2j, np.complex64), np.float32, X.astype(complex)).dtype == np.complex128
    for value, dtype in ((1j, np.complex128), (1e300, np.float64)):
        with pytest.raises(InputError, match=rf"^A\.{method}\(X\): expected"):
            run(fill(value, dtype), np.float32, X)
    for answer in (lambda X: None, lambda X: "x", lambda X: X[:2], lambda X: np.ones((5, 7))):
        with pytest.raises(InputError, match=rf"^A\.{method}\([xX]\): expected"):
            run(answer, np.float32, X)


def test_factors_of_a_lying_operator_have_one_dtype():
    A = data(np.float64, (40, 30))
    lying = scipy.sparse.linalg.LinearOperator(
        A.shape, dtype=np.float32, matvec=lambda x: A @ x, rmatvec=lambda x: A.T @ x
    )
    assert {part.dtype for part in randnla.svd(lying, 3, rng=0)} == {np.dtype(np.float32)}


def test_what_scipys_wrapper_lacks_is_named():
    lame = scipy.sparse.linalg.LinearOperator((4, 3), matvec=lambda x: np.ones(4))
    with pytest.raises(InputError, match=r"^A\.rmatmat\(X\): .*does not provide"):
        as_operator(lame).rmatmat(np.ones(4))
    short = scipy.sparse.linalg.LinearOperator((4, 3), dtype=float, matvec=lambda x: np.ones(5))
    with pytest.raises(InputError, match=r"^A\.matmat"):
        as_operator(short) @ np.ones((3, 2))

    def fail(x):
        raise ValueError("mine")

    raising = scipy.sparse.linalg.LinearOperator((4, 3), dtype=float, matvec=fail)
    with pytest.raises(ValueError, match=r"^mine$") as caught:
        as_operator(raising) @ np.ones(3)
    assert caught.type is ValueError


def test_an_operator_that_returns_its_input_gives_a_copy():
    same = scipy.sparse.linalg.LinearOperator((3, 3), matvec=lambda x: x, matmat=lambda X: X)
    X = np.ones((3, 2))
    assert not np.shares_memory(as_operator(same) @ X, X)


def test_algebra_with_scipys_operators():
    A, B = data(np.float64, (4, 3)), data(np.float64, (3, 4))
    theirs = scipy.sparse.linalg.aslinearoperator(B)
    assert np.array_equal((Dense(A) @ theirs).to_dense(), A @ B)
    assert np.array_equal((Dense(B) + theirs).to_dense(), 2 * B)
    assert np.array_equal((Dense(B) - theirs).to_dense(), 0 * B)


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array, scipy.sparse.coo_array])
def test_require_finite(container):
    A = data(float)
    as_operator(container(A)).require_finite()
    A[3, 1] = np.inf
    A[7, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"X: 2 entries .* \(3, 1\)"):
        as_operator(container(A)).require_finite(name="X")


@pytest.mark.parametrize(
    "bad", [None, "abc", 3.0, np.ones(3), np.ones((2, 2, 2)), {}, [[1, 2], [3]], randnla.Sign(2, 2)]
)
def test_what_is_no_matrix(bad):
    with pytest.raises(InputError, match=r"^A: "):
        as_operator(bad)


def test_other_arguments():
    with pytest.raises(InputError, match="check_finite"):
        as_operator(np.eye(2), check_finite=1)
    with pytest.raises(InputError, match="max_memory"):
        as_operator(np.eye(2), max_memory=0)
    assert as_operator(Dense(np.eye(2))).shape == (2, 2)
    with pytest.raises(InputError, match="scalar"):
        _ = np.inf * Dense(np.eye(2))


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_complex_sparse_products_go_some_columns_at_a_time(monkeypatch, form):
    A = scipy.sparse.random_array((50, 40), density=0.2, rng=np.random.default_rng(3), format=form) * (1 + 2j)
    X = np.random.default_rng(4).standard_normal((40, 13)) + 1j
    Y = A @ X
    expected = Sparse(A).matmat(X), Sparse(A).rmatmat(Y)
    monkeypatch.setattr(sparse, "_CALL_SIZE", 4 * A.nnz + 1)
    np.testing.assert_array_equal(Sparse(A).matmat(X), expected[0])
    np.testing.assert_array_equal(Sparse(A).rmatmat(Y), expected[1])
