# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""E-KFAC: the eigenbasis of a Kronecker product with second moments of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense, qr
from randnla._backend.kernels.dense import Array

from ..damping import Damping, Exact, Relative, read, written
from ..factors.batch import Batch
from ..health import Outcome
from ..inverses.protocol import extreme
from ..inverses.two_sided import TwoSidedInverse
from ..resumable import joined, parted
from ..rows import Rows
from ..workspace import Workspace
from .blocks import KroneckerBlock


class EigenbasisBlock:
    """``(P kron Q) diag(S) (P kron Q)^H``: P, Q of a Kronecker product, S = E[(P^H grad Q)^2] on its own.

    Parameters
    ----------
    base : KroneckerBlock
        With an `EigenInverse` on both sides.

    Attributes
    ----------
    moments : (m, n) array or None
        S over 2^unit; products of the eigenvalues at the first refresh, averages over batches from then on.
    unit : int
        0 unless S is so small or large that it, or its inverse, might leave the range of float32.

    Notes
    -----
    *Algorithm*: George, Laurent, Bouthillier, Ballas and Vincent (2018). In its basis S is the best diagonal
    in the Frobenius norm, so that it is never further from the Fisher matrix than the Kronecker product. When
    the basis changes S becomes the diagonal, in the new basis, of what it stood for in the old one:
    ``|P'^H P|^2 S (|Q'^H Q|^2)^T``, which is a permutation of S where the basis is one.

    *Cost*: n_samples m n flops a batch, where a layer is not shared; 4 m n (m + n) a gradient.
    """

    def __init__(self, base: KroneckerBlock) -> None:
        self.base = base
        self.moments: Array | None = None
        self.unit = 0
        self._shift = 0.0
        self._workspace = Workspace()

    kind = "eigenbasis"
    held_as_array = False

    @property
    def count(self) -> int:
        """Batches so far."""
        return self.base.count

    def prepare(self, rows: Rows) -> Any:
        """Check the rows of a batch; nothing changes."""
        checked, moments, exponent = self.base.prepare(rows), None, 0
        if self.moments is not None:
            (g, one), (a, other) = (_of_unit_size(batch) for batch, _ in checked)
            moments = second_moments(replace(rows, a=a, g=g), *self._bases(), self._workspace)
            exponent = 2 * (one + other)
        return checked, moments, exponent

    def absorb(self, prepared: Any) -> None:
        """Average in what was checked."""
        checked, moments, exponent = prepared
        self.base.absorb(checked)
        if self.moments is not None:
            keep = self.base.left.ema
            self._adapt_unit(moments, exponent)
            moments *= moments.dtype.type(math.ldexp(1.0 - keep, exponent - self.unit))
            self.moments *= keep
            self.moments += moments

    def _adapt_unit(self, moments: Array, exponent: int) -> None:
        """Keep the average, and what is added to it, where neither overflows nor vanishes."""
        largest = float(moments.max())
        if largest == 0.0 or not extreme(math.ldexp(largest, exponent - self.unit)):
            return
        assert self.moments is not None
        held = float(self.moments.max())
        top = max(exponent, self.unit + math.frexp(held)[1] if held else exponent)
        qr.scale_by_power(self.moments, self.unit - top)
        self._shift, self.unit = math.ldexp(self._shift, self.unit - top), top

    def _bases(self) -> tuple[Array, Array]:
        inverse = self.base.inverse
        P, Q = inverse.left.spectral, inverse.right.spectral
        if P is None or Q is None or P[0] is None or Q[0] is None:
            raise StateError("inverse: expected a refresh before it is applied")
        return P[0], Q[0]

    def renewal(self, damping: Damping, *, detached: bool) -> Callable[[], Outcome[Any]]:
        """A refresh to be run now or, detached from later batches, on another thread."""
        if not isinstance(damping, (Exact, Relative)):
            raise InputError(f"damping: E-KFAC takes Exact or Relative, got {type(damping).__name__}")
        bases = self.base.renewal(Relative(1.0), detached=detached)  # vectors know of no damping

        def run() -> Outcome[tuple[TwoSidedInverse, Damping]]:
            outcome = bases()
            made = None if outcome.made is None else (outcome.made, damping)
            return Outcome(made, outcome.fallback, outcome.reason)

        return run

    def adopt(self, made: tuple[TwoSidedInverse, Damping]) -> None:
        """Take new bases, and turn the moments to them."""
        before = None if self.moments is None else self._bases()
        inverse, damping = made
        self.base.adopt(inverse)
        P, Q = self._bases()
        if self.moments is None or before is None:
            s, t = (side.spectral for side in (inverse.left, inverse.right))
            if s is not None and t is not None:
                self.moments = np.multiply.outer(s[1], t[1]).astype(P.real.dtype)
                self.unit = sum(inverse.exponents)
        else:
            left, right = (
                np.abs(dense.gemm(X.conj().T, Y)) ** 2 for X, Y in zip((P, Q), before, strict=True)
            )
            self.moments = dense.gemm(dense.gemm(left, self.moments), right.T)
        self.set_damping(damping)

    def set_damping(self, damping: Damping) -> None:
        """What is added to the moments: lambda, or lambda times the largest of them."""
        if self.moments is not None:
            largest = float(self.moments.max())
            by_size = isinstance(damping, Relative) and largest > 0.0
            self._shift = damping.value * largest if by_size else math.ldexp(damping.value, -self.unit)

    def _damped(self) -> tuple[Array, int]:
        """The damped moments over a power of two, and its exponent."""
        if self.moments is None:
            raise StateError("inverse: expected a refresh before it is applied")
        more = extreme(float(self.moments.max()) + self._shift)
        moments = qr.scale_by_power(self.moments.copy(), -more) if more else self.moments
        damped: Array = np.maximum(moments, 0.0) + moments.dtype.type(math.ldexp(self._shift, -more))
        return damped, self.unit + more

    def precondition(self, V: Array) -> Array:
        """The damped inverse applied to a gradient; the gradient itself before the first refresh."""
        if self.moments is None:
            return V.copy()
        P, Q = self._bases()
        core = dense.gemm(dense.gemm(P.conj().T, V), Q.conj() if Q.dtype.kind == "c" else Q)
        damped, exponent = self._damped()
        core /= damped
        out: Array = dense.gemm(dense.gemm(P, core), Q.T)
        return qr.scale_by_power(out, -exponent) if exponent else out

    def quadform(self, V: Array) -> float:
        """``<V, inverse applied to V>``, summed in float64."""
        P, Q = self._bases()
        core = np.abs(
            dense.gemm(dense.gemm(P.conj().T, V), Q).astype(np.complex128 if V.dtype.kind == "c" else float)
        )
        damped, exponent = self._damped()
        return math.ldexp(float(np.sum(core**2 / damped)), -exponent)

    def logdet(self) -> float:
        """Of the damped curvature."""
        damped, exponent = self._damped()
        return float(np.log(damped, dtype=np.float64).sum() + damped.size * exponent * math.log(2.0))

    @property
    def shift(self) -> float:
        """What is added to S."""
        return math.ldexp(self._shift, self.unit)

    @property
    def condition(self) -> float | None:
        """Of the damped curvature."""
        if self.moments is None:
            return None
        damped, _ = self._damped()
        return float(damped.max() / damped.min())

    @property
    def truncated(self) -> float:
        """Nothing is."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays."""
        own: dict[str, Any] = {"shift": self._shift, "unit": self.unit}
        if self.moments is not None:
            own["moments"] = self.moments.copy()
        return joined({"base": self.base.state_dict(), "own": own})

    def restored(self, state: dict[str, Any]) -> EigenbasisBlock:
        """One like this in the state described.

        Raises
        ------
        StateError
        """
        parts = parted(state)
        made = EigenbasisBlock(self.base.restored(parts.get("base", {})))
        own = parts.get("own", {})
        made._shift = float(plain_state.unwrap(own.get("shift", 0.0)))
        made.unit = int(plain_state.unwrap(own.get("unit", 0)))
        if abs(made.unit) > 4400:
            raise StateError(f"unit: expected an exponent of products of float64, got {made.unit}")
        if "moments" in own:
            shape = (made.base.left.dim, made.base.right.dim)
            made.moments = plain_state.array_of(own, "moments", shape, own["moments"].dtype)
        return made

    def made_state(self, made: tuple[TwoSidedInverse, Damping]) -> dict[str, Any]:
        """Of new bases."""
        return {**made[0].state_dict(), "damping": written(made[1])}

    def made_restored(self, state: dict[str, Any]) -> tuple[TwoSidedInverse, Damping]:
        """New bases that had been made.

        Raises
        ------
        StateError
        """
        own = {key: value for key, value in state.items() if key != "damping"}
        damping = read(str(state.get("damping")), Exact(0.0))
        return self.base.made_restored(own), damping


def _of_unit_size(batch: Batch) -> tuple[Array, int]:
    """The rows of a batch over 2^exponent, where fourth powers neither overflow nor vanish; the exponent."""
    largest = dense.screen(batch.rows).max_abs
    exponent = math.frexp(largest)[1] if largest > 0 else 0
    if abs(exponent) <= 12:
        return batch.rows, batch.exponent
    return qr.scale_by_power(np.array(batch.rows, order="C"), -exponent), batch.exponent + exponent


def second_moments(rows: Rows, P: Array, Q: Array, workspace: Workspace | None = None) -> Array:
    """Mean over samples of the squared entries of ``P^T (sum over uses of g a^T) Q``, real arrays.

    Where every sample has one row this is a product of squares, and no gradient of a sample is formed. The
    result lies in the workspace.
    """
    space = workspace or Workspace()
    count, m, n = len(rows.g), P.shape[1], Q.shape[1]
    g = dense.gemm(rows.g, P, space.take("g", (count, m), P.dtype))
    a = dense.gemm(rows.a, Q, space.take("a", (count, n), Q.dtype))
    total = space.take("moments", (m, n), P.dtype)
    if rows.uses == 1:
        np.multiply(g, g, out=g)
        np.multiply(a, a, out=a)
        dense.gemm(g.T, a, total)
    else:
        total.fill(0)
        each = space.take("sample", (m, n), P.dtype)
        start = 0
        for uses in (uses for samples, uses in rows.groups for _ in range(samples)):
            part = slice(start, start + uses)
            dense.gemm(g[part].T, a[part], each)
            np.multiply(each, each, out=each)
            np.add(total, each, out=total)
            start += uses
    total /= P.dtype.type(rows.samples)
    return total
