# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioners from low-rank approximations: factored once, applied at every shift."""
