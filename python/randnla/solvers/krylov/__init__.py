# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Krylov spaces: recurrences that know one step, and solvers that repeat it to a certificate."""
