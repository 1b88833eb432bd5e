# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Somebody else's operator, SciPy's for one; what it returns is checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.operators.base import Array, LinearOperator


class Wrapped(LinearOperator):
    """Any object with ``shape``, ``dtype`` and ``matmat``/``rmatmat`` (or ``matvec``/``rmatvec``).

    Every product is checked for shape and, with `check_finite`, for NaN and Inf. What the object itself
    raises comes through unchanged.

    Raises
    ------
    InputError
        The object lacks these, or a product has a wrong shape.
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
        if X.shape[1] == 0 or X.shape[0] == 0:
            # SciPy's operators do not take empty blocks.
            return np.zeros((rows, X.shape[1]), dtype=np.result_type(self.dtype, X.dtype))
        if hasattr(self.base, block):
            product = getattr(self.base, block)(X)
        elif hasattr(self.base, single):
            product = np.stack([np.ravel(getattr(self.base, single)(x)) for x in X.T], axis=1)
        else:
            raise InputError(f"{self.name}: {type(self.base).__name__} has neither {block} nor {single}")
        product = validate.as_array(product, name=f"{self.name}.{block}(X)")
        if product.shape != (rows, X.shape[1]):
            raise InputError(
                f"{self.name}.{block}(X): expected shape {(rows, X.shape[1])}, got {product.shape}"
            )
        if self.check_finite:
            validate.require_finite(product, name=f"{self.name}.{block}(X)")
        return product
