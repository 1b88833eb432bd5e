# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Where arrays are understood: namespaces, kernels, validation, random seeds, errors, results."""
