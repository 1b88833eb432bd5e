# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC: the inverse of a damped average of outer products of gradients, without a matrix of their order."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.woodbury import blocks_of
from randnla.operators.base import Array

from ..health import Health
from ..resumable import Resumable, joined, parted
from .primal_window import PrimalWindow
from .static_window import StaticWindow
from .window import GradientWindow
from .window_core import triangular_core

_SLAB = 1 << 12  # parameters whose elements of the inverse are prepared at a time


class DynamicWindow(GradientWindow):
    """A window that factors at every change, by M-FAC's triangular recursion, in float64."""

    _KIND = "DynamicWindow"
    _core_of = staticmethod(triangular_core)

    def add(self, gradient: Any) -> None:
        """As of `GradientWindow`, and factor."""
        super().add(gradient)
        self.cores()

    def remove(self, i: int = 0) -> None:
        """As of `GradientWindow`, and factor."""
        super().remove(i)
        self.cores()


class MFAC(Resumable):
    """``F = damping I + (1/m) sum_i g_i g_i^T`` of the m gradients held, and its inverse.

    Parameters
    ----------
    dim : int
        Number of parameters, at least 1.
    window : int
        Gradients held at most, at least 1.
    damping : float
        Positive; may be set anew at any time.
    method : {"dual", "static", "dynamic"}, default "dual"
        dual: Woodbury's identity with a Gram matrix in float64; gradients come and go. Blocks shorter than
        the window are inverted as they are. dynamic: the same by the triangular recursion of M-FAC, in
        float64, at every change. static: filled once; the gradients are overwritten, and elements of the
        inverse are at hand.
    block : int, optional
        F is taken to be block diagonal, with blocks of this order and a last one of what is left.
    dtype : {float32, float64}, default float32
        Of what is held and of the arithmetic with it.
    storage : {"float16", "bfloat16"}, optional
        What gradients are rounded to, with float32 arithmetic. Not of "static".
    path : str or path, optional
        A new file that holds the window instead of memory; one that exists is refused.

    Attributes
    ----------
    dim, window, method, block, dtype
    count : int
        Gradients held, m; F is ``damping I`` without any.
    damping : float
    skipped : int
        Gradients that `direction` has refused.

    Raises
    ------
    InputError
        An argument does not fit.
    CapacityError
        The window does not fit.

    Notes
    -----
    *Algorithm*: Frantar, Kurtic and Alistarh (2021), "M-FAC". Their average divides by the size of the
    window, which begins as zeros; here it is over the gradients held: F has its scale from the first one on.
    Their recursion (static) is a triangular factor of a Gram matrix and a product with its inverse, here of
    matrices and with pivots that are at least m, as they are in exact numbers. Their dynamic form factors a
    Gram matrix in the precision of the gradients, which fails for equal gradients; here it is kept and
    factored in float64.

    *Cost*: dual and dynamic: d m for `add`, 2 d m for `inverse_hvp` and `hvp`, O(m^3) a block after a change;
    `inverse_diag`, or the first `inverse_element` after a change, O(d m^2), then O(m) an element and d m
    numbers of memory. dual with blocks of order b < m: d for `add`, d m b + O(d b^2) for the first
    `inverse_hvp` or element after a change, then d b and O(1), and d b numbers of memory. static: 2 d m^2
    once, 2 d m for `inverse_hvp`, O(m) for an element, d m for the diagonal; with another damping than that
    of the recursion O(m^2) for an element and O(d m^2).

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import MFAC
    >>> curvature = MFAC(3, 2, damping=0.5, dtype=np.float64)
    >>> curvature.add([2.0, 0.0, 0.0])
    >>> curvature.add([0.0, 1.0, 0.0])
    >>> curvature.inverse_hvp([2.5, 1.0, 0.5])
    array([1., 1., 1.])
    >>> curvature.inverse_diag()
    array([0.4, 1. , 2. ])
    """

    _KIND: ClassVar[str] = "MFAC"

    def __init__(
        self,
        dim: int,
        window: int,
        damping: float,
        *,
        method: str = "dual",
        block: int | None = None,
        dtype: Any = np.float32,
        storage: str | None = None,
        path: Any = None,
    ) -> None:
        self.method = validate.choice(method, ("dual", "static", "dynamic"), name="method")
        validate.integer(window, name="window", low=1)
        dtype = validate.map_dtype(dtype)
        if self.method == "static" and storage is not None:
            raise InputError(f"storage: method='static' overwrites its gradients in {dtype}, got {storage!r}")
        settings: dict[str, Any] = {"dtype": dtype, "block": block, "path": path}
        self._window: Any
        if self.method == "static":
            self._window = StaticWindow(dim, window, damping, **settings)
        else:
            kind = GradientWindow if self.method == "dual" else DynamicWindow
            if (
                self.method == "dual"
                and block is not None
                and validate.integer(block, name="block", low=1) < window
            ):
                kind = PrimalWindow
            self._window = kind(dim, window, damping, storage=storage, **settings)
        self.skipped = 0
        self._prepared: Array | None = None

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return int(self._window.dim)

    @property
    def window(self) -> int:
        """Gradients held at most."""
        return int(self._window.size)

    @property
    def block(self) -> int | None:
        """Order of the blocks."""
        order: int | None = self._window.block
        return order

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is held."""
        kind: np.dtype[Any] = self._window.dtype
        return kind

    @property
    def count(self) -> int:
        """Gradients held."""
        return int(self._window.count)

    @property
    def damping(self) -> float:
        """What is added to the diagonal of F."""
        return float(self._window.damping)

    @damping.setter
    def damping(self, value: float) -> None:
        self._window.damping = value
        self._prepared = None

    # -- the window ----------------------------------------------------------------------------------------

    def add(self, gradient: Any) -> None:
        """Append a gradient of shape (dim,); a full window drops its oldest.

        Raises
        ------
        InputError, NonFiniteError
            The gradient does not fit, holds NaN or Inf, or its squares overflow; nothing has changed.
        StateError
            A static window is full, or has been asked.
        """
        self._window.add(gradient)
        self._prepared = None

    def remove(self, i: int = 0) -> None:
        """Drop the i-th oldest gradient, by default the oldest.

        Raises
        ------
        InputError
            There is no such gradient.
        StateError
            The window is static.
        """
        self._window.remove(i)
        self._prepared = None

    def gradients(self) -> Array:
        """A copy of what is held, (count, dim), from the oldest to the newest.

        Raises
        ------
        StateError
            The window is static, which overwrites gradients.
        """
        if self.method == "static":
            raise StateError("gradients: a static window overwrites them; take another method")
        held: Array = self._window.gradients()
        return held

    def direction(self, gradient: Any) -> Any:
        """``F^-1 g`` with g in the window.

        Of g as it is held: what storage rounds off would be divided by the damping. None, and only
        `skipped` changes, where g holds NaN or Inf or its squares overflow.
        """
        try:
            self.add(gradient)
        except NonFiniteError:
            self.skipped += 1
            return None
        if self.method == "static":
            return self.inverse_hvp(gradient)
        return namespace.restore(namespace.kind_of(gradient), self.inverse_hvp(self._window.newest()))

    # -- F and its inverse ---------------------------------------------------------------------------------

    def inverse_hvp(self, x: Any) -> Any:
        """``F^-1 x`` for x of shape (dim,) or (dim, k), an array of the kind of x.

        Raises
        ------
        InputError, NonFiniteError
            x does not fit, or holds NaN or Inf.
        """
        return self._window.solve(x)

    def hvp(self, x: Any) -> Any:
        """``F x`` for x of shape (dim,) or (dim, k), an array of the kind of x.

        Raises
        ------
        InputError, NonFiniteError
            x does not fit, or holds NaN or Inf.
        """
        return self._window.apply(x)

    def quadform(self, x: Any) -> Any:
        """``x^T F x`` of x (dim,), or of every column of x (dim, k), in float64: never negative."""
        return self._window.quadform(x)

    def logdet(self) -> float:
        """Logarithm of the determinant of F."""
        return float(self._window.logdet())

    def inverse_element(self, i: int, j: int) -> float:
        """``(F^-1)_ij``; the first one of a window that has changed prepares all of them.

        Its error is some rounding of `dtype` over the damping.

        Raises
        ------
        InputError
            An index is not in [0, dim).
        """
        d = self._window.dim
        if type(i) is not int or type(j) is not int or not (0 <= i < d and 0 <= j < d):
            i = validate.integer(i, name="i", low=0, high=d - 1)
            j = validate.integer(j, name="j", low=0, high=d - 1)
        block = self._window.block
        if block and i // block != j // block:
            return 0.0
        if self.method == "static":
            v, weights = self._window.columns(i)
            left = v * weights if weights.ndim == 1 else v @ weights
            total = float(np.dot(left, self._window.columns(j)[0]))
            return ((i == j) / self.damping) - total
        if isinstance(self._window, PrimalWindow):
            return self._window.inverse_element(i, j)
        if self._prepared is None:
            self._prepared = self._whitened_all()
        total = float(np.dot(self._prepared[i], self._prepared[j]))
        return ((i == j) - total) / self.damping

    def inverse_diag(self) -> Array:
        """The diagonal of ``F^-1``, (dim,) of dtype, positive; sums are in float64."""
        out = np.empty(self.dim, self.dtype)
        # No element is below one over the largest eigenvalue, which is at most the trace.
        least = 1 / (self.damping + self._trace() / max(1, self.count))
        if isinstance(self._window, PrimalWindow):
            return np.maximum(self._window.inverse_diagonal(), least).astype(self.dtype)
        for part in self._slabs():
            if self.method == "static":
                values = 1 / self.damping - self._window.inverse_squares(part)
            else:
                values = (1 - np.square(self._whitened(part)).sum(axis=0)) / self.damping
            out[part] = np.maximum(values, least)
        return out

    def _slabs(self) -> list[slice]:
        """Parts of blocks."""
        return [
            slice(part.start + inner.start, part.start + inner.stop)
            for part in blocks_of(self.dim, self.block)
            for inner in blocks_of(part.stop - part.start, _SLAB)
        ]

    def _whitened(self, part: slice) -> Array:
        """``W^T G`` of a part of a block, (r, parameters): (F^-1)_ij = (I_ij - w_i^T w_j) / damping."""
        core = self._window.cores()[part.start // self.block if self.block else 0]
        return dense.gemm(core.root.T, self._window.part(part))

    def _whitened_all(self) -> Array:
        cores = self._window.cores()
        made = np.zeros((self.dim, max(core.root.shape[1] for core in cores)), self.dtype)
        for part in self._slabs():
            W = self._whitened(part)
            made[part, : len(W)] = W.T
        return made

    def _trace(self) -> float:
        return float(self._window.trace_of_gram())

    @property
    def health(self) -> Health:
        """The method and how it inverts; a bound on the condition of F; gradients refused."""
        bound = 1 + self._trace() / (max(1, self.count) * self.damping)
        path = self._window.path
        return Health(
            self.method,
            condition=bound,
            fallback="eigenvectors" if path == "eigh" else "",
            reason="damping is below rounding of the Gram matrix" if path == "eigh" else "",
            skipped_gradients=self.skipped,
        )

    def arrays(self) -> dict[str, Array]:
        """What a window that is not static holds, in arrays whose shapes do not depend on the count."""
        held: dict[str, Array] = self._window.arrays()
        return held

    def with_arrays(self, arrays: dict[str, Array]) -> Self:
        """A window of these settings, but for dim, that holds arrays as `arrays` gives them."""
        made = copy.copy(self)
        made._window, made._prepared = self._window.with_arrays(arrays), None
        return made

    # -- state -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `from_state_dict` goes on, bit for bit; in memory."""
        fields = {"kind": self._KIND, "method": self.method, "skipped": self.skipped}
        return plain_state.seal({**fields, **joined({"window": self._window.state_dict()})})

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The window a state describes, in memory.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        fields = plain_state.opened(state, cls._KIND, {"method": str, "skipped": int}, parts=True)
        parts = parted({key: value for key, value in state.items() if "/" in str(key)})
        kinds: dict[str, Any] = {"dual": GradientWindow, "static": StaticWindow, "dynamic": DynamicWindow}
        if fields["method"] not in kinds or parts.keys() != {"window"}:
            raise StateError(f"method, window: expected a known method, got {fields['method']!r}")
        if fields["skipped"] < 0:
            raise StateError(f"skipped: expected a number >= 0, got {fields['skipped']}")
        made = cls.__new__(cls)
        made.method, made.skipped, made._prepared = fields["method"], fields["skipped"], None
        if made.method == "dual" and parts["window"].get("kind") == PrimalWindow._KIND:
            kinds["dual"] = PrimalWindow
        made._window = kinds[made.method].from_state_dict(parts["window"])
        return made

    def __repr__(self) -> str:
        return f"MFAC({self.dim}, {self.window}, {self.damping}, method={self.method!r}, block={self.block})"
