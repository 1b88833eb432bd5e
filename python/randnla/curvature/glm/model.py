# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the models share: an averaged loss of linear predictors, with ridge."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array


class LinearModel:
    """``(1/n) sum_i loss(a_i^T w, y_i) + ridge / 2 |w|^2``; subclasses say what the loss is.

    Parameters
    ----------
    ridge : float, default 0
    """

    quadratic: ClassVar[bool] = False  # a Hessian that is the same everywhere
    outputs: int = 1  # predictors of a sample

    def __init__(self, *, ridge: float = 0.0) -> None:
        self.ridge = validate.real(ridge, name="ridge", low=0.0)

    # -- what a model gives, of predictors z and targets y -------------------------------------------------

    def targets(self, y: Any) -> Array:
        """y as `losses` and `slopes` take it, checked."""
        raise NotImplementedError

    def losses(self, z: Array, y: Array) -> Array:
        """Loss of every sample."""
        raise NotImplementedError

    def slopes(self, z: Array, y: Array) -> Array:
        """Its derivative in the predictor, of the shape of z."""
        raise NotImplementedError

    def losses_and_slopes(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Both, for a step; models that share work between them do."""
        return self.losses(z, y), self.slopes(z, y)

    def curvatures(self, z: Array) -> Array:
        """Its second derivative (n,), or factors S (n, k, m) with ``S S^T`` the second derivatives."""
        raise NotImplementedError

    def mean(self, z: Array) -> Array:
        """The mean of y that predictors stand for."""
        raise NotImplementedError

    # -- of a batch ----------------------------------------------------------------------------------------

    def shape(self, p: int) -> tuple[int, ...]:
        """Of w for p features."""
        return (p,) if self.outputs == 1 else (p, self.outputs)

    def predictors(self, X: Any, w: Array) -> Array:
        """``X w`` in float64, multiplied in the precision of X."""
        return np.asarray(X @ w.astype(X.dtype, copy=False), dtype=np.float64)

    def pull(self, X: Any, slopes: Array) -> Array:
        """``X^T slopes / n`` in float64, multiplied in the precision of X."""
        return np.asarray(X.T @ (slopes / X.shape[0]).astype(X.dtype, copy=False), dtype=np.float64)

    def loss(self, X: Any, y: Any, w: Any) -> float:
        """The objective of a batch.

        Parameters
        ----------
        X : array or CSR matrix of shape (n, p)
        y : array of shape (n,)
        w : array of shape (p,), for `Multinomial` (p, k)

        Raises
        ------
        InputError, NonFiniteError
            An argument does not fit.
        """
        X, y, w = self._checked(X, y, w)
        return float(np.mean(self.losses(self.predictors(X, w), y))) + self.penalty(w)

    def penalty(self, w: Array) -> float:
        """``ridge / 2 |w|^2``."""
        return 0.5 * self.ridge * float(np.vdot(w, w))

    def gradient(self, X: Any, y: Any, w: Any) -> Array:
        """Of `loss`, in the shape of w, in float64; arguments and errors are the same."""
        X, y, w = self._checked(X, y, w)
        return np.asarray(self.pull(X, self.slopes(self.predictors(X, w), y)) + self.ridge * w)

    def hessian_root(self, X: Any, w: Any) -> Any:
        """R with ``R^T R`` the Hessian of the averaged loss, without the ridge: ``sqrt(loss'' / n) X``.

        Sparse X give a sparse root, several outputs one of Kronecker products that is not formed.

        Raises
        ------
        InputError, NonFiniteError
            An argument does not fit.
        """
        X, _, w = self._checked(X, None, w)
        return self.root(X, self.predictors(X, w))

    def root(self, X: Any, z: Array) -> Any:
        """`hessian_root` at predictors z."""
        scale = np.sqrt(self.curvatures(z) / X.shape[0]).astype(X.dtype, copy=False)
        if namespace.is_sparse(X):
            return scipy.sparse.csr_array(scipy.sparse.diags_array(scale) @ X)
        return X * scale[:, None]

    def _checked(self, X: Any, y: Any, w: Any) -> tuple[Any, Array, Array]:
        X = features(X)
        weights = validate.native(validate.as_array(w, name="w", ndim=(1, 2)), np.float64, name="w")
        if weights.shape != self.shape(X.shape[1]):
            raise InputError(f"w: expected shape {self.shape(X.shape[1])}, got {weights.shape}")
        validate.require_finite(weights, name="w")
        if y is None:
            return X, np.zeros(0), weights
        return X, self.checked_targets(y, X.shape[0]), weights

    def checked_targets(self, y: Any, n: int) -> Array:
        """`targets` of n samples.

        Raises
        ------
        InputError, NonFiniteError
        """
        given = validate.as_array(y, name="y", ndim=1)
        if given.shape != (n,) or given.dtype.kind == "c":
            raise InputError(f"y: expected {n} real numbers, got shape {given.shape}, {given.dtype}")
        validate.require_finite(given, name="y")
        return self.targets(given.astype(np.float64, copy=False))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ridge={self.ridge})"


def features(X: Any, *, name: str = "X") -> Any:
    """Real features: an array of float32 or float64, or a CSR array of the same.

    Raises
    ------
    InputError
    """
    if namespace.is_sparse(X):
        dtype = validate.working_dtype(X.dtype, name=name)
        made: Any = scipy.sparse.csr_array(X).astype(dtype, copy=False)
    else:
        made = validate.as_array(X, name=name)
    if made.dtype.kind == "c" or 0 in made.shape:
        raise InputError(f"{name}: expected real numbers of shape (n, p), got {made.shape}, {made.dtype}")
    return made
