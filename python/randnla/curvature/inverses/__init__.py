# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Damped inverses of averaged factors: what they hold, and how a refresh makes them."""
