# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the JAX face adds to its numerics: to the products of an update, and to the engine's refresh."""

from __future__ import annotations

from typing import Any

import numpy as np
from conditions import MissingError, find

from randnla.curvature import KFAC, Dense

from .base import Bar, Case, Contender, Work

BLOCKS = 16


def _kfac(d: int) -> tuple[Any, Any, Any, Any, Any]:
    """(jax, transformation, gradients, factors, state): layers of d inputs and outputs without bias."""
    make, site = find("randnla.jax", "kfac"), find("randnla.jax", "Site")
    try:
        import jax
    except ImportError as error:
        raise MissingError("jax") from error
    rng = np.random.default_rng(0)
    names = [f"layer{i}" for i in range(BLOCKS)]
    opt = make({name: site(Dense(d, d, bias=False), name) for name in names}, "exact")

    def normal(*shape: int) -> Any:
        return jax.numpy.asarray(rng.standard_normal(shape), np.float32)

    gradients = {name: normal(d, d) for name in names}
    factors = {name: ((normal(64, d),), (normal(1, 64, d),)) for name in names}
    state = opt.refresh(opt.accumulate(opt.init(gradients), factors))
    return jax, opt, gradients, factors, state


def _update(d: int) -> Case:
    jax, opt, gradients, _, state = _kfac(d)
    inverses = {
        name: (layer.inverse["left"]["matrix"], layer.inverse["right"]["matrix"])
        for name, layer in state.layers.items()
    }
    update = jax.jit(opt.update)
    products = jax.jit(
        lambda grads, inv: {name: (inv[name][0] @ V.T @ inv[name][1]).T for name, V in grads.items()}
    )
    wanted = products(gradients, inverses)

    def contenders() -> dict[str, Contender]:
        return {"two products by hand": lambda: jax.block_until_ready(products(gradients, inverses))}

    def error(who: str, result: Any) -> float:
        made = result[0] if who == "ours" else result
        return float(max(np.abs(made[name] - wanted[name]).max() for name in wanted))

    return Case(lambda: jax.block_until_ready(update(gradients, state)), contenders, error)


def _refresh(d: int) -> Case:
    jax, opt, _, factors, state = _kfac(d)
    engine = KFAC({name: Dense(d, d, bias=False) for name in factors})
    for name, ((a,), (g,)) in factors.items():
        engine.accumulate(name, np.asarray(a), np.asarray(g[0]))

    def contenders() -> dict[str, Contender]:
        return {"engine refresh": engine.refresh}

    return Case(lambda: jax.block_until_ready(opt.refresh(state)), contenders)


WORKS = [
    Work(
        f"JAX K-FAC {name}, {BLOCKS} blocks",
        "float32",
        f"d={d}",
        lambda _, build=build, d=d: build(d),
        # 20 us a block beside the numerics.
        Bar("time", 1.0, (peer,), allowance_ms=0.02 * BLOCKS) if bar else None,
        error_limit=1e-3 if name == "update" else None,
        quick=d == 64,
    )
    for name, build, peer, bar in (
        ("update", _update, "two products by hand", True),
        ("refresh", _refresh, "engine refresh", False),
    )
    for d in (64, 512)
]
