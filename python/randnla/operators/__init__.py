# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Matrices as the algorithms see them: something with a shape that multiplies blocks of columns."""

from randnla.operators.base import LinearOperator
from randnla.operators.convert import as_operator, dense_entries, is_foreign
from randnla.operators.damped_kronecker import DampedKronecker
from randnla.operators.dense import Dense
from randnla.operators.diagonal import Diagonal
from randnla.operators.entries import EntryOperator
from randnla.operators.kernel import KernelMatrix
from randnla.operators.kronecker import Kronecker, KroneckerSum
from randnla.operators.lowrank import DiagonalPlusLowRank, LowRank
from randnla.operators.masked import Masked
from randnla.operators.row_stream import RowStream
from randnla.operators.sparse import Sparse
from randnla.operators.structured import Structured
from randnla.operators.two_term import TwoTermKronecker
from randnla.operators.wrapped import Wrapped

__all__ = [
    "DampedKronecker",
    "Dense",
    "Diagonal",
    "DiagonalPlusLowRank",
    "EntryOperator",
    "KernelMatrix",
    "Kronecker",
    "KroneckerSum",
    "LinearOperator",
    "LowRank",
    "Masked",
    "RowStream",
    "Sparse",
    "Structured",
    "TwoTermKronecker",
    "Wrapped",
    "as_operator",
    "dense_entries",
    "is_foreign",
]
