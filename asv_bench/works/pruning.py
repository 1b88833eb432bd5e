# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""One step of pruning by M-FAC: saliencies, choice and update, against the same by hand in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla.curvature import prune

from .base import Case, Contender, Work

DAMPING, SPARSITY = 1e-3, 0.5


def _step(d: int, m: int, block: int) -> Case:
    rng = np.random.default_rng(0)
    w = rng.standard_normal(d, dtype=np.float32)
    G = rng.standard_normal((m, d), dtype=np.float32)
    options = {"steps": 1, "damping": DAMPING, "block": block}
    wanted = prune(w.astype(np.float64), G.astype(np.float64), SPARSITY, **options).update

    def ours() -> Any:
        return prune(w, G, SPARSITY, **options).update

    def contenders() -> dict[str, Contender]:
        import torch

        weights, rows = torch.from_numpy(w), torch.from_numpy(G)

        def by_hand() -> Any:
            parts = rows.reshape(m, d // block, block).permute(1, 2, 0)
            F = torch.bmm(parts, parts.transpose(1, 2)) / m
            F.diagonal(dim1=1, dim2=2).add_(DAMPING)
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(F))
            diagonal = inverse.diagonal(dim1=1, dim2=2).reshape(-1)
            gone = torch.topk(weights**2 / diagonal, int(SPARSITY * d), largest=False).indices
            x = torch.zeros(d)
            x[gone] = weights[gone] / diagonal[gone]
            update = -torch.bmm(inverse, x.reshape(-1, block, 1)).reshape(-1)
            update[gone] = -weights[gone]
            return update.numpy()

        return {"torch by hand": by_hand}

    def error(name: str, result: Any) -> float:
        return float(np.linalg.norm(result - wanted) / np.linalg.norm(wanted))

    return Case(ours, contenders, error)


def _row(d: int, m: int, block: int, note: str) -> Work:
    return Work(
        "pruning step", "float32", f"d={d}, m={m}, B={block}", lambda _: _step(d, m, block), note=note
    )


WORKS = [
    _row(65_536, 256, 64, "PyTorch sums in float32, we in float64"),
    _row(131_072, 256, 128, "PyTorch sums in float32, we in float64"),
]
