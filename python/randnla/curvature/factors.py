# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The averaged second moment of activations or of gradients: one factor of a Kronecker block."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import symmetric
from randnla._backend.kernels.dense import Array

from .average import Average
from .batch import checked_rows, factor_dtype


class KroneckerFactor:
    """Exponential average of ``X^H X / n`` over batches X of n rows, held as one triangle.

    Parameters
    ----------
    dim : int
        Columns of the batches, d.
    ema : float in [0, 1), default 0.95
        Weight rho of the past.
    start : {"debias", "running", "first", "identity"}, default "debias"
        debias: from zero, divided by 1 - rho^k after k batches: their weights add up to one. running: the
        past weighs min(1 - 1/k, rho). first: the first batch, then rho. identity: from I, of which
        rho^k remains; on short runs that is most of the factor.
    dtype : float32, float64, complex64 or complex128
        Of the sums. Batches of half precision are widened, never summed as they are.

    Attributes
    ----------
    dim, ema, start, dtype
    count : int
        Batches so far.
    trace : float
        Of the average.
    value : (d, d) array
        The average, both triangles, a new array at every reading.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: ``S = rho S + (1 - rho) X^H X / n`` (Martens and Grosse, 2015) on the upper triangle.

    *Cost*: n d^2 flops an update, and half the memory traffic of a square; d^2 numbers of memory. Nothing is
    allocated but a copy of a batch that must be converted.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import KroneckerFactor
    >>> factor = KroneckerFactor(3, ema=0.5)
    >>> factor.update(np.eye(3, dtype=np.float32) * 3)
    >>> factor.value
    array([[3., 0., 0.],
           [0., 3., 0.],
           [0., 0., 3.]], dtype=float32)
    """

    _KIND = "KroneckerFactor"
    _TYPES: ClassVar[dict[str, type]] = {
        "dim": int,
        "ema": float,
        "start": str,
        "dtype": str,
        "count": int,
        "triangle": np.ndarray,
    }

    def __init__(
        self, dim: int, *, ema: float = 0.95, start: str = "debias", dtype: Any = np.float32
    ) -> None:
        self.dim = validate.integer(dim, name="dim", low=1)
        self.dtype = factor_dtype(dtype)
        self._average = Average.checked(ema, start)
        self._sum = np.zeros((self.dim, self.dim), self.dtype)  # the strict lower triangle stays zero

    @property
    def ema(self) -> float:
        """Weight of the past."""
        return self._average.ema

    @property
    def start(self) -> str:
        """What the average starts from."""
        return self._average.start

    @property
    def count(self) -> int:
        """Batches so far."""
        return self._average.count

    @property
    def trace(self) -> float:
        """Of the average."""
        diagonal = float(np.sum(np.diagonal(self._sum).real, dtype=np.float64))
        return self._average.scale * diagonal + self._average.ridge * self.dim

    @property
    def value(self) -> Array:
        """The average as a new (d, d) array."""
        whole = symmetric.unfold(self._sum, self._average.scale)
        whole[np.diag_indices(self.dim)] += self.dtype.type(self._average.ridge)
        return whole

    @property
    def scale(self) -> float:
        """The average is ``scale * sum + ridge * I``."""
        return self._average.scale

    @property
    def ridge(self) -> float:
        """The share of the identity that `start` left."""
        return self._average.ridge

    def update(self, X: Any, weight: Any = None) -> None:
        """Average in the batch X.

        Parameters
        ----------
        X : array, shape (n, d)
            NumPy, torch, ... on the host; any layout.
        weight : float or array of shape (n,), optional
            Nonnegative factors of the n outer products.

        Raises
        ------
        InputError, NonFiniteError
            The batch does not fit, or holds NaN or Inf; the state has not changed.
        """
        rows, _ = checked_rows(X, self.dim, self.dtype, weight)
        average, keep = self._average.next()
        symmetric.update_triangle(self._sum, rows, alpha=(1.0 - keep) / len(rows), beta=keep)
        self._average = average

    def sum_times(self, X: Array) -> Array:
        """The sum (not the average) times X of shape (d, k) and the factor's dtype."""
        return symmetric.product(self._sum, X)

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        return plain_state.seal(
            {
                "kind": self._KIND,
                "dim": self.dim,
                "ema": self.ema,
                "start": self.start,
                "dtype": self.dtype.name,
                "count": self.count,
                "triangle": self._sum.copy(),
            }
        )

    def load_state_dict(self, state: Any) -> None:
        """Become the factor a state describes; all fields are checked before anything changes.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        fields = plain_state.opened(state, self._KIND, self._TYPES)
        try:
            made = type(self)(fields["dim"], ema=fields["ema"], start=fields["start"], dtype=fields["dtype"])
        except (InputError, TypeError) as problem:
            raise StateError(f"state: {problem}") from problem
        if fields["count"] < 0:
            raise StateError(f"count: expected a number >= 0, got {fields['count']}")
        shape = (made.dim, made.dim)
        made._sum = np.triu(plain_state.array_of(fields, "triangle", shape, made.dtype))
        made._average = Average(made.ema, made.start, fields["count"])
        vars(self).update(vars(made))

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The factor a state describes, as `load_state_dict`."""
        made = cls(1)
        made.load_state_dict(state)
        return made

    def __reduce__(self) -> Any:
        return (type(self).from_state_dict, (self.state_dict(),))

    def __repr__(self) -> str:
        return (
            f"KroneckerFactor({self.dim}, ema={self.ema}, start={self.start!r}, dtype={self.dtype.name}): "
            f"{self.count} batches"
        )
