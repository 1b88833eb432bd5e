# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the PyTorch adapter adds to a step of the engine, on layers so small that nothing hides it."""

from __future__ import annotations

from typing import Any

from randnla.curvature import KFAC, Dense

from .base import Bar, Case, Contender, Work

LAYERS = 50
NEVER = 10**9  # steps from one refresh, or batch of statistics, to the next: step 0 has them
ALLOWED = 0.02  # milliseconds a layer


def _steps(width: int) -> Case:
    import torch

    from randnla import torch as adapter

    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(LAYERS)))
    pre = adapter.KFAC(model, "exact", fisher="empirical", stats_every=NEVER, inv_every=NEVER, rng=0)
    model(torch.randn(32, width)).square().mean().backward()
    gradients = {
        str(k): (layer.weight.grad.numpy().copy(), layer.bias.grad.numpy().copy())
        for k, layer in enumerate(model)
    }
    pre.step()
    # The curvature is that of the model: where gradients are tiny, an engine rescales its products.
    engine = KFAC(
        {name: Dense(width, width) for name in gradients}, stats_every=NEVER, inv_every=NEVER, rng=0
    )
    engine.load_state_dict(pre.engine.state_dict())
    sources = [(p.grad, p.grad.clone()) for p in model.parameters()]

    def ours() -> Any:
        # Directions replace gradients: these are put back, or the next step would take its own result.
        with torch.no_grad():
            torch._foreach_copy_([p for p, _ in sources], [g for _, g in sources])
        pre.step()

    def contenders() -> dict[str, Contender]:
        def alone() -> Any:
            with torch.no_grad():
                torch._foreach_copy_([p for p, _ in sources], [g for _, g in sources])
            return engine.step(gradients)

        return {"engine": alone}

    return Case(ours, contenders)


def _row(width: int, bar: Bar | None, note: str) -> Work:
    name = f"step through PyTorch, {LAYERS} layers"
    return Work(name, "float32", f"{width}x{width}", lambda _: _steps(width), bar, note=note)


ADDED = Bar("time", 1.0, ("engine",), allowance_ms=ALLOWED * LAYERS)
WORKS = [
    _row(16, ADDED, "on top of the engine's step: at most 20 us a layer"),
    _row(64, ADDED, "on top of the engine's step: at most 20 us a layer"),
    _row(256, None, "13 MB of directions are written into the gradients, which the engine alone does not do"),
]
