# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""K-FAC in the wake of past models of the divergence: an engine of three variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from randnla._backend import validate
from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla._backend.kernels import dense
from randnla._backend.kernels.dense import Array

from ..clipping import KLClip
from ..damping import Damping, Exact
from ..factors.kronecker import KroneckerFactor
from ..health import Outcome, attempt
from ..inverses.two_sided import TwoSidedInverse
from ..resumable import joined, parted
from .blocks import KroneckerBlock
from .engine import KFAC
from .exact_wake import ExactWake
from .layers import Embedding, Layer
from .wake import PUBLISHED_EMA, VARIANTS, Layered, WakeRecursion, positive


class AugmentedFactor:
    """``average + lr now`` of two averaged factors, as a refresh reads it."""

    scale, ridge = 1.0, 0.0

    def __init__(self, average: KroneckerFactor, now: KroneckerFactor, lr: float) -> None:
        self.average, self.now, self.lr = average, now, lr
        self.dim, self.dtype = average.dim, average.dtype

    @property
    def trace(self) -> float:
        """Of the sum."""
        return self.average.trace + self.lr * self.now.trace

    @property
    def value(self) -> Array:
        """The sum as an array."""
        whole: Array = self.average.value + self.dtype.type(self.lr) * self.now.value
        return whole

    def sum_times(self, X: Array) -> Array:
        """The sum times X."""
        kind, (one, two) = self.dtype.type, (self.average, self.now)
        out: Array = kind(one.scale) * one.sum_times(X) + kind(one.ridge) * X
        out += kind(self.lr * two.scale) * two.sum_times(X)
        return out


class AugmentedBlock(KroneckerBlock):
    """A `KroneckerBlock` that inverts ``(L + lr L_k) kron (R + lr R_k)``, L_k and R_k of the last batch.

    The product of sums stands for the sum of products ``L kron R + lr L_k kron R_k``, as published. It is a
    heuristic: where L_k = L and R_k = R it is (1 + lr)^2 times L kron R instead of 1 + lr times.
    """

    def __init__(self, left: Any, right: Any, sources: tuple[str, str], inverse: TwoSidedInverse) -> None:
        super().__init__(left, right, sources, inverse)
        # With ema = 0 an average is the last batch's.
        self.left_now, self.right_now = (
            KroneckerFactor(factor.dim, ema=0.0, start="first", dtype=factor.dtype)
            for factor in (left, right)
        )
        self.lr = 0.0

    def absorb(self, prepared: Any) -> None:
        """Average in what was checked, and keep it."""
        super().absorb(prepared)
        for factor, (batch, scale) in zip((self.left_now, self.right_now), prepared, strict=True):
            factor.absorb(batch, scale)

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[TwoSidedInverse]]:
        """A refresh to be run now or, detached from later batches, on another thread."""
        pairs = ((self.left, self.left_now), (self.right, self.right_now))
        left, right = (
            AugmentedFactor(*((x.copy(), y.copy()) if detached else (x, y)), self.lr) for x, y in pairs
        )
        inverse = self.inverse
        return lambda: attempt(lambda d, wide: inverse.renewed(left, right, d, wide=wide), damping)

    def curvature_times(self, V: Array) -> Array:
        """``L_k V R_k``."""
        return dense.gemm(dense.gemm(self.left_now.value, V), self.right_now.value)

    def average_times(self, V: Array) -> Array:
        """``L kron R``, damped as the inverse is, applied to V."""
        shifts = self.inverse.shifts
        if shifts is None:
            return V
        kind = V.dtype.type
        half = dense.gemm(self.left.value, V) + kind(shifts.left) * V
        out: Array = dense.gemm(half, self.right.value) + kind(shifts.right) * half
        out += kind(shifts.whole) * V
        return out

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        now = {"left_now": self.left_now.state_dict(), "right_now": self.right_now.state_dict()}
        return super().state_dict() | joined(now)

    def restored(self, state: dict[str, Any]) -> Self:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        made, parts = super().restored(state), parted(state)
        for name in ("left_now", "right_now"):
            if name not in parts:
                raise StateError(f"{name}: missing, the state is of a block without augmented factors")
            factor = getattr(made, name)
            dim = factor.dim
            factor.load_state_dict(parts.get(name))
            if (factor.dim, factor.ema) != (dim, 0.0):
                raise StateError(f"{name}: expected a factor of dimension {dim} without a past")
        return made


class KLDWRM(KFAC):
    """Natural gradient in the wake of past networks: what the exponential average of `KFAC` stands for.

    Parameters
    ----------
    layers : mapping {name: layer}
    variant : {"SO", "Q", "QE"}, default "SO"
        SO: gradients that are differenced, and K-FAC's inverse. Q: a quadratic model of the loss beside the
        wake, with factors augmented by those of the last batch. QE: the step of Q, from which exact
        divergences to the last networks are descended.
    divergence : callable (parameters, net) -> (value, gradient), optional
        Needed by QE, as of `ExactWake.objective`, on mappings in the structure of the gradients.
    wake : ExactWake, optional
        Of QE; with its published settings unless given.
    ema : float in [0, 1), optional
        .33 for SO, .5 for Q and QE unless given.
    damping : Damping, float or callable, default Exact(0.01)
    stats_every, inv_every : int or Every, default 30
    clip : KLClip, RMSClip or None, default KLClip(0.1)
    start : default "first"
        The weights that the recursion is exact for.
    **settings
        Of `KFAC`. All defaults that are not its own are the published ones.

    Notes
    -----
    *Algorithm*: Puiu, *Rethinking exponential averaging of the Fisher* (2022); see `WakeRecursion`. The
    augmented factors of Q, ``(A + lr A_k) kron (G + lr G_k)``, are a heuristic: a product of sums in the
    place of a sum of products. In the recursion they count on steps that make a new inverse only; on the
    others (with ``asynchronous`` on all but the first), and for embeddings and scale and shift always, the
    curvature of the loss is taken to be the average.
    A clip shortens steps, which the recursion does not see.

    Embeddings and scale and shift are divided by 1 + lr in Q and QE, and their curvature is left out of the
    descent of QE.

    SO takes differences of gradients: with slowly varying ones it is as slow as K-FAC with (1 - ema) times
    the step size, so compare at step sizes tuned for each.

    *Cost*: beyond K-FAC's, a copy of the gradients; for Q a second pair of factors.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import Dense, KLDWRM
    >>> engine = KLDWRM({"only": Dense(3, 2, bias=False)}, variant="Q")
    >>> engine
    KLDWRM(1 layers, Exact(value=0.01)): step 0
    >>> engine.accumulate("only", np.eye(3, dtype=np.float32), np.ones((3, 2), np.float32))
    True
    >>> engine.step({"only": np.ones((2, 3), np.float32)}, lr=0.01)["only"].shape
    (2, 3)
    """

    _KIND: ClassVar[str] = "KLDWRM"

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        variant: str = "SO",
        divergence: Callable[[Any, Any], Any] | None = None,
        wake: ExactWake | None = None,
        ema: float | None = None,
        **settings: Any,
    ) -> None:
        self.variant = validate.choice(variant, VARIANTS, name="variant")
        if (divergence is None) == (self.variant == "QE"):
            raise InputError(f"divergence: expected {'one' if variant == 'QE' else 'none'} for {variant}")
        rho = PUBLISHED_EMA[self.variant] if ema is None else ema
        published = {"damping": Exact(0.01), "stats_every": 30, "inv_every": 30, "start": "first"}
        super().__init__(layers, ema=rho, **{**published, "clip": KLClip(0.1), **settings})
        self._recursion = WakeRecursion(self.variant, ema=rho)
        self._divergence = validate.callback(divergence, name="divergence")
        self._wake = ExactWake(ema=rho) if wake is None else wake
        self._lr = 0.0

    def _kronecker_block(self, layer: Layer, index: int) -> KroneckerBlock:
        block: KroneckerBlock = super()._kronecker_block(layer, index)
        if self.variant == "SO" or isinstance(layer, Embedding):
            return block
        return AugmentedBlock(block.left, block.right, block.sources, block.inverse)

    def refresh(self) -> None:
        """Renew all inverses, augmented for the step size of the last step; never raises, see `health`."""
        for block in self._blocks.values():
            if isinstance(block, AugmentedBlock):
                block.lr = self._lr
        super().refresh()

    def step(
        self,
        gradients: Mapping[str, Any],
        *,
        lr: float = 1.0,
        statistics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One step: refresh where due, precondition in the wake, clip, descend (QE), count.

        Parameters
        ----------
        gradients : mapping {name: array or (weight, bias)}
            Of the same layers at every step.
        lr : float, default 1
            The step size that the directions are going to be multiplied by: here it is part of the method.
        statistics : mapping, optional
            Of `accumulate`, which takes them first, where the gradients are finite.
        parameters : mapping like gradients
            The network before the step. Needed by QE, unused by others.

        Returns
        -------
        dict {name: direction}
            Of the structure and kind of the gradients; the gradients themselves where one holds NaN or Inf.

        Raises
        ------
        InputError
            A name is unknown, a shape or the step size does not fit; layers are not those of the step before.
        """
        lr, known = positive(lr, "lr"), self._recursion.layers
        if known and set(gradients) != set(known):
            raise InputError(f"gradients: expected the layers {known} at every step, got {list(gradients)}")
        if self.variant == "QE" and (parameters is None or set(parameters) != set(gradients)):
            raise InputError(
                f"parameters: expected the layers {list(gradients)} for QE, got {parameters!r:.60}"
            )
        step, self._lr = self.step_count, lr
        made = super().step(gradients, lr=lr, statistics=statistics)
        if self.variant != "QE" or self.step_count == step:
            return made
        assert parameters is not None
        return self._descended(made, gradients, parameters, lr)

    def _right_sides(self, matrices: dict[str, Array], lr: float) -> dict[str, Array]:
        made = self._recursion.step(matrices, lr, retained=lambda right: self._retained(right, lr))
        if self.variant == "SO":
            return made
        plain = (name for name in made if not isinstance(self._blocks[name], AugmentedBlock))
        return made | {name: made[name] / made[name].dtype.type(1.0 + lr) for name in plain}

    def _retained(self, right: Layered, lr: float) -> Layered:
        """``F (F + lr B)^-1``, by the factors where the inverse is new."""
        made = {}
        for name, V in right.items():
            block = self._blocks[name]
            if isinstance(block, AugmentedBlock) and self._health[name].last_refresh == self.step_count:
                made[name] = block.average_times(block.precondition(V))
            else:
                made[name] = V / V.dtype.type(1.0 + lr)
        return made

    def _descended(
        self, made: dict[str, Any], gradients: Mapping[str, Any], parameters: Mapping[str, Any], lr: float
    ) -> dict[str, Any]:
        """Directions after the inner descent; as they are where the network holds NaN or Inf."""
        theta, slopes, directions = (self._copied(given) for given in (parameters, gradients, made))
        divergence = self._divergence
        assert divergence is not None

        def between(here: Layered, net: Layered) -> tuple[float, Layered]:
            value, slope = divergence(self._unpacked(here, gradients), self._unpacked(net, gradients))
            return value, self._copied(slope)

        def curvature(s: Layered) -> Layered:
            return {name: self._bent(name, V) for name, V in s.items()}

        try:
            objective = self._wake.objective(theta, slopes, lr, between, curvature)
        except NonFiniteError as problem:
            for name in made:
                self._note(name, reason=str(problem))
            return made
        s = self._wake.refine(objective, {name: -lr * D for name, D in directions.items()}, lr)
        return self._unpacked({name: V / -lr for name, V in s.items()}, gradients)

    def _bent(self, name: str, V: Array) -> Array:
        block = self._blocks[name]
        return block.curvature_times(V) if isinstance(block, AugmentedBlock) else V * V.dtype.type(0)

    def _copied(self, given: Mapping[str, Any]) -> Layered:
        """Matrices of their own of what has the structure of the gradients."""
        return {
            name: self._layers[self._known(name)].pack(value, self._workspaces[name], dtype=self.dtype).copy()
            for name, value in given.items()
        }

    def _own_state(self) -> dict[str, Any]:
        parts = {"recursion": self._recursion.state_dict(), "wake": self._wake.state_dict()}
        return {"variant": self.variant, "lr": self._lr, **joined(parts)}

    def _refuse_others(self, fields: dict[str, Any]) -> None:
        if fields["variant"] != self.variant:
            raise StateError(f"variant: expected {self.variant!r}, got {fields['variant']!r}")

    def _load_own(self, fields: dict[str, Any]) -> None:
        parts = parted({key: value for key, value in fields.items() if "/" in str(key)})
        recursion = WakeRecursion.from_state_dict(parts.get("recursion"))
        self._wake.load_state_dict(parts.get("wake"))
        self._recursion, self._lr = recursion, float(fields["lr"])
