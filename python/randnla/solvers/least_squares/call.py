# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of a call, checked, and the tall matrix in units in which nothing over- or underflows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.device import is_device, runtime
from randnla._backend.errors import InputError, NonFiniteError
from randnla._backend.kernels import device_dense
from randnla._backend.rng import seed_from
from randnla.lowrank.call import kind_of_operator
from randnla.lowrank.problem import scaled_copy
from randnla.lowrank.scaling import exponent_of, largest_magnitude, normalize, real_dtype
from randnla.operators import Dense, LinearOperator, as_operator
from randnla.operators.device import DeviceDense, place_of
from randnla.sketching import RandomMap
from randnla.sketching.choose import MAPS, make_map

from .plan import RATIOS
from .tall import Array, Tall, column_norms, weighted

METHODS = ("auto", *RATIOS, "householder")
DEVICE_METHODS = ("auto", "cholesky_qr", "spir", "fossils", "iterative", "sketch_and_solve")
# Entries beyond 2^+-this are brought back before their products are formed.
REACH = 300


@dataclass
class Call:
    """A call's arguments; `b` is (m, k), of float64 or complex128, column j in units of 2^b_exponents[j]."""

    op: LinearOperator
    kind: str
    b: Array
    b_exponents: Array
    vector: bool
    array_kind: namespace.Kind
    dtype: np.dtype[Any]
    method: str
    sketch: Any
    damp: float
    tol: float | None
    root: Array | None
    seed: int
    threshold: float | None
    callback: Callable[[dict[str, Any]], None] | None
    shift: int = 0  # A was multiplied by 2^shift
    path: list[str] = field(default_factory=list)

    @property
    def wide(self) -> bool:
        """More columns than rows."""
        return self.op.shape[0] < self.op.shape[1]

    @property
    def b_is_zero(self) -> bool:
        """Nothing in b, or no b."""
        return not (column_norms(self.b).any() if is_device(self.b) else self.b.any())

    def tall(self) -> Tall:
        """A or its adjoint, in units of the call."""
        op, left = weighted(self.op, self.root, tall=not self.wide)
        if self.shift:
            copy = scaled_copy(op, self.shift)
            op = 2.0**self.shift * op if copy is None else copy
        if self.wide:
            array = isinstance(op, Dense) and op.dtype.kind == "c"
            op = Dense(op.array.conj().T) if array else op.H  # type: ignore[attr-defined]
        return Tall(op, left, math.ldexp(self.damp, self.shift))


def right_hand_side(b: Any, op: LinearOperator) -> tuple[Array, bool]:
    """b as (m, k), and whether it was a vector.

    Raises
    ------
    InputError, NonFiniteError
    """
    if namespace.is_sparse(b):
        b = b.toarray()
    on_device = isinstance(op, DeviceDense)
    if on_device and not namespace.kind_of(b).on_device:
        raise InputError(f"b: expected an array on a GPU, as A is, got a {type(b).__name__}")
    array: Any = validate.native_array(b, name="b", ndim=(1, 2))[0] if on_device else None
    array = validate.as_array(b, name="b", ndim=(1, 2)) if array is None else array
    if array.shape[0] != op.shape[0]:
        raise InputError(
            f"b: expected {op.shape[0]} rows, as A of shape {op.shape} has, got shape {array.shape}"
        )
    # Its units need all of b to be read: that it is finite costs nothing.
    if on_device and not np.isfinite(device_dense.column_peaks(_columns(array))[0]).all():
        raise NonFiniteError("b: it holds NaN or Inf")
    if not on_device:
        validate.require_finite(array, name="b")
    return _columns(array), array.ndim == 1


def _columns(array: Any) -> Any:
    return array[:, None] if array.ndim == 1 else array


def weight_roots(weights: Any, rows: int) -> Array | None:
    """Roots of the weights.

    Raises
    ------
    InputError, NonFiniteError
    """
    if weights is None:
        return None
    array = validate.as_array(weights, name="weights", ndim=1)
    if array.shape != (rows,) or array.dtype.kind == "c":
        raise InputError(
            f"weights: expected {rows} real numbers, got shape {array.shape} and dtype {array.dtype}"
        )
    validate.require_finite(array, name="weights")
    if array.size and array.min() < 0:
        raise InputError(f"weights: expected nonnegative numbers, got {array.min()}")
    return np.sqrt(array.astype(np.float64))


def in_own_units(columns: Array) -> tuple[Array, Array]:
    """A copy whose columns are scaled by powers of two to entries below 1, and the exponents."""
    if is_device(columns):
        return _in_own_units_on_device(columns)
    scaled = np.array(columns)
    return scaled, np.array([normalize(column) for column in scaled.T], int)


def _in_own_units_on_device(columns: Any) -> tuple[Any, Array]:
    scaled = device_dense.multiple(columns, dtype=np.float64)
    exponents = np.array([exponent_of(abs(peak)) for peak in device_dense.column_peaks(scaled)[0]], int)
    half = exponents // 2  # of numbers near the ends of the range the power has no place in it
    for part in (half, exponents - half):
        device_dense.scale_columns(scaled, np.ldexp(1.0, -part))
    return scaled, exponents


def _require_device(op: LinearOperator, method: str, **given: Any) -> None:
    """Refuse what there are no kernels for.

    Raises
    ------
    InputError
    """
    where = "for an array on a GPU"
    limit = int(runtime().extension.sweep_limit())
    if not op.shape[1] <= min(op.shape[0], limit):
        raise InputError(
            f"A: expected at least as many rows as columns and at most {limit} columns {where}, "
            f"got shape {op.shape}"
        )
    if method not in DEVICE_METHODS:
        raise InputError(
            f"method: expected one of {', '.join(map(repr, DEVICE_METHODS))} {where}, got {method!r}"
        )
    if given["weights"] is not None:
        raise InputError(f"weights: expected None {where}; multiply the rows of A and b by their roots")
    if not given["check_finite"]:
        raise InputError(f"check_finite: expected True {where}, got False")


def begin(A: Any, b: Any, **given: Any) -> Call:
    """Check every argument."""
    method = validate.choice(given["method"], METHODS, name="method")
    check_finite = validate.flag(given["check_finite"], name="check_finite")
    op = as_operator(A, check_finite=check_finite, max_memory=given["max_memory"], device=True)
    if isinstance(op, DeviceDense):
        _require_device(op, **given)
    with place_of(op):
        columns, vector = right_hand_side(b, op)
    threshold, tol, sketch = given["rank_tol"], given["tol"], given["sketch"]
    if not isinstance(sketch, str) and not isinstance(sketch, RandomMap):
        raise InputError(f"sketch: expected a name or a random map, got {type(sketch).__name__}")
    if isinstance(sketch, str):
        validate.choice(sketch, ("auto", *MAPS), name="sketch")
    elif sketch.shape[1] != max(op.shape) or sketch.shape[0] < min(op.shape):
        raise InputError(
            f"sketch: expected shape (at least {min(op.shape)}, {max(op.shape)}), got {sketch.shape}"
        )
    root = weight_roots(given["weights"], op.shape[0])
    wide = np.complex128 if "c" in (columns.dtype.kind, op.dtype.kind) else np.float64
    with place_of(op):
        if is_device(columns):
            work, exponents = in_own_units(columns)
        else:
            work = columns.astype(wide) if root is None else columns * root[:, None].astype(wide)
            work, exponents = in_own_units(work)
    return Call(
        op,
        kind_of_operator(op),
        work,
        exponents,
        vector,
        namespace.kind_of(A) if not namespace.kind_of(A).is_numpy else namespace.kind_of(b),
        np.result_type(op.dtype, columns.dtype),
        method,
        sketch,
        validate.real(given["damp"], name="damp", low=0.0),
        None if tol is None else validate.tolerance(tol),
        root,
        seed_from(given["rng"]),
        None if threshold is None else validate.tolerance(threshold, name="rank_tol"),
        validate.callback(given["callback"]),
    )


def draw(call: Call, d: int | None, attempt: int) -> Any:
    """The map of a try; None for none."""
    if isinstance(call.sketch, RandomMap) and attempt == 0:
        return call.sketch
    if d is None:
        return None
    dtype = real_dtype(call.op.dtype)
    name = "sparse_sign" if call.sketch == "auto" or isinstance(call.sketch, RandomMap) else call.sketch
    if name == "sparse_sign" and d < 12 * min(call.op.shape):
        # In 4 n rows, four nonzeros a column embed as well as eight do.
        return MAPS[name](d, max(call.op.shape), nnz=4, rng=call.seed, stream=attempt, dtype=dtype)  # type: ignore[call-arg]
    return make_map(name, d, max(call.op.shape), rng=call.seed, stream=attempt, dtype=dtype)


def sketch_in_range(call: Call, S: Any) -> tuple[Tall, Array]:
    """The tall matrix and its sketch, after A was multiplied by a power of two where products need it.

    Raises
    ------
    NonFiniteError
        A holds NaN or Inf.
    """
    B = call.tall()
    with np.errstate(over="ignore", invalid="ignore"):
        SB = B.sketch(S)
    size = max(largest_magnitude(SB), B.damp)
    limits = np.finfo(SB.dtype)
    if not math.isfinite(size):
        call.op.require_finite(name="A")
        if call.shift:
            raise NonFiniteError("A: expected finite entries, but its product with a random map is not")
        call.shift = -(limits.maxexp // 2)
    elif size and (abs(exponent_of(size)) > REACH or size < 2.0 ** (limits.minexp + limits.nmant + 10)):
        if call.shift:
            return B, SB
        call.shift = -exponent_of(size)
    else:
        return B, SB
    call.path.append("rescaled")
    passes, matvecs = B.passes, B.matvecs
    B, SB = sketch_in_range(call, S)
    B.passes, B.matvecs = B.passes + passes, B.matvecs + matvecs
    return B, SB
