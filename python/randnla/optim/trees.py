# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of layers, (weight, bias) or weight, as flat mappings of arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend.errors import InputError

from .protocols import Array, Parameters


def leaves(tree: Parameters) -> dict[str, Array]:
    """The arrays of all layers, under the layer's name and their number."""
    return {
        f"{name}.{i}": np.asarray(part)
        for name, value in tree.items()
        for i, part in enumerate(value if isinstance(value, tuple) else (value,))
    }


def rebuilt(tree: Parameters, flat: dict[str, Array]) -> dict[str, Any]:
    """Flat arrays in the structure and the dtypes of a tree."""
    made: dict[str, Any] = {}
    for name, value in tree.items():
        parts = value if isinstance(value, tuple) else (value,)
        new = tuple(
            flat[f"{name}.{i}"].astype(np.asarray(part).dtype, copy=False) for i, part in enumerate(parts)
        )
        made[name] = new if isinstance(value, tuple) else new[0]
    return made


def require_alike(given: dict[str, Array], like: dict[str, Array], name: str) -> None:
    """Both have the same layers, parts and shapes.

    Raises
    ------
    InputError
    """
    if given.keys() != like.keys():
        raise InputError(f"{name}: expected the arrays {sorted(like)} of w, got {sorted(given)}")
    for key, array in like.items():
        if given[key].shape != array.shape:
            raise InputError(f"{name}: expected shape {array.shape} of {key} as in w, got {given[key].shape}")
