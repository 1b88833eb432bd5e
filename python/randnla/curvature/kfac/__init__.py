# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker-factored curvature: layers, the block of each, the engine and its variants."""
