# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The random map: a short wide matrix that exists only as a seed and a rule."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.device import empty_beside, is_device, runtime
from randnla._backend.errors import InputError
from randnla._backend.kernels import dense, sparse
from randnla._backend.rng import seed_from
from randnla.operators import LinearOperator, as_operator, is_foreign
from randnla.operators.base import is_map
from randnla.sketching import state as plain_state

Array = npt.NDArray[Any]
Range = tuple[int, int]

# What a product may hold of the map, or of a converted input, at a time.
BLOCK_BYTES = 8 << 20
LARGEST = 1 << 62


class RandomMap(ABC):
    """A random d x m matrix S with ``E[S.T @ S] = I``, never stored.

    An entry is a pure function of (seed, stream, kind, dtype, row, column): it depends on no thread
    count, instruction set, layout or chunk, so that a sub-block ``S[i0:i1, j0:j1]`` has the bits of the
    slice of the whole.

    Parameters
    ----------
    d, m : int
        Rows (the sketch size) and columns (the length of what is sketched).
    rng : None, int, SeedSequence or Generator
        Where the seed comes from; see ``S.seed``.
    dtype : float32 or float64, default float64
        Type of the entries. Maps of one seed and different dtypes are different maps.
    stream : int, default 0
        Independent maps of one seed.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    seed, stream : int

    Raises
    ------
    InputError
        A size, seed or dtype that cannot be.

    Notes
    -----
    ``S @ A``, ``A @ S.T``, ``S.T @ B`` and ``B @ S`` take arrays of one or two axes in any layout, SciPy
    sparse matrices, operators, and torch, JAX or other DLPack arrays on the CPU; maps with device kernels
    (`/guide/gpu`) take CuPy, torch and JAX arrays of their own dtype on a GPU, too. SciPy's own operators are
    taken on the right; on the left their ``@`` asks for an array before it asks us, so write
    ``as_operator(L) @ S.T``. No map is an array: ``np.asarray(S)`` is an array without axes that holds the
    object (SciPy's sparse matrices rely on that), ``S.to_dense()`` the matrix. The result is dense, of
    the kind of the input, and of dtype ``np.result_type(S.dtype, A.dtype)``: the entries are always those
    of ``S.dtype``, widened exactly where `A` is wider. Give a map the dtype of what it is applied to:
    narrower input is converted a block at a time, wider input meets dense blocks of the map, correct but
    slower. The result of a Fortran-ordered array is Fortran-ordered.
    """

    is_random_map: ClassVar[bool] = True
    kind: ClassVar[str]
    _state_fields: ClassVar[tuple[str, ...]] = ()
    # Whether a block of columns costs its share of the whole map.
    _cuts_columns: ClassVar[bool] = True
    # NumPy and SciPy then leave `A @ S` to __rmatmul__.
    __array_ufunc__ = None
    __array_priority__ = 2000.0
    ndim = 2

    def __init__(self, d: int, m: int, *, rng: Any = None, dtype: Any = np.float64, stream: int = 0) -> None:
        self.d = validate.integer(d, name="d", low=1, high=LARGEST)
        self.m = validate.integer(m, name="m", low=0, high=LARGEST)
        self.dtype: np.dtype[Any] = validate.map_dtype(dtype)
        self.stream = validate.integer(stream, name="stream", low=0, high=(1 << 64) - 1)
        self.seed = seed_from(rng)
        self._rows: Range = (0, self.d)
        self._cols: Range = (0, self.m)

    # -- what a kind of map gives --------------------------------------------------------------------

    @abstractmethod
    def _apply(self, A: Array, out: Array) -> None:
        """``out = S @ A`` for real 2-D arrays of the map's dtype, any strides."""

    @abstractmethod
    def _apply_adjoint(self, B: Array, out: Array) -> None:
        """``out = S.T @ B``."""

    @abstractmethod
    def _fill(self, out: Array) -> None:
        """``out = S``."""

    def _extra_state(self) -> dict[str, Any]:
        """Parameters beyond those all maps have."""
        return {}

    # -- shape and views -----------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of this map or block of a map."""
        return (self._rows[1] - self._rows[0], self._cols[1] - self._cols[0])

    @property
    def T(self) -> Any:
        """The transpose, a view."""
        from randnla.sketching.transpose import TransposedMap

        return TransposedMap(self)

    @property
    def is_whole(self) -> bool:
        """False for a proper block of a map."""
        return self.shape == (self.d, self.m)

    def __getitem__(self, index: Any) -> Self:
        rows, cols = axes_of(index)
        block = object.__new__(type(self))
        block.__dict__.update(self.__dict__)
        block._rows = _cut(rows, self._rows, "rows")
        block._cols = _cut(cols, self._cols, "columns")
        return block

    def to_dense(self) -> Array:
        """The map as an array of shape ``S.shape``."""
        out = np.empty(self.shape, dtype=self.dtype)
        if out.size:
            self._fill(out)
        return out

    # -- products ------------------------------------------------------------------------------------

    def apply(self, A: Any, *, out: Array | None = None) -> Array:
        """``S @ A`` for an array of shape (m, n) or (m,).

        `out`, of any layout, receives it; sharing memory with `A` it raises `InputError`.
        """
        return self._product(A, out, adjoint=False)

    def apply_adjoint(self, B: Any, *, out: Array | None = None) -> Array:
        """``S.T @ B`` for an array of shape (d, n) or (d,); `out` as for `apply`."""
        return self._product(B, out, adjoint=True)

    def apply_sparse(self, A: Any) -> Array:
        """``S @ A`` for a SciPy sparse matrix (m, n), without making it dense."""
        return self._sparse_product(A, adjoint=False)

    def apply_adjoint_sparse(self, B: Any) -> Array:
        """``S.T @ B`` for a SciPy sparse matrix (d, n), without making it dense."""
        return self._sparse_product(B, adjoint=True)

    def __matmul__(self, A: Any) -> Any:
        A = factor(A, "A")
        if isinstance(A, LinearOperator):
            return A.sketch(self)
        if namespace.is_sparse(A):
            return self.apply_sparse(A)
        return namespace.restore(namespace.kind_of(A), self.apply(A))

    def __rmatmul__(self, B: Any) -> Any:
        # B S = (S^T B^T)^T
        B = factor(B, "B")
        if isinstance(B, LinearOperator):
            return self.T._adjoint_of_operator(B)
        if namespace.is_sparse(B):
            return self.apply_adjoint_sparse(B.T).T
        array = factor_array(B, "B")
        return namespace.restore(namespace.kind_of(B), right_product(self, array, adjoint=True))

    def _product(self, A: Any, out: Array | None, *, adjoint: bool) -> Array:
        rows, cols = self.shape[::-1] if adjoint else self.shape
        name = "B" if adjoint else "A"
        array, worked = validate.native_array(A, name=name, ndim=(1, 2))
        self._check_length(array.shape, cols, adjoint=adjoint)
        on_device = is_device(array)
        if on_device:
            self._require_device_kernel(array, name, adjoint=adjoint)
        dtype = np.result_type(self.dtype, worked)
        shape = (rows, *array.shape[1:])
        if out is None:
            # In the layout of A: a transform of columns that lie in one piece writes such columns.
            order: Literal["C", "F"] = "F" if array.flags.fnc else "C"
            out = empty_beside(array, shape, dtype, order) if on_device else np.empty(shape, dtype, order)
        else:
            validate.receiver(out, shape, dtype, array)
        target, columns = (out, array) if array.ndim == 2 else (out[:, None], array[:, None])
        if 0 in target.shape:
            return out
        if on_device:
            with runtime().on(array):
                self._native(columns, target, adjoint=adjoint)
        elif cols == 0:
            out[...] = 0
        else:
            self._any_dtype(columns, target, adjoint=adjoint)
        return out

    def _has_device_kernel(self, *, adjoint: bool) -> bool:
        """Whether ``S @ A``, or ``S.T @ B``, can be computed on a GPU for this map or block."""
        return False

    def _require_device_kernel(self, A: Any, name: str, *, adjoint: bool) -> None:
        if A.dtype != self.dtype:
            raise InputError(f"{name}: expected {self.dtype}, that of the map, on a GPU, got {A.dtype}")
        if A.shape[0] == 0 or not self._has_device_kernel(adjoint=adjoint):
            product = "S.T @ B" if adjoint else "S @ A"
            raise InputError(f"{name}: {product} of {self!r} has no kernel for arrays on a GPU")

    def _any_dtype(self, A: Array, out: Array, *, adjoint: bool) -> None:
        if validate.is_native(A, out.dtype):
            self._native(A, out, adjoint=adjoint)
        else:
            self._converted(A, out, adjoint=adjoint)

    def _native(self, A: Array, out: Array, *, adjoint: bool) -> None:
        """For input of the dtype of the result."""
        if A.dtype.kind == "c":
            for part, target in _real_parts(A, out):
                self._native(part, target, adjoint=adjoint)
        elif A.dtype != self.dtype:
            self._widened(A, out, adjoint=adjoint)
        elif adjoint:
            self._apply_adjoint(A, out)
        else:
            self._apply(A, out)

    def _converted(self, A: Array, out: Array, *, adjoint: bool) -> None:
        """For any other input: blocks of it are converted in turn, and blocks of the result summed up."""
        height, length = out.shape[0], A.shape[0]
        entries = BLOCK_BYTES // out.dtype.itemsize
        down, across = height, length
        width = max(1, entries // length)
        if self._cuts_columns and length > entries // 16:
            down = min(height, entries)
            width = min(A.shape[1], max(1, entries // down))
            across = max(1, entries // width)
        for j, i in itertools.product(range(0, A.shape[1], width), range(0, height, down)):
            rows, columns = slice(i, i + down), slice(j, j + width)
            target = out[rows, columns]
            for k in range(0, length, across):
                part = slice(k, k + across)
                block = self[part, rows] if adjoint else self[rows, part]
                panel = validate.native(A[part, columns], out.dtype)
                term = target if k == 0 else np.empty(target.shape, dtype=out.dtype)
                block._native(panel, term, adjoint=adjoint)
                if k > 0:
                    target += term

    def _widened(self, A: Array, out: Array, *, adjoint: bool) -> None:
        """For input wider than the map, which it holds exactly: a block of columns of S at a time."""
        length = self.shape[1]
        step = max(1, BLOCK_BYTES // (4 * A.dtype.itemsize * self.shape[0]))
        for start in range(0, length, step):
            part = slice(start, min(start + step, length))
            block = self[:, part].to_dense().astype(A.dtype)
            if adjoint:
                dense.gemm(block.T, A, out[part])
            else:
                dense.gemm(block, A[part], out, beta=0.0 if start == 0 else 1.0)
            del block  # before the next one is made

    def _sparse_product(self, A: Any, *, adjoint: bool) -> Array:
        rows, cols = self.shape[::-1] if adjoint else self.shape
        name = "B" if adjoint else "A"
        if A.ndim != 2:
            raise InputError(f"{name}: expected 2 dimensions, got {A.ndim} (shape {A.shape})")
        self._check_length(A.shape, cols, adjoint=adjoint)
        matrix = A if A.format in ("csr", "csc") else scipy.sparse.csr_array(A)
        wide = np.result_type(self.dtype, validate.working_dtype(matrix.dtype, name=name))
        out = np.zeros((rows, A.shape[1]), dtype=wide)
        if out.size == 0 or matrix.nnz == 0:
            return out
        if wide.kind == "c":
            real = np.dtype(wide.type(0).real.dtype)
            self._apply_compressed(_with_data(matrix, matrix.data.real, real), out.real, adjoint=adjoint)
            self._apply_compressed(_with_data(matrix, matrix.data.imag, real), out.imag, adjoint=adjoint)
        else:
            self._apply_compressed(_with_data(matrix, matrix.data, wide), out, adjoint=adjoint)
        return out

    def _apply_compressed(self, A: Any, out: Array, *, adjoint: bool) -> None:
        """``out = S @ A`` (or ``S.T @ A``) for real CSR or CSC of the dtype of `out`.

        The map stands in memory a few rows of the result at a time: (S A)^T = A^T S^T, and the transpose
        of a compressed matrix is the same arrays read the other way.
        """
        height, length = out.shape[0], A.shape[0]
        entries = BLOCK_BYTES // out.dtype.itemsize
        # Rows of a CSR matrix can be had without a copy, so a long one goes in blocks of them.
        step, across = max(1, entries // length), length
        if A.format == "csr" and step < min(height, 64):
            step = min(height, 64, max(1, entries // A.shape[1]))
            across = entries // (2 * step)
        for i, k in itertools.product(range(0, height, step), range(0, length, across)):
            part, rows = slice(i, i + step), slice(k, k + across)
            map_block = self[rows, part].to_dense() if adjoint else self[part, rows].to_dense().T
            block = map_block.astype(out.dtype, copy=False)
            indptr, indices, data = A.indptr, A.indices, A.data
            if across < length:
                indptr = A.indptr[k : k + across + 1]
                held = slice(indptr[0], indptr[-1])
                indptr, indices, data = indptr - indptr[0], indices[held], data[held]
            target = out[part]
            term = target if k == 0 else np.empty(target.shape, dtype=out.dtype)
            sparse.csr_matmul(indptr, indices, data, block, term.T, adjoint=A.format == "csr")
            if k > 0:
                target += term

    def _check_length(self, shape: tuple[int, ...], wanted: int, *, adjoint: bool) -> None:
        if shape[0] != wanted:
            left, right = ("S.T @ B", "B") if adjoint else ("S @ A", "A")
            raise InputError(f"{left}: S has shape {self.shape}, {right} has shape {tuple(shape)}")

    # -- state ---------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` makes the same map."""
        return plain_state.seal(
            {
                "kind": self.kind,
                "d": self.d,
                "m": self.m,
                "seed": self.seed,
                "stream": self.stream,
                "dtype": self.dtype.name,
                "row_start": self._rows[0],
                "row_stop": self._rows[1],
                "col_start": self._cols[0],
                "col_stop": self._cols[1],
                **self._extra_state(),
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The map a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        return plain_state.build(cls, state)

    def __reduce__(self) -> Any:
        return (plain_state.revive, (type(self), self.state_dict()))

    def __repr__(self) -> str:
        extra = "".join(
            f", {key}={value!r}" for key, value in self._extra_state().items() if np.isscalar(value)
        )
        text = f"{type(self).__name__}({self.d}, {self.m}{extra}, rng={self.seed}, dtype={self.dtype.name}"
        text += f", stream={self.stream})" if self.stream else ")"
        if not self.is_whole:
            text += f"[{self._rows[0]}:{self._rows[1]}, {self._cols[0]}:{self._cols[1]}]"
        return text


def factor(A: Any, name: str) -> Any:
    """The other factor of a product with a map: foreign operators as ours, all else as it is."""
    if is_map(A) or getattr(A, "is_map_transpose", False):
        raise InputError(f"{name}: expected a matrix, got a random map; take the .to_dense() of one factor")
    return as_operator(A, name=name) if is_foreign(A) else A


def factor_array(A: Any, name: str) -> Array:
    """`as_array` of one or two axes, or an array on a GPU as it is."""
    given, dtype = validate.native_array(A, name=name, ndim=(1, 2))
    array: Array = given if is_device(given) else validate.native(given, dtype, name=name)
    return array


def sketch_compressed(S: Any, A: Any, out: Array, *, nnz: int, scale: float) -> None:
    """``out = S @ A`` by the kernel for compressed matrices, which generates S in the dtype of A."""
    by_rows = A.format == "csr"
    sparse.csr_sketch(
        A.indptr,
        A.indices,
        A.data,
        # The arrays of a CSC matrix are those of its transpose in CSR.
        A.shape if by_rows else A.shape[::-1],
        out,
        kind=S.kind,
        seed=S.seed,
        stream=S.stream,
        d=S.d,
        nnz=nnz,
        row_start=S._rows[0],
        col_start=S._cols[0],
        scale=scale,
        axis=0 if by_rows else 1,
    )


def right_product(S: RandomMap, A: Array, *, adjoint: bool) -> Array:
    """``A @ S.T``, or ``A @ S`` if adjoint, row-major, for an array of one or two axes."""
    width = S.shape[1] if adjoint else S.shape[0]
    product = S.apply_adjoint if adjoint else S.apply
    if A.ndim == 1:
        return product(A)
    out: Array = empty_beside(A, (A.shape[0], width), np.result_type(S.dtype, A.dtype))
    product(A.T, out=out.T)
    return out


def axes_of(index: Any) -> tuple[Any, Any]:
    """The rows and columns of an index like that of an array of two axes."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) > 2:
        raise InputError(f"index: a map has 2 axes, got {len(parts)} indices")
    return (*parts, slice(None), slice(None))[:2]


def _cut(part: Any, within: Range, axis: str) -> Range:
    if not isinstance(part, slice) or part.step not in (None, 1):
        raise InputError(f"{axis}: a map is cut by slices of step 1, got {part!r}")
    for end in (part.start, part.stop):
        if end is not None:
            validate.integer(end, name=f"slice of {axis}")
    start, stop, _ = part.indices(within[1] - within[0])
    return (within[0] + start, within[0] + max(start, stop))


def _real_parts(A: Array, out: Array) -> list[tuple[Array, Array]]:
    """Real views of complex columns: S is real, so it acts on real and imaginary parts alike."""
    size = A.dtype.itemsize
    if A.strides[1] == size and out.strides[1] == size:
        # Interleaved columns: one application to twice as many.
        return [(A.view(A.real.dtype), out.view(out.real.dtype))]
    return [(A.real, out.real), (A.imag, out.imag)]


def _with_data(matrix: Any, data: Array, dtype: Any) -> Any:
    values = np.ascontiguousarray(data, dtype=dtype)
    return type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
