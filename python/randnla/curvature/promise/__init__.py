# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Preconditioners from the Hessian of a sample of the data: what they are given, what they hold."""
