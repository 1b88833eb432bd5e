# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of layers, (weight, bias) or weight, as flat mappings of arrays and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from randnla._backend.errors import InputError
from randnla._backend.namespace import to_host

from .protocols import Array, Parameters


def leaves(tree: Parameters, name: str = "w") -> dict[str, Array]:
    """The arrays of all layers, under the layer's name and their number.

    Raises
    ------
    InputError
        It is no mapping to arrays of numbers, or to tuples or lists of them.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"{name}: expected a mapping from layers to arrays, got {type(tree).__name__}")
    flat = {}
    for layer, value in tree.items():
        for i, part in enumerate(_parts(value)):
            array = to_host(part, name=f"{name}[{layer!r}]")
            if array.dtype.kind not in "fciub":
                raise InputError(f"{name}[{layer!r}]: expected numbers, got {array.dtype}")
            flat[f"{layer}.{i}"] = array
    return flat


def rebuilt(tree: Parameters, flat: dict[str, Array]) -> dict[str, Any]:
    """Flat arrays in the structure of a tree, and in its dtypes unless those are of integers."""
    made: dict[str, Any] = {}
    for name, value in tree.items():
        new = [_like(flat[f"{name}.{i}"], part) for i, part in enumerate(_parts(value))]
        if isinstance(value, (tuple, list)):
            made[name] = new if isinstance(value, list) else tuple(new)
        else:
            made[name] = new[0]
    return made


def _parts(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)


def _like(array: Array, part: Any) -> Array:
    dtype = np.asarray(part).dtype
    return array.astype(dtype, copy=False) if np.can_cast(array.dtype, dtype, "same_kind") else array


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


def shapes_of(parts: dict[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shapes of all parts."""
    return {name: array.shape for name, array in parts.items()}


def require_shapes(parts: dict[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Parameters w have the names and shapes of before.

    Raises
    ------
    InputError
    """
    if parts.keys() != shapes.keys():
        raise InputError(f"w: expected the arrays {sorted(shapes)} as before, got {sorted(parts)}")
    for key, shape in shapes.items():
        if parts[key].shape != shape:
            raise InputError(f"w: expected shape {shape} of {key} as before, got {parts[key].shape}")
