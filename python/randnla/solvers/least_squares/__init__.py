# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Least squares by sketches: components that know one step, composed by `lstsq`."""
