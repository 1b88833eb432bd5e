# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares and linear systems, solved to a backward error that is estimated and reported."""

from randnla._backend.results import SolveResult

__all__ = ["SolveResult"]
