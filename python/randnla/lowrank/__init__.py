# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Low-rank approximation: bases of the range, singular and eigenvalue decompositions, PCA."""
