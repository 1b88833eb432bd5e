# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Generalized linear models: losses, gradients and Hessian roots of batches, a file a model."""
