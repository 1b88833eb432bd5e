# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every kernel in plain NumPy, with the names and signatures of ``kernels``: the oracle of the tests."""
