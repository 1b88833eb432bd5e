# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Arrays, mappings and lists of arrays as one vector, and stacks of their gradients as rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

_ANY = tuple(range(33))
# Products of weights with the diagonal of the Fisher matrix stay in range.
_LARGEST = {"f": 1e15, "d": 1e140}


@dataclass(frozen=True)
class Part:
    """One array: its name in messages and its key, its shape, where it lies in the vector, and its kind."""

    name: str
    key: str
    shape: tuple[int, ...]
    place: slice
    kind: namespace.Kind


@dataclass(frozen=True)
class Layout:
    """How a structure is one vector.

    Attributes
    ----------
    form : {"array", "mapping", "list", "tuple"}
    keys : tuple
        Of the mapping, or places in the list.
    parts : tuple of Part
        In their order.
    dtype : float32 or float64
        Of the vector.
    """

    form: str
    keys: tuple[Any, ...]
    parts: tuple[Part, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return sum(math.prod(part.shape) for part in self.parts)

    def split(self, vector: Array) -> Any:
        """New arrays in the structure and of the kinds that came in."""
        made = [
            namespace.restore(part.kind, vector[part.place].reshape(part.shape).copy()) for part in self.parts
        ]
        if self.form == "array":
            return made[0]
        if self.form == "mapping":
            return dict(zip(self.keys, made, strict=True))
        return made if self.form == "list" else tuple(made)

    def join(self, given: Any, name: str) -> list[Any]:
        """The entries of a structure like this one, in its order.

        Raises
        ------
        InputError
            Another structure.
        """
        if self.form == "array":
            return [given]
        if self.form == "mapping":
            if not isinstance(given, Mapping) or set(given) != set(self.keys):
                shown = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
                raise InputError(
                    f"{name}: expected a mapping with the keys {[*self.keys]} of weights, got {shown}"
                )
            return [given[key] for key in self.keys]
        if not isinstance(given, list | tuple) or len(given) != len(self.parts):
            found = str(len(given)) if isinstance(given, list | tuple) else type(given).__name__
            raise InputError(f"{name}: expected {len(self.parts)} arrays as in weights, got {found}")
        return list(given)

    def vector(self, given: Any, name: str) -> Array:
        """A structure of host arrays of these shapes as a vector of their common dtype, unchecked."""
        pieces = []
        for part, value in zip(self.parts, self.join(given, name), strict=True):
            array = namespace.to_host(value, name=name)
            if array.shape != part.shape:
                raise InputError(f"{name}: expected shape {part.shape} as {part.name}, got {array.shape}")
            pieces.append(array.reshape(-1))
        return np.concatenate(pieces)

    def flags(self, given: Any, name: str) -> Array:
        """A structure of bools, or of numbers 0 and 1, as a vector of bools."""
        flags = self.vector(given, name)
        if flags.dtype != bool:
            if flags.dtype.kind not in "iuf" or not np.isin(flags, (0, 1)).all():
                raise InputError(f"{name}: expected bools, or the numbers 0 and 1, got {flags.dtype}")
            flags = flags == 1
        return flags

    def rows(self, given: Any, name: str) -> Array:
        """Gradients as an (m, size) array of the dtype of the vector, a row contiguous.

        Parameters
        ----------
        given : array, structure or iterable
            An array (m, size) or, for one array of weights, (m, *shape); a structure like that of the weights
            with a leading axis of m; or an iterable of single gradients, vectors or structures.

        Raises
        ------
        InputError, NonFiniteError
        """
        stack = self._stack(given, name)
        if stack is None:
            if not isinstance(given, Iterable):
                wanted = "an array, an iterable or a callable"
                raise InputError(f"{name}: expected {wanted}, got {type(given).__name__}")
            singles = [self._one(item, name) for item in given]
            if not singles:
                raise InputError(f"{name}: expected at least one gradient, got none")
            stack = np.stack(singles)
        if len(stack) == 0:
            raise InputError(f"{name}: expected at least one gradient, got none")
        validate.require_finite(stack, name=name)
        largest = max(-float(stack.min()), float(stack.max()))
        if largest > _LARGEST[self.dtype.char]:
            limit = f"{_LARGEST[self.dtype.char]:g} in {self.dtype}"
            raise InputError(f"{name}: expected magnitudes of at most {limit}, got {largest:.3g}")
        return np.ascontiguousarray(stack)

    def _stack(self, given: Any, name: str) -> Array | None:
        """The rows of arrays with a leading axis, or None if `given` is none of them."""
        if isinstance(given, Mapping) and self.form == "mapping":
            arrays = self.join(given, name)
        elif self._is_like_list(given):
            arrays = list(given)
        elif hasattr(given, "shape") and len(given.shape) >= 1:
            array = self._numbers(given, name)
            shapes = {(self.size,), self.parts[0].shape if self.form == "array" else (self.size,)}
            if array.shape[1:] not in shapes:
                wanted = " or ".join(f"(m, {', '.join(map(str, shape))})" for shape in sorted(shapes))
                raise InputError(f"{name}: expected shape {wanted}, got {array.shape}")
            return array.reshape(len(array), self.size)
        else:
            return None
        pieces = []
        for part, value in zip(self.parts, arrays, strict=True):
            array = self._numbers(value, name)
            if array.shape[1:] != part.shape or len(array) != len(arrays[0]):
                raise InputError(
                    f"{name}: expected shape ({len(arrays[0])}, *{part.shape}) for {part.name}, got "
                    f"{array.shape}"
                )
            pieces.append(array.reshape(len(array), -1))
        return np.concatenate(pieces, axis=1)

    def _is_like_list(self, given: Any) -> bool:
        """A list of stacks, not of single gradients."""
        if self.form not in ("list", "tuple") or not isinstance(given, list | tuple):
            return False
        if len(given) != len(self.parts):
            return False
        return all(
            tuple(getattr(value, "shape", ()))[1:] == part.shape and len(getattr(value, "shape", ())) >= 1
            for part, value in zip(self.parts, given, strict=True)
        )

    def _one(self, given: Any, name: str) -> Array:
        """A single gradient as a vector."""
        if hasattr(given, "shape") and tuple(given.shape) == (self.size,):
            return self._numbers(given, name)
        pieces = []
        for part, value in zip(self.parts, self.join(given, name), strict=True):
            array = self._numbers(value, name)
            if array.shape != part.shape and not (self.form == "array" and array.shape == (self.size,)):
                raise InputError(f"{name}: expected shape {part.shape} as {part.name}, got {array.shape}")
            pieces.append(array.reshape(-1))
        return np.concatenate(pieces)

    def _numbers(self, value: Any, name: str) -> Array:
        return validate.native(validate.as_array(value, name=name, ndim=_ANY), self.dtype, name=name)


def layout_of(weights: Any) -> tuple[Layout, Array]:
    """The layout of weights, and their vector, checked.

    Raises
    ------
    InputError, NonFiniteError
    """
    form, values, names = "array", [weights], ["weights"]
    keys: tuple[Any, ...] = (0,)
    if not _is_plain(weights):
        form = "mapping" if isinstance(weights, Mapping) else type(weights).__name__
        keys = tuple(weights) if form == "mapping" else tuple(range(len(weights)))
        values = [weights[key] for key in keys]
        names = [f"weights[{key!r}]" for key in keys]
    parts, pieces, start = [], [], 0
    for name, key, value in zip(names, keys, values, strict=True):
        array = validate.as_array(value, name=name, ndim=_ANY)
        if array.dtype.kind == "c":
            raise InputError(f"{name}: expected real numbers, got {array.dtype}")
        validate.require_finite(array if array.ndim else array.reshape(1), name=name)
        place = slice(start, start + array.size)
        label = "weights" if form == "array" else str(key)
        parts.append(Part(name, label, array.shape, place, namespace.kind_of(value)))
        pieces.append(array.reshape(-1))
        start = place.stop
    if start == 0:
        raise InputError("weights: expected at least one weight, got none")
    vector = np.concatenate(pieces)
    return Layout(form, keys, tuple(parts), vector.dtype), vector


def _is_plain(weights: Any) -> bool:
    """One array, or numbers in a list."""
    if isinstance(weights, Mapping):
        return False
    return type(weights) not in (list, tuple) or not any(hasattr(item, "shape") for item in weights)
