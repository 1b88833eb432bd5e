# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers for loops in plain NumPy."""

__all__: list[str] = []
