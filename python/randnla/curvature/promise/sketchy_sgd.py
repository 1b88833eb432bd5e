# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD: directions by a preconditioner of the sampled Hessian, and the step size that goes with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels.dense import Array
from randnla._backend.rng import seed_from

from ..health import Health
from ..resumable import Resumable, joined, parted
from .nystrom import Nystrom
from .preconditioner import Preconditioner
from .protocol import Source
from .sources import source_of
from .subsampled import LESSN, SASSN, SSN, DiagonalPreconditioner
from .top_eigenvalue import top_eigenvalue

PRECONDITIONERS: dict[str, type[Preconditioner]] = {
    "nystrom": Nystrom,
    "ssn": SSN,
    "sassn": SASSN,
    "lessn": LESSN,
    "diagonal": DiagonalPreconditioner,
}
_BY_KIND = {made._KIND: made for made in PRECONDITIONERS.values()}


def preconditioner_of(given: str | Preconditioner, rank: int, rho: float, seed: int) -> Preconditioner:
    """A preconditioner by its word, or as it is."""
    if isinstance(given, Preconditioner):
        return given
    word = validate.choice(given, tuple(PRECONDITIONERS), name="preconditioner")
    if word in ("ssn", "diagonal"):
        validate.integer(rank, name="rank", low=1)
        return PRECONDITIONERS[word](rho=rho, rng=seed)
    return PRECONDITIONERS[word](rank=rank, rho=rho, rng=seed)  # type: ignore[call-arg]


class SketchySGD(Resumable):
    """Preconditioned directions of stochastic gradients, and a learning rate without tuning.

    Parameters
    ----------
    rank : int, default 10
        Of the preconditioner.
    rho : float, default 1e-3
        Added to the estimate of the Hessian; positive, may be set at any time.
    preconditioner : {"nystrom", "ssn", "sassn", "lessn", "diagonal"} or Preconditioner, default "nystrom"
        A word, or one that is made already and brings its own rank and rho.
    ridge : float, default 0
        mu of a penalty ``mu / 2 |w|^2``, which is part of the objective and not of the Hessians given.
    steps : int, default 10
        Products with the Hessian that the learning rate takes.
    rng : None, int, SeedSequence or Generator
        Of test matrices and starting vectors.

    Attributes
    ----------
    preconditioner : Preconditioner
    top_eigenvalue : float
        lambda, the largest eigenvalue of ``P^-1/2 (H' + mu I) P^-1/2`` at the last update; nan before.
    learning_rate : float
        1 / (2 lambda).
    health : Health
        Of the preconditioner; ``reason`` also tells where the learning rate is an old one.
    seed : int

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022), algorithms 1 and 3; with other preconditioners
    PROMISE (2023). ``P = H + rho I`` without mu. lambda is that of a fresh sample H', by 10 steps of the
    Lanczos method in the symmetric form, not of the power method on ``H P^-1``: from as many products its
    value is never smaller. It is never above the truth, which the factor 1 / 2 makes up for.

    Where `rho` is lowered after an update, lambda grows by at most the quotient; until the next one the
    learning rate is divided by it. Where lambda is 0 (a Hessian of zero, no ridge) or not finite, it is that
    of before, at first rho / 2: half a gradient step.

    *Cost*: `rank` products with H and `steps` with H' an update; 4 p r flops a direction.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import SketchySGD
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((300, 40)) * 0.7 ** np.arange(40)
    >>> b, w = A @ np.ones(40), np.zeros(40)
    >>> engine = SketchySGD(rho=1e-3, rng=0)
    >>> engine.update(A[:100] / 10, fresh=A[100:200] / 10)
    >>> for _ in range(200):
    ...     w -= engine.learning_rate * engine.direction(A.T @ (A @ w - b) / 300)
    >>> bool(np.linalg.norm(A @ w - b) < 1e-2 * np.linalg.norm(b))
    True
    """

    _KIND: ClassVar[str] = "SketchySGD"
    _FIELDS: ClassVar[dict[str, type]] = {}  # of subclasses, saved and loaded by name

    def __init__(
        self,
        rank: int = 10,
        rho: float = 1e-3,
        *,
        preconditioner: str | Preconditioner = "nystrom",
        ridge: float = 0.0,
        steps: int = 10,
        rng: Any = None,
    ) -> None:
        self.seed = seed_from(rng)
        self.preconditioner = preconditioner_of(preconditioner, rank, rho, self.seed)
        self.ridge = validate.real(ridge, name="ridge", low=0.0)
        self.steps = validate.integer(steps, name="steps", low=1)
        self._top, self._rho_then = math.nan, self.rho
        self._updates = 0
        self._note = ""

    # -- curvature -----------------------------------------------------------------------------------------

    @property
    def rho(self) -> float:
        """What is added to the estimate of the Hessian."""
        return self.preconditioner.rho

    @rho.setter
    def rho(self, value: float) -> None:
        self.preconditioner.rho = value

    @property
    def damping(self) -> float:
        """Another name of `rho`."""
        return self.rho

    @damping.setter
    def damping(self, value: float) -> None:
        self.rho = value

    @property
    def dim(self) -> int:
        """Length of a gradient, 0 before the first update."""
        return self.preconditioner.dim

    @property
    def top_eigenvalue(self) -> float:
        """The largest preconditioned curvature at the last update, nan before."""
        return self._top

    @property
    def _bound(self) -> float:
        """lambda as far as it is known for the rho of now; `rho` before the first."""
        if math.isnan(self._top):
            return 1.0 / self.rho
        # P of rho' is at least min(1, rho' / rho) times that of rho.
        return self._top * max(1.0, self._rho_then / self.rho)

    @property
    def learning_rate(self) -> float:
        """The step size for directions as they are now."""
        return 0.5 / self._bound

    @property
    def health(self) -> Health:
        """How the curvature is."""
        found = self.preconditioner.health
        reason = "; ".join(part for part in (found.reason, self._note) if part)
        return replace(found, reason=reason)

    def update(
        self,
        hessian_root: Any = None,
        *,
        hvp: Callable[[Array], Any] | None = None,
        ggn: Callable[[Array], Any] | None = None,
        dim: int | None = None,
        dtype: Any = np.float64,
        fresh: Any = None,
    ) -> None:
        """Estimate the Hessian and the learning rate anew.

        Parameters
        ----------
        hessian_root, hvp, ggn, dim, dtype
            As of `Preconditioner.update`: a root R (b, p) of ``H = R^T R``, or products V -> H V.
        fresh : root or callable, optional
            Of the Hessian H' of another sample, for the learning rate; unless given, the same sample serves,
            and `health` says so.

        Raises
        ------
        InputError
            An argument does not fit. Numbers that do not raise nothing; see `health`.
        """
        source = source_of(hessian_root, hvp, dim=dim, dtype=dtype)
        if callable(fresh):
            other = source_of(None, fresh, dim=source.dim, dtype=source.dtype)
        else:
            other = source if fresh is None else source_of(fresh, name="fresh")
        if other.dim != source.dim:
            raise InputError(f"fresh: expected {source.dim} columns, got {other.dim}")
        pre = self.preconditioner
        pre.update(None if hvp is not None else source, hvp=hvp, ggn=ggn, dim=dim, dtype=dtype)
        self._updates += 1
        note = "the learning rate is that of the sample itself" if fresh is None else ""
        top = math.nan if other.problem else self._measured(other)
        if math.isfinite(top) and top > 0:
            self._top, self._rho_then, self._note = top, self.rho, note
        else:
            why = other.problem or f"the largest preconditioned curvature is {top}"
            self._note = f"the learning rate is that of before: {why}"

    def _measured(self, source: Source) -> float:
        """The top eigenvalue; in float64 where it overflows."""
        found = math.nan
        for tried in (source, source.widened()):
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    found = top_eigenvalue(
                        self.preconditioner,
                        tried,
                        self.ridge,
                        steps=self.steps,
                        seed=self.seed,
                        stream=2 * self._updates + 1,
                    )
            except np.linalg.LinAlgError:
                continue
            if math.isfinite(found):
                break
        return found

    def direction(self, g: Any) -> Any:
        """``P^-1 g`` for a gradient of shape (p,), an array of the kind of g.

        Raises
        ------
        StateError
            There has been no update.
        InputError, NonFiniteError
            g does not fit, or holds NaN or Inf; nothing has changed.
        """
        return self.preconditioner.direction(g)

    def along(self, g: Array) -> Array | None:
        """As of `Preconditioner`, unchecked, for loops that have made g; None: there is no step."""
        return self.preconditioner.along(g)

    def quadform(self, v: Any) -> Any:
        """``v^T P v``."""
        return self.preconditioner.quadform(v)

    def logdet(self) -> float:
        """Logarithm of the determinant of P."""
        return self.preconditioner.logdet()

    # -- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        own = {
            "kind": self._KIND,
            "ridge": self.ridge,
            "steps": self.steps,
            "seed": self.seed,
            "top": self._top,
            "rho_then": self._rho_then,
            "updates": self._updates,
            "note": self._note,
            **{name: _plain(getattr(self, name)) for name in self._FIELDS},
        }
        return plain_state.seal({**own, **joined({"preconditioner": self.preconditioner.state_dict()})})

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """The engine a state describes; all fields are checked before anything is made.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version or altered; the message names it.
        """
        types = {"ridge": float, "steps": int, "seed": int, "top": float, "rho_then": float}
        types |= {"updates": int, "note": str}
        fields = plain_state.opened(state, cls._KIND, {**types, **cls._FIELDS}, parts=True)
        inner = parted({key: value for key, value in fields.items() if "/" in str(key)})
        inside = inner.get("preconditioner", {})
        kind = _BY_KIND.get(str(inside.get("kind")))
        if set(inner) != {"preconditioner"} or kind is None:
            raise StateError(f"preconditioner: expected the state of one, got parts {sorted(inner)}")
        with plain_state.reading():
            made = cls._blank(fields, kind.from_state_dict(inside))
            made._top, made._rho_then = fields["top"], validate.real(fields["rho_then"], name="rho_then")
            made._updates, made._note = fields["updates"], fields["note"]
            if not (math.isnan(made._top) or 0 < made._top < math.inf) or not 0 <= made._updates < 1 << 62:
                raise InputError(f"top, updates: got {made._top} and {made._updates}")
            made._take(fields)
        return made

    @classmethod
    def _blank(cls, fields: dict[str, Any], pre: Preconditioner) -> Self:
        """A new engine of the settings of a state."""
        return cls(preconditioner=pre, ridge=fields["ridge"], steps=fields["steps"], rng=fields["seed"])

    def _take(self, fields: dict[str, Any]) -> None:
        """The progress of subclasses, checked."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.preconditioner!r}, ridge={self.ridge})"


def _plain(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
