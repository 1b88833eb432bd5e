# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Somebody else's operator, SciPy's for one; what it returns is checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators.base import Array, LinearOperator

_INTERFACE = scipy.sparse.linalg.LinearOperator.__module__


class Wrapped(LinearOperator):
    """Any object with ``shape``, ``dtype`` and ``matmat``/``rmatmat`` (or ``matvec``/``rmatvec``).

    Every product is checked for shape and, with `check_finite`, for NaN and Inf, and converted to the dtype
    that ``dtype`` promises. What the object itself raises comes through unchanged.

    Raises
    ------
    InputError
        The object lacks these, or a product has a wrong shape, is complex where ``dtype`` is real, or
        leaves its range.
    NonFiniteError
        A product holds NaN or Inf.

    Examples
    --------
    >>> import numpy as np, scipy.sparse.linalg
    >>> A = Wrapped(scipy.sparse.linalg.aslinearoperator(np.eye(3)))
    >>> A.rmatmat(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, A: Any, *, name: str = "A", check_finite: bool = True) -> None:
        shape = getattr(A, "shape", None)
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise InputError(f"{name}: expected an operator of two dimensions, got shape {shape!r}")
        m = validate.integer(shape[0], name=f"{name}.shape[0]", low=0)
        n = validate.integer(shape[1], name=f"{name}.shape[1]", low=0)
        given = getattr(A, "dtype", None)
        dtype = np.dtype(np.float64) if given is None else validate.working_dtype(given, name=name)
        super().__init__((m, n), dtype, check_finite=check_finite)
        self.base, self.name = A, name

    def _matmat(self, X: Array) -> Array:
        return self._call("matmat", "matvec", X, self.shape[0])

    def _rmatmat(self, Y: Array) -> Array:
        return self._call("rmatmat", "rmatvec", Y, self.shape[1])

    def _call(self, block: str, single: str, X: Array, rows: int) -> Array:
        dtype = np.result_type(self.dtype, X.dtype)
        if X.shape[1] == 0 or X.shape[0] == 0:
            # SciPy's operators do not take empty blocks.
            return np.zeros((rows, X.shape[1]), dtype=dtype)
        if callable(getattr(self.base, block, None)):
            method, product = block, self._run(block, X)
        elif callable(getattr(self.base, single, None)):
            method, product = single, self._columns(single, X, rows)
        else:
            raise InputError(f"{self.name}: {type(self.base).__name__} has neither {block} nor {single}")
        name = f"{self.name}.{method}(X)"
        product = validate.native(validate.as_array(product, name=name), dtype, name=name)
        if product.shape != (rows, X.shape[1]):
            raise InputError(f"{name}: expected shape {(rows, X.shape[1])}, got {product.shape}")
        if np.may_share_memory(product, X):
            # Such as the identity's: what we write to must be ours.
            product = product.copy()
        if self.check_finite:
            validate.require_finite(product, name=name)
        return product

    def _columns(self, method: str, X: Array, rows: int) -> Array:
        columns = []
        for x in X.T:
            y = validate.as_array(self._run(method, x), name=f"{self.name}.{method}(x)", ndim=(1, 2))
            if y.size != rows:
                raise InputError(f"{self.name}.{method}(x): expected {rows} entries, got shape {y.shape}")
            columns.append(y.ravel())
        return np.stack(columns, axis=1)

    def _run(self, method: str, X: Array) -> Any:
        try:
            return getattr(self.base, method)(X)
        except (ValueError, TypeError, NotImplementedError) as error:
            # SciPy's wrapper itself balks: a method was not given, or the answer has another shape. Errors
            # from within the user's own code pass unchanged.
            if _raised_by_scipy(error):
                raise InputError(
                    f"{self.name}.{method}(X): {type(self.base).__name__} does not provide this product of "
                    f"X of shape {X.shape} ({type(error).__name__}: {error})"
                ) from error
            raise


def _raised_by_scipy(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == _INTERFACE
