# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sketched Hessians of samples of the data: preconditioners, and the methods that step by them."""
