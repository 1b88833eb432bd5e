# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""K-FAC whose inverse is block tridiagonal: neighboring layers of a chain know of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla._backend.kernels.dense import Array

from ..damping import Damping, Moments, Tikhonov, damping_of
from ..health import Outcome, attempt
from ..inverses.largest import largest_eigenvalue
from ..inverses.protocol import extreme
from ..resumable import joined, parted
from .blocks import KroneckerBlock
from .chain import CrossFactor, Link, link
from .engine import KFAC
from .layers import Dense, Layer

_DAMPING = Tikhonov(0.1)


class ChainBlock(KroneckerBlock):
    """The factors of one layer of a chain; its inverse is the chain's."""

    @property
    def kind(self) -> str:
        """How the layer is inverted."""
        return "block tridiagonal"


class TridiagonalKFAC(KFAC):
    """Kronecker-factored curvature of a chain of dense layers, with an inverse that is block tridiagonal.

    Parameters
    ----------
    layers : mapping {name: Dense}
        In the order of the network, each fed by the one before.
    damping : Damping, float or callable, default Tikhonov(0.1)
        Any but `Exact`. A number lambda is ``Relative(lambda)``.
    **settings
        Of `KFAC`, but for ``asynchronous`` and those of low-rank inverses.

    Raises
    ------
    InputError
        A layer is not `Dense`, or an argument does not fit.

    Notes
    -----
    *Algorithm*: Martens and Grosse (2015, section 4.3). Gradients of layers are taken for a Gaussian chain
    with ``w_i = Psi_i w_(i+1) + noise of covariance Sigma_i``, where Psi_i is the Kronecker product of
    ``A_(i,i+1) A_(i+1)^-1`` and ``G_(i,i+1) G_(i+1)^-1`` and Sigma_i = A_i kron G_i - C kron D is inverted by
    `TwoTermKronecker`. Then F^-1 = Xi^T diag(Sigma_i^-1) Xi, Xi unit upper block bidiagonal with -Psi_i:
    positive definite for every damping > 0. All is in float64; the factors A_i and G_i are damped first.

    Where a layer is explained by the next one to rounding, as in a linear network, what is left of it is held
    at sqrt(eps) of its own size, eps that of ``dtype``.

    In the paper's experiments it gains little over block-diagonal K-FAC; `KFAC` is the first choice.

    *Cost*: a refresh has two eigenproblems and three factorizations of every factor; a step about four
    times the products of `KFAC`. Cross factors double the memory.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Dense, TridiagonalKFAC
    >>> engine = TridiagonalKFAC({"first": Dense(3, 2), "second": Dense(2, 1)})
    >>> a, g = np.eye(3, dtype=np.float32), np.ones((3, 2), np.float32)
    >>> engine.accumulate({"first": (a, g), "second": (g, g[:, :1])})
    True
    >>> engine.refresh()
    >>> engine.health["second"].last_refresh
    0
    """

    _KIND: ClassVar[str] = "TridiagonalKFAC"

    def __init__(self, layers: Mapping[str, Layer], *, damping: Any = _DAMPING, **settings: Any) -> None:
        for name, layer in layers.items() if isinstance(layers, Mapping) else ():
            if not isinstance(layer, Dense):
                raise InputError(f"layers: expected Dense layers only, {name!r} is {type(layer).__name__}")
        if settings.get("asynchronous") or settings.get("inverse", "cholesky") != "cholesky":
            raise InputError("asynchronous, inverse: not for a block-tridiagonal inverse; leave them out")
        super().__init__(layers, damping=damping, **settings)
        _require_factored(self._damping)
        shapes = [layer.shape for layer in layers.values()]
        self._cross = [
            tuple(CrossFactor(x, y, self._average) for x, y in zip(one, two, strict=True))
            for one, two in pairwise(shapes)
        ]
        self._links: list[Link] = []
        self._given: dict[str, Any] = {}  # batches of a step until all layers have theirs
        self._given_at = 0

    def _kronecker_block(self, layer: Layer, index: int) -> ChainBlock:
        base: KroneckerBlock = super()._kronecker_block(layer, index)
        return ChainBlock(base.left, base.right, base.sources, base.inverse)

    # -- statistics --------------------------------------------------------------------------------------

    def accumulate(self, name: Any, a: Any = None, g: Any = None, *, samples: int | None = None) -> bool:
        """Average in a batch of a layer, or of all layers.

        Factors change when all layers have given their batch of a step, as cross factors need both of a pair.
        Until then copies are kept, which are no part of a state.

        Parameters
        ----------
        name : str, or mapping {name: (a, g)}
        a, g : arrays, as of `KFAC.accumulate`; not given with a mapping
        samples : int, optional

        Returns
        -------
        bool
            False where a NaN or an infinity was found; the step's batches of all layers are then dropped.
            An error drops those that were given before it.

        Raises
        ------
        InputError
            There is no such layer, an array does not fit it, or batches of two layers differ in rows.
        """
        whole = isinstance(name, Mapping)
        if whole and name.keys() != self._layers.keys():
            raise InputError(f"name: expected all of {', '.join(self._layers)}; got {', '.join(name)}")
        before = {} if whole or self._given_at != self.step_count else self._given
        self._given = {}
        checked = self._checked(name, a, g, samples)
        given = before | checked
        known = [prepared for prepared in given.values() if prepared is not None]
        for prepared in known[1:]:
            if _rows_of(known[0]) != _rows_of(prepared):
                wanted, got = ("({}, {:g})".format(*_rows_of(each)) for each in (known[0], prepared))
                raise InputError(f"a: expected rows and uses {wanted} as the other layers have, got {got}")
        if len(given) < len(self._layers):
            self._given_at = self.step_count
            self._given = before | {key: self._kept(key, prepared) for key, prepared in checked.items()}
        elif len(known) == len(given):
            self._absorb([given[key] for key in self._layers])
        return None not in checked.values()

    def _kept(self, name: str, prepared: Any) -> Any:
        """A checked batch in memory of its own: the caller's may change before the step is complete."""
        if prepared is None:
            return None
        made = []
        for side, (batch, scale) in zip(("left", "right"), prepared, strict=True):
            rows = self._workspaces[name].take(f"kept {side}", batch.rows.shape, batch.rows.dtype)
            np.copyto(rows, batch.rows)
            made.append((replace(batch, rows=rows), scale))
        return tuple(made)

    def _absorb(self, given: list[Any]) -> None:
        for block, prepared in zip(self._blocks.values(), given, strict=True):
            block.absorb(prepared)
        for pair, one, two in zip(self._cross, given, given[1:], strict=False):
            for cross, (x, scale), (y, _) in zip(pair, one, two, strict=True):
                cross.absorb(x, y, scale)

    # -- refresh -----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Renew the inverse of the chain from the factors as they are; never raises, see `health`."""
        outcome = attempt(lambda damping, wide: self._chain(damping), self._damping)
        for i, name in enumerate(self._layers):
            health = self._health[name]
            if outcome.made is None:
                self._take(name, Outcome(None, outcome.fallback, outcome.reason))
                continue
            condition = outcome.made[i].sigma.condition()
            self._health[name] = replace(
                health,
                last_refresh=self.step_count,
                condition=condition,
                fallback=outcome.fallback,
                reason=outcome.reason,
            )
        self._links = self._links if outcome.made is None else outcome.made

    def _chain(self, damping: Damping) -> list[Link]:
        factors = []
        for block in self._blocks.values():
            assert isinstance(block, KroneckerBlock)
            pair = (block.left, block.right)
            moments = [
                Moments(f.trace / f.dim, largest_eigenvalue(f) if damping.spectral else 0.0) for f in pair
            ]
            shifts = damping.shifts(*moments)
            factors.append((_shifted(block.left, shifts.left), _shifted(block.right, shifts.right)))
        limit = 1.0 - math.sqrt(float(np.finfo(self.dtype).eps))
        made = [
            link(here, following, (cross[0].value, cross[1].value), limit)
            for here, following, cross in zip(factors, factors[1:], self._cross, strict=False)
        ]
        made.append(Link(*factors[-1]))
        for each in made:
            each.sigma.inverse()  # fails here, where it can be helped
        return made

    @property
    def damping(self) -> Damping:
        """What is added to the factors; it counts from the next refresh on."""
        return self._damping

    @damping.setter
    def damping(self, value: Damping | float) -> None:
        wanted = damping_of(value if isinstance(value, Damping) else self._damping.with_value(value))
        _require_factored(wanted)
        self._damping = wanted

    # -- steps -------------------------------------------------------------------------------------------

    def _preconditioned(self, matrices: dict[str, Array]) -> dict[str, Array]:
        if matrices.keys() != self._layers.keys():
            raise InputError(
                f"gradients: expected all of {', '.join(self._layers)}; got {', '.join(matrices)}"
            )
        if not self._links:
            return {name: V.copy() for name, V in matrices.items()}
        V = [matrices[name].astype(np.float64) for name in self._layers]
        U = [V[i] - self._links[i].explained(V[i + 1]) for i in range(len(V) - 1)] + V[-1:]
        W = [each.sigma.inverse().apply_matrix(u) for each, u in zip(self._links, U, strict=True)]
        out = W[:1] + [W[i] - self._links[i - 1].passed_on(W[i - 1]) for i in range(1, len(W))]
        return {name: np.asarray(w, self.dtype) for name, w in zip(self._layers, out, strict=True)}

    def quadform(self, gradients: Mapping[str, Any]) -> float:
        """``<V, inverse applied to V>`` of all layers together.

        Raises
        ------
        StateError
            There has been no refresh.
        NonFiniteError
            A gradient holds NaN or Inf.
        """
        self._require_refresh()
        matrices = self._packed(gradients)
        if matrices is None:
            raise NonFiniteError("gradients: expected finite numbers, got NaN or Inf")
        made = self._preconditioned(matrices)
        return math.fsum(
            float(np.sum(np.multiply(V, made[k], dtype=np.float64))) for k, V in matrices.items()
        )

    def logdet(self) -> float:
        """``log det`` of the damped curvature of all layers.

        Raises
        ------
        StateError
            There has been no refresh.
        """
        self._require_refresh()
        return math.fsum(each.sigma.slogdet()[1] for each in self._links)

    def _require_refresh(self) -> None:
        if not self._links:
            raise StateError("inverse: expected a refresh before it is applied")

    # -- state -------------------------------------------------------------------------------------------

    def _own_state(self) -> dict[str, Any]:
        parts = {f"link_{i}": each.state_dict() for i, each in enumerate(self._links)}
        for i, pair in enumerate(self._cross):
            parts |= {f"cross_{i}_{side}": cross.state_dict() for side, cross in enumerate(pair)}
        return {"links": len(self._links), **joined(parts)}

    def _load_own(self, fields: dict[str, Any]) -> None:
        parts = parted({key: value for key, value in fields.items() if "/" in str(key)})
        if fields["links"] not in (0, len(self._layers)):
            raise StateError(f"links: expected 0 or {len(self._layers)}, got {fields['links']}")
        links = [Link.from_state_dict(parts.get(f"link_{i}", {})) for i in range(fields["links"])]
        cross = [
            tuple(each.restored(parts.get(f"cross_{i}_{side}", {})) for side, each in enumerate(pair))
            for i, pair in enumerate(self._cross)
        ]
        for layer, each in zip(self._layers.values(), links, strict=False):
            if (len(each.left), len(each.right)) != layer.shape:
                raise StateError(
                    f"link: expected factors of {layer.shape}, got {len(each.left)}, {len(each.right)}"
                )
        self._links, self._cross, self._given = links, cross, {}


def _require_factored(damping: Damping) -> None:
    if damping.joint:
        raise InputError("damping: Exact is not for a block-tridiagonal inverse; Tikhonov is the paper's")


def _rows_of(prepared: Any) -> tuple[int, float]:
    """Rows of a checked batch and its uses."""
    return len(prepared[1][0].rows), float(prepared[1][1])


def _shifted(factor: Any, shift: float) -> Array:
    exponent = extreme(factor.trace / factor.dim)  # what float32 does not hold float64 does
    whole: Array = np.ldexp(factor.value_over(exponent).astype(np.float64), exponent)
    whole[np.diag_indices(len(whole))] += shift
    return whole
