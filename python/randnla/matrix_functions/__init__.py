# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Functions of Hermitian matrices: times a vector, as roots, and under a low-rank change."""

from randnla.matrix_functions.apply import apply_function
from randnla.matrix_functions.results import FunctionResult, RootResult
from randnla.matrix_functions.roots import inverse_root, sqrt
from randnla.matrix_functions.update import sqrt_update, sqrt_update_rank
from randnla.matrix_functions.updated import SqrtUpdate

__all__ = [
    "FunctionResult",
    "RootResult",
    "SqrtUpdate",
    "apply_function",
    "inverse_root",
    "sqrt",
    "sqrt_update",
    "sqrt_update_rank",
]
