# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The rows of the ratio table, one file a room."""

from . import (
    batched,
    curvature,
    dispatch,
    estimate,
    fixed_point,
    generator,
    interpolative,
    jax_adapter,
    kernels,
    kfac,
    linear_systems,
    lowrank,
    manifold,
    matrix_functions,
    mfac,
    mini_blocks,
    pruning,
    qr,
    recovery,
    robust,
    sampling_algebra,
    sketching_dense,
    sketching_sparse,
    sketching_trig,
    sketchy_sgd,
    solvers,
    structured,
    tensor,
    torch_adapter,
)
from .base import Bar, Case, Work

ROOMS = {
    "generator": generator.WORKS,
    "sketching_dense": sketching_dense.WORKS,
    "sketching_sparse": sketching_sparse.WORKS,
    "sketching_trig": sketching_trig.WORKS,
    "fixed_point": fixed_point.WORKS,
    "qr": qr.WORKS,
    "lowrank": lowrank.WORKS,
    "interpolative": interpolative.WORKS,
    "matrix_functions": matrix_functions.WORKS,
    "solvers": solvers.WORKS,
    "estimate": estimate.WORKS,
    "linear_systems": linear_systems.WORKS,
    "manifold": manifold.WORKS,
    "dispatch": dispatch.WORKS,
    "batched": batched.WORKS,
    "structured": structured.WORKS,
    "tensor": tensor.WORKS,
    "recovery": recovery.WORKS,
    "robust": robust.WORKS,
    "kernels": kernels.WORKS,
    "sampling_algebra": sampling_algebra.WORKS,
    "curvature": [
        *curvature.WORKS,
        *kfac.WORKS,
        *torch_adapter.WORKS,
        *mfac.WORKS,
        *pruning.WORKS,
        *sketchy_sgd.WORKS,
        *mini_blocks.WORKS,
    ],
    "jax": jax_adapter.WORKS,
}
WORKS = [work for room in ROOMS.values() for work in room]

__all__ = ["ROOMS", "WORKS", "Bar", "Case", "Work"]
