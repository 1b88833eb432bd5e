# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How the entries of a gradient are divided into blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from randnla._backend import namespace, validate
from randnla._backend.errors import InputError
from randnla._backend.kernels.dense import Array

from ..rows import cast, like
from ..workspace import Workspace


@dataclass(frozen=True)
class Blocks:
    """Blocks of one order, which a gradient gives as a matrix (count, order), one a row.

    Attributes
    ----------
    count, order : int
    shared : bool
        They are all one matrix: the mean of theirs.
    """

    count: int
    order: int
    shared: bool = False


_KERNEL = 64  # entries of the largest kernel that is a block


class Partition(Protocol):
    """What `MiniBlockFisher` asks of the parameters that go by one name."""

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """Of every order that occurs; none where every entry is on its own."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the arrays of a gradient, each up to a refinement."""

    def split(self, parts: Sequence[Array], workspace: Workspace, dtype: Any) -> list[Array]:
        """A matrix for each of `blocks`, on the memory of the gradient where that is possible."""

    def joined(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """The reverse of `split`, on the memory of the matrices where that is possible."""


def parts_of(gradient: Any, partition: Partition, name: str) -> tuple[Array, ...]:
    """The arrays of a gradient on the host, of the sizes of a partition.

    Raises
    ------
    InputError
    """
    given = gradient if isinstance(gradient, (tuple, list)) else (gradient,)
    if len(given) != len(partition.shapes):
        raise InputError(f"{name}: expected {len(partition.shapes)} arrays, got {len(given)}")
    arrays = tuple(namespace.to_host(array, name=name) for array in given)
    for array, shape in zip(arrays, partition.shapes, strict=True):
        if array.size != math.prod(shape) or array.dtype.kind not in "fiub":
            raise InputError(
                f"{name}: expected real numbers of shape {shape} or a refinement of it, got {array.dtype} "
                f"{array.shape}"
            )
    return arrays


def _matrix(array: Array, shape: tuple[int, int], workspace: Workspace, dtype: Any) -> Array:
    """An array as a C-contiguous matrix of a dtype, on its own memory where it can."""
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array.reshape(shape)
    out = workspace.take("matrix", shape, dtype)
    cast(out.reshape(array.shape), array)
    return out


@dataclass(frozen=True)
class ConvBlocks:
    """A block for every pair of an output and an input channel of a convolution: the entries of its kernel.

    Parameters
    ----------
    outputs, channels : int
        The two leading axes of the weight; `channels` are those of a group.
    kernel : int or tuple of int
        The other axes.

    Notes
    -----
    A gradient is that of the weight, (outputs, channels, ...). The bias is a parameter of its own.

    Examples
    --------
    >>> from randnla.curvature import ConvBlocks
    >>> ConvBlocks(64, 3, (3, 3)).blocks
    (Blocks(count=192, order=9, shared=False),)
    """

    outputs: int
    channels: int
    kernel: Any

    def __post_init__(self) -> None:
        validate.integer(self.outputs, name="outputs", low=1)
        validate.integer(self.channels, name="channels", low=1)
        kernel = self.kernel if isinstance(self.kernel, (tuple, list)) else (self.kernel,)
        sides = tuple(validate.integer(side, name="kernel", low=1) for side in kernel)
        object.__setattr__(self, "kernel", sides)

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """One a pair of channels."""
        return (Blocks(self.outputs * self.channels, math.prod(self.kernel)),)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the weight."""
        return ((self.outputs, self.channels, *self.kernel),)

    def split(self, parts: Sequence[Array], workspace: Workspace, dtype: Any) -> list[Array]:
        """A row for each pair of channels."""
        (blocks,) = self.blocks
        return [_matrix(parts[0], (blocks.count, blocks.order), workspace, dtype)]

    def joined(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """The weight."""
        return (matrices[0].reshape(self.shapes[0]),)


@dataclass(frozen=True)
class NeuronBlocks:
    """A block for every output of a dense layer: the weights that lead to it, and its bias.

    Parameters
    ----------
    outputs, inputs : int
    bias : bool, default True
        A gradient is then a pair, the weight's (outputs, inputs) and the bias's (outputs,).
    shared : bool, default True
        All outputs have one matrix, the mean of theirs: inputs + bias squared numbers. Otherwise there are
        as many as outputs.

    Examples
    --------
    >>> from randnla.curvature import NeuronBlocks
    >>> NeuronBlocks(10, 784).blocks
    (Blocks(count=10, order=785, shared=True),)
    """

    outputs: int
    inputs: int
    bias: bool = True
    shared: bool = True

    def __post_init__(self) -> None:
        validate.integer(self.outputs, name="outputs", low=1)
        validate.integer(self.inputs, name="inputs", low=1)
        validate.flag(self.bias, name="bias")
        validate.flag(self.shared, name="shared")

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """One an output."""
        return (Blocks(self.outputs, self.inputs + self.bias, self.shared),)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the weight, and of the bias."""
        weight: tuple[int, ...] = (self.outputs, self.inputs)
        return (weight, (self.outputs,)) if self.bias else (weight,)

    def split(self, parts: Sequence[Array], workspace: Workspace, dtype: Any) -> list[Array]:
        """A row for each output, the bias last."""
        if not self.bias:
            return [_matrix(parts[0], (self.outputs, self.inputs), workspace, dtype)]
        out = workspace.take("matrix", (self.outputs, self.inputs + 1), dtype)
        cast(out[:, :-1].reshape(parts[0].shape), parts[0])
        cast(out[:, -1], parts[1].reshape(-1))
        return [out]

    def joined(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """The weight, and the bias."""
        (whole,) = matrices
        return (whole[:, :-1], whole[:, -1]) if self.bias else (whole,)


@dataclass(frozen=True)
class RaggedBlocks:
    """Blocks of any sizes, along the entries of a gradient one after the other.

    Parameters
    ----------
    sizes : sequence of int
        Positive; they add up to the entries of the gradient.
    permutation : sequence of int, optional
        Entry ``permutation[k]`` of the flat gradient is the k-th to be given to a block.

    Notes
    -----
    Blocks of one size are computed with together.

    Examples
    --------
    >>> from randnla.curvature import RaggedBlocks
    >>> RaggedBlocks([2, 3, 2]).blocks
    (Blocks(count=2, order=2, shared=False), Blocks(count=1, order=3, shared=False))
    """

    sizes: Sequence[int]
    permutation: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        sizes = tuple(validate.integer(size, name="sizes", low=1) for size in self.sizes)
        if not sizes:
            raise InputError("sizes: expected at least one block, got none")
        object.__setattr__(self, "sizes", sizes)
        if self.permutation is not None:
            total = sum(sizes)
            order = validate.indices(self.permutation, total, name="permutation")
            if order.size != total or np.unique(order).size != total:
                raise InputError(f"permutation: expected every index below {total} once")
            object.__setattr__(self, "permutation", order)

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """In the order in which sizes first occur."""
        return tuple(Blocks(len(index), index.shape[1]) for index in self._indices)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the flat gradient."""
        return ((sum(self.sizes),),)

    @cached_property
    def _indices(self) -> tuple[Array, ...]:
        """Entries of the flat gradient (count, order), for every order."""
        where = np.arange(sum(self.sizes)) if self.permutation is None else self.permutation
        starts = np.cumsum((0, *self.sizes[:-1]))
        made = []
        for size in dict.fromkeys(self.sizes):
            firsts = starts[np.asarray(self.sizes) == size]
            made.append(where[firsts[:, None] + np.arange(size)])
        return tuple(made)

    def split(self, parts: Sequence[Array], workspace: Workspace, dtype: Any) -> list[Array]:
        """A matrix for every size."""
        if len(self._indices) == 1 and self.permutation is None:
            return [_matrix(parts[0], self._indices[0].shape, workspace, dtype)]
        flat = _matrix(parts[0], (1, parts[0].size), workspace, dtype)[0]
        matrices = []
        for number, index in enumerate(self._indices):
            out = workspace.take(f"blocks {number}", index.shape, dtype)
            matrices.append(np.take(flat, index, out=out, mode="clip"))  # "raise" would buffer
        return matrices

    def joined(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """The flat gradient."""
        if len(matrices) == 1 and self.permutation is None:
            return (matrices[0].reshape(-1),)
        flat = np.empty(sum(self.sizes), matrices[0].dtype)
        for index, matrix in zip(self._indices, matrices, strict=True):
            flat[index] = matrix
        return (flat,)


@dataclass(frozen=True)
class Elementwise:
    """Every entry on its own, by Adam's rule: for biases, normalizations and whatever has no blocks.

    Parameters
    ----------
    size : int
        Entries.
    ema : float in [0, 1), default 0.999
        Weight of the past in the average of squares.
    eps : float, default 1e-8
        Added to their root.

    Notes
    -----
    *Algorithm*: Kingma and Ba (2015).

    Examples
    --------
    >>> from randnla.curvature import Elementwise
    >>> Elementwise(64).blocks
    ()
    """

    size: int
    ema: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        validate.integer(self.size, name="size", low=1)
        object.__setattr__(self, "ema", validate.real(self.ema, name="ema", low=0.0, high=1.0))
        object.__setattr__(self, "eps", validate.real(self.eps, name="eps", low=0.0))
        if self.ema == 1.0:
            raise InputError("ema: expected a number in [0, 1), got 1.0")

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """None."""
        return ()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the flat gradient."""
        return ((self.size,),)

    def split(self, parts: Sequence[Array], workspace: Workspace, dtype: Any) -> list[Array]:
        """One row."""
        return [_matrix(parts[0], (1, self.size), workspace, dtype)]

    def joined(self, matrices: Sequence[Array]) -> tuple[Array, ...]:
        """The flat gradient."""
        return (matrices[0].reshape(-1),)


def default_partition(
    shapes: Mapping[str, tuple[int, ...]],
    biases: Mapping[str, str],
    *,
    largest: int = 2048,
    shared: bool = True,
) -> dict[tuple[str, ...], Partition]:
    """Partitions of parameters by their shapes, outputs on the first axis.

    Parameters
    ----------
    shapes : mapping {name: shape}
    biases : mapping {name of a weight: name of its bias}
        Those that do not fit a dense weight are parameters of their own.
    largest : int
        Order of the largest shared matrix.
    shared : bool
        As of `NeuronBlocks`.

    Returns
    -------
    dict {(name,) or (weight, bias): partition}
        Convolutions have a block a pair of channels, dense weights and convolutions of one entry or of more
        than 64 a block a neuron; all else, and what is wider than `largest`, is elementwise.
    """
    made: dict[tuple[str, ...], Partition] = {}
    taken: set[str] = set()
    for name, shape in shapes.items():
        if name in taken:
            continue
        entries = math.prod(shape[2:])
        if len(shape) > 2 and 1 < entries <= _KERNEL:
            made[(name,)] = ConvBlocks(shape[0], shape[1], shape[2:])
            continue
        bias = biases.get(name)
        joined = bias is not None and shapes.get(bias) == shape[:1] and bias not in taken
        inputs = math.prod(shape[1:])
        if len(shape) < 2 or inputs + joined > largest:
            made[(name,)] = Elementwise(max(1, math.prod(shape)))
            continue
        names = (name, bias) if joined and bias is not None else (name,)
        taken.update(names)
        # A bias that came first has been made elementwise by then.
        for other in names[1:]:
            made.pop((other,), None)
        made[names] = NeuronBlocks(shape[0], inputs, bias=len(names) == 2, shared=shared)
    return made


def structured(made: tuple[Array, ...], gradient: Any) -> Any:
    """Arrays as a gradient comes: several, or one."""
    return made if isinstance(gradient, (tuple, list)) else made[0]


def alike(made: tuple[Array, ...], gradient: Any) -> Any:
    """Arrays of their own in the structure, shapes, dtypes and kind of a gradient."""
    given = gradient if isinstance(gradient, (tuple, list)) else (gradient,)
    return structured(
        tuple(like(np.array(part), model) for part, model in zip(made, given, strict=True)), gradient
    )
