# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning by magnitude, by the diagonal of the Fisher matrix, and by M-FAC."""
