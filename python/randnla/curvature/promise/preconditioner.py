# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What preconditioners ``P = H + rho I`` share: updates that never raise for numbers, powers, state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array
from randnla._backend.rng import seed_from

from ..health import Health
from ..resumable import Resumable
from .forms import Form, form_of
from .protocol import Source
from .sources import Products, products_of, source_of


def is_finite(Y: Array) -> bool:
    """Whether all numbers are; those are looked at one by one only where their squares overflow."""
    return math.isfinite(np.vdot(Y, Y)) or bool(np.isfinite(Y).all())


class Preconditioner(Resumable):
    """``P = H + rho I`` of a Hessian H that is estimated at every update; subclasses know how.

    Attributes
    ----------
    rho : float
        Positive; may be set at any time: nothing has to be computed afresh.
    dim : int
        Length of a vector, 0 before the first update.
    health : Health
        ``fallback`` is "" while all is well; "float64", where a second attempt was made in it; "Gauss-Newton"
        or "absolute values", where the Hessian was indefinite; "last good inverse" or "identity" (P = rho I),
        where an update came to nothing. ``reason`` says why, ``truncated`` is the share of the trace of H
        that is not in the estimate, 0 where it is not known.
    seed : int
    """

    _KIND: ClassVar[str]
    _SETTINGS: ClassVar[dict[str, type]] = {}  # arguments of the constructor beside rho and rng

    def __init__(self, rho: float = 1e-3, *, rng: Any = None) -> None:
        self.rho = rho
        self.seed = seed_from(rng)
        self.dim = 0
        self.dtype = np.dtype(np.float64)
        self.health = Health(inverse=self._KIND)
        self._form: Form | None = None  # None: H = 0
        self._updates = 0

    def _make(self, source: Source, ggn: Products | None) -> tuple[Form, str, str]:
        """The form of H, and what health is to say as fallback and reason."""
        raise NotImplementedError

    @property
    def rho(self) -> float:
        """What is added to the diagonal of H."""
        return self._rho

    @rho.setter
    def rho(self, value: float) -> None:
        number = validate.real(value, name="rho", low=0.0)
        if not 1e-37 <= number <= 1e37:
            raise InputError(f"rho: expected a positive number in [1e-37, 1e37], got {number}")
        self._rho = number

    @property
    def damping(self) -> float:
        """Another name of `rho`."""
        return self.rho

    @damping.setter
    def damping(self, value: float) -> None:
        self.rho = value

    @property
    def condition(self) -> float:
        """Of P."""
        if self._form is None:
            return 1.0
        return (self._form.largest + self.rho) / (self._form.least(self.dim) + self.rho)

    # -- updates -----------------------------------------------------------------------------------------

    def update(
        self,
        hessian_root: Any = None,
        *,
        hvp: Callable[[Array], Any] | None = None,
        ggn: Callable[[Array], Any] | None = None,
        dim: int | None = None,
        dtype: Any = np.float64,
    ) -> None:
        """Estimate H anew.

        Parameters
        ----------
        hessian_root : array or CSR matrix of shape (b, p), or a root of a model of `randnla.curvature`
            R with ``H = R^T R``. Sparse roots stay sparse.
        hvp : callable, instead
            From V (p, k) to H V.
        ggn : callable, optional
            From V to the products with the Gauss-Newton matrix, taken where `hvp` turns out to be indefinite.
        dim, dtype
            For `hvp`: p, and float32 or float64, which V has.

        Raises
        ------
        InputError
            An argument does not fit. Numbers that do not (NaN, Inf, overflow) raise nothing: H stays as it
            was, and `health` says so.
        """
        source = source_of(hessian_root, hvp, dim=dim, dtype=dtype)
        products = None if ggn is None else products_of(ggn, source.dim, source.dtype, name="ggn")
        self._update(source, products)

    def _update(self, source: Source, ggn: Products | None) -> None:
        if self.dim and source.dim != self.dim:
            raise InputError(f"hessian_root: expected {self.dim} columns as before, got {source.dim}")
        reason = source.problem
        if reason:
            self._keep(source, reason, skipped=1)
            return
        for wide in (False, True):
            try:
                wider = None if ggn is None else ggn.widened() if wide else ggn
                form, fallback, why = self._make(source.widened() if wide else source, wider)
                largest = form.largest
            except (np.linalg.LinAlgError, NonFiniteError) as problem:
                reason = f"{type(problem).__name__}: {problem}"
                continue
            if np.isfinite(largest):
                fallback = fallback or ("float64" if wide else "")
                self._commit(source, form.cast(source.dtype), fallback, why or reason)
                return
            reason = "BreakdownError: the largest eigenvalue overflows"
        self._keep(source, reason)

    def _commit(self, source: Source, form: Form, fallback: str, reason: str) -> None:
        self.dim, self.dtype, self._form = source.dim, source.dtype, form
        self._updates += 1
        self.health = replace(
            self.health,
            last_refresh=self._updates,
            condition=self.condition,
            truncated=self._truncated(source),
            fallback=fallback,
            reason=reason,
        )

    def _truncated(self, source: Source) -> float:
        return 0.0

    def _keep(self, source: Source, reason: str, *, skipped: int = 0) -> None:
        known = self._form is not None
        if not self.dim:
            self.dim, self.dtype = source.dim, source.dtype
        self._updates += 1
        self.health = replace(
            self.health,
            fallback="last good inverse" if known else "identity",
            reason=reason,
            failed_refreshes=self.health.failed_refreshes + 1,
            skipped_statistics=self.health.skipped_statistics + skipped,
        )

    # -- what P does -------------------------------------------------------------------------------------

    def direction(self, g: Any) -> Any:
        """``P^-1 g`` for g of shape (p,) or (p, k), an array of the kind of g.

        Raises
        ------
        StateError
            There has been no update.
        InputError, NonFiniteError
            g does not fit, holds NaN or Inf, or the direction overflows.
        """
        return self._powered(g, -1.0)

    def inverse_sqrt(self, g: Any) -> Any:
        """``P^-1/2 g``, the symmetric root; shapes and errors as of `direction`."""
        return self._powered(g, -0.5)

    def apply(self, g: Any) -> Any:
        """``P g``; shapes and errors as of `direction`."""
        return self._powered(g, 1.0)

    def quadform(self, v: Any) -> Any:
        """``v^T P v`` of v (p,), or of every column of v (p, k), in float64: never negative."""
        X, vector = self._rows(v, "v")
        with np.errstate(over="ignore"):  # inf is what a square beyond the range is
            own = self.rho * np.einsum("ij,ij->i", X, X, dtype=np.float64)
            values = own if self._form is None else own + self._form.quadform(X)
        return float(values[0]) if vector else values

    def logdet(self) -> float:
        """Logarithm of the determinant of P."""
        self._require_update()
        if self._form is None:
            return self.dim * float(np.log(self.rho))
        return self._form.logdet(self.rho, self.dim)

    def power(self, X: Array, exponent: float) -> Array:
        """``X P^exponent`` of contiguous rows X (k, p) in `dtype`; unchecked, for the drivers."""
        if self._form is None:
            return np.asarray((self.rho**exponent * X).astype(X.dtype, copy=False))
        return self._form.power(X, exponent, self.rho)

    def along(self, g: Array) -> Array | None:
        """``P^-1 g`` of a vector that a driver has made, in `dtype`; None where either is not finite."""
        Y = self.power(np.ascontiguousarray(g, self.dtype)[None], -1.0)[0]
        return Y if is_finite(Y) else None

    def _powered(self, g: Any, exponent: float) -> Any:
        X, vector = self._rows(g, "g")
        with np.errstate(over="ignore"):  # looked at next
            Y = self.power(X, exponent)
        if not is_finite(Y):
            raise InputError(
                f"g: P to the power of {exponent:g} times it overflows {self.dtype}; "
                f"its largest entry is {np.abs(X).max():.3g}, rho is {self.rho:.3g}"
            )
        return namespace.restore(namespace.kind_of(g), Y[0] if vector else Y.T)

    def _require_update(self) -> None:
        if not self.dim:
            raise StateError(f"{self._KIND}: expected an update before it is applied")

    def _rows(self, g: Any, name: str) -> tuple[Array, bool]:
        """g as contiguous rows (k, p), and whether it was one vector."""
        self._require_update()
        plain = type(g) is np.ndarray and g.shape == (self.dim,) and validate.is_native(g, self.dtype)
        # The gradient of every step: where its squares are not finite it is looked at again below.
        if plain and g.flags.c_contiguous and math.isfinite(np.vdot(g, g)):
            return g[None], True
        given = validate.as_array(g, name=name, ndim=(1, 2))
        if given.shape[0] != self.dim:
            raise InputError(f"{name}: expected {self.dim} rows, got shape {given.shape}")
        X = np.ascontiguousarray(validate.native(given, self.dtype, name=name).reshape(self.dim, -1).T)
        if not dense.screen(X).finite:
            validate.require_finite(given, name=name)
        return X, given.ndim == 1

    # -- state -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        form = {} if self._form is None else self._form.state()
        return plain_state.seal(
            {
                "kind": self._KIND,
                **{name: getattr(self, name) for name in self._SETTINGS},
                "rho": self.rho,
                "seed": self.seed,
                "dim": self.dim,
                "dtype": self.dtype.name,
                "updates": self._updates,
                "health": json.dumps(asdict(self.health)),
                **{f"form/{key}": value for key, value in form.items()},
            }
        )

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The preconditioner a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        own = {"rho": float, "seed": int, "dim": int, "dtype": str, "updates": int, "health": str}
        fields = plain_state.opened(state, cls._KIND, {**cls._SETTINGS, **own}, parts=True)
        try:
            settings = {name: fields[name] for name in cls._SETTINGS}
            made = cls(**settings, rho=fields["rho"], rng=fields["seed"])
            made.health = Health(**json.loads(fields["health"]))
            made.dtype = validate.map_dtype(fields["dtype"])
            made.dim = validate.integer(fields["dim"], name="dim", low=0)
            made._updates = validate.integer(fields["updates"], name="updates", low=0, high=1 << 62)
        except (InputError, TypeError, ValueError) as problem:
            raise StateError(f"state: {problem}") from problem
        form = {key[5:]: value for key, value in fields.items() if key.startswith("form/")}
        made._form = form_of(form, made.dim).cast(made.dtype) if form else None
        return made

    def __repr__(self) -> str:
        settings = "".join(f"{name}={getattr(self, name)!r}, " for name in self._SETTINGS)
        return f"{type(self).__name__}({settings}rho={self.rho})"
