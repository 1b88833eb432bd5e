# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Networks in plain NumPy: outputs, gradients with what curvature needs of layers, and tangents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.curvature import Conv2d, Dense

from .steps import Affine, Convolve, Flatten, Pointwise, Step

Array = npt.NDArray[Any]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A forward pass.

    Attributes
    ----------
    outputs : (n, k) array
    parameters : mapping
        With which it was made.
    saved : tuple
        The input of every step of the network.
    """

    outputs: Array
    parameters: Parameters
    saved: tuple[Array, ...]


@dataclass(frozen=True)
class Backward:
    """A backward pass.

    Attributes
    ----------
    gradients : dict {name: (weight, bias) or weight}
        Of the mean loss over the samples, in the structure of the parameters.
    statistics : dict {name: (a, g)}
        Inputs of each layer, and gradients of the summed loss in its outputs: what
        `randnla.curvature.KFAC.accumulate` takes.
    """

    gradients: dict[str, Any]
    statistics: dict[str, tuple[Array, Array]]


class Network:
    """Steps one after the other, some of which have parameters; `MLP` and `CNN` make them.

    Parameters
    ----------
    steps : sequence
    shape : tuple of int
        Of one sample of the input.
    dtype : float32 or float64
    rng : None, int or Generator
        Of the weights: normal, of variance `gain` over the numbers that an output sums; biases are 0.
    gain : float

    Attributes
    ----------
    layers : dict {name: Dense or Conv2d}
        Of those with parameters.
    parameters : dict {name: (weight, bias) or weight}
        Dense weights are (outputs, inputs), those of convolutions (outputs, channels, height, width).
    dtype
    """

    def __init__(
        self, steps: Sequence[Step], shape: tuple[int, ...], *, dtype: Any, rng: Any, gain: float = 1.0
    ) -> None:
        self.dtype = validate.map_dtype(dtype)
        self._steps, self._shape = tuple(steps), shape
        self.layers: dict[str, Dense | Conv2d] = {
            step.name: step.layer for step in steps if isinstance(step, (Affine, Convolve))
        }
        generator = np.random.default_rng(rng)
        self.parameters: dict[str, Any] = {
            name: self._drawn(layer, gain, generator) for name, layer in self.layers.items()
        }

    def _drawn(self, layer: Dense | Conv2d, gain: float, rng: np.random.Generator) -> Any:
        if isinstance(layer, Dense):
            shape: tuple[int, ...] = (layer.outputs, layer.inputs)
        else:
            shape = (layer.outputs, layer.channels, *layer.kernel)
        weight = rng.standard_normal(shape) * math.sqrt(gain / math.prod(shape[1:]))
        made = weight.astype(self.dtype)
        return (made, np.zeros(layer.outputs, self.dtype)) if layer.bias else made

    def forward(self, x: Any, parameters: Parameters | None = None) -> Run:
        """Outputs for a batch.

        Parameters
        ----------
        x : array, shape (n, ...)
        parameters : mapping, optional
            Instead of the network's own.

        Raises
        ------
        InputError
            The shape of x does not fit.
        """
        given = validate.as_array(x, name="x", ndim=1 + len(self._shape))
        if given.shape[1:] != self._shape or len(given) == 0:
            raise InputError(f"x: expected shape (n, {', '.join(map(str, self._shape))}), got {given.shape}")
        known = self.parameters if parameters is None else parameters
        value, saved = given.astype(self.dtype, copy=False), []
        for step in self._steps:
            saved.append(value)
            value = step.forward(known, value)
        return Run(value, known, tuple(saved))

    def backward(self, run: Run, slopes: Any) -> Backward:
        """Gradients, and what curvature needs of each layer.

        Parameters
        ----------
        run : Run
        slopes : array, shape (n, k)
            Gradients of the summed loss in the outputs, as `slopes` of a loss.

        Raises
        ------
        InputError
            The shape of the slopes is not that of the outputs.
        """
        g = validate.as_matrix(slopes, name="slopes").astype(self.dtype, copy=False)
        if g.shape != run.outputs.shape:
            raise InputError(f"slopes: expected shape {run.outputs.shape} as outputs have, got {g.shape}")
        gradients, statistics = {}, {}
        for step, x in zip(reversed(self._steps), reversed(run.saved), strict=True):
            if isinstance(step, (Affine, Convolve)):
                gradients[step.name] = step.gradient(x, g / len(g))
                statistics[step.name] = x, g
            g = step.backward(run.parameters, x, g)
        names = list(self.layers)
        return Backward({n: gradients[n] for n in names}, {n: statistics[n] for n in names})

    def jvp(self, run: Run, tangents: Parameters) -> Array:
        """Derivative of the outputs along a change of parameters, (n, k).

        Parameters
        ----------
        run : Run
        tangents : mapping {name: (weight, bias) or weight}
            Layers may be left out: they do not change.

        Raises
        ------
        InputError
            There is no such layer.
        """
        unknown = set(tangents) - set(self.layers)
        if unknown:
            raise InputError(f"tangents: expected names among {list(self.layers)}, got {sorted(unknown)}")
        moved = np.zeros_like(run.saved[0])
        for step, x in zip(self._steps, run.saved, strict=True):
            moved = step.tangent(run.parameters, tangents, x, moved)
        return moved


class MLP(Network):
    """Dense layers with an activation between them.

    Parameters
    ----------
    sizes : sequence of int
        Of the input, of the hidden layers, of the output.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "tanh"
    bias : bool, default True
    dtype : float32 or float64, default float64
    rng : None, int or Generator
        Of the weights.

    Attributes
    ----------
    layers : dict {"dense0": Dense, "dense1": Dense, ...}
    parameters : dict {name: (weight, bias) or weight}

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Cost*: a backward pass of three products of (n, d_in) by (d_in, d_out) a layer; nothing is saved.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.testing import MLP, SquaredError
    >>> network, loss = MLP([3, 5, 2], rng=0), SquaredError()
    >>> run = network.forward(np.ones((4, 3)))
    >>> back = network.backward(run, loss.slopes(run.outputs, np.zeros((4, 2))))
    >>> weight, bias = back.gradients["dense1"]
    >>> a, g = back.statistics["dense1"]
    >>> weight.shape, bool(np.allclose(weight, g.T @ a / 4))
    ((2, 5), True)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "tanh",
        *,
        bias: bool = True,
        dtype: Any = np.float64,
        rng: Any = None,
    ) -> None:
        widths = [validate.integer(size, name="sizes", low=1) for size in sizes]
        if len(widths) < 2:
            raise InputError(f"sizes: expected at least two, of input and output, got {list(sizes)}")
        steps = dense_steps(widths, activation, bias=bias)
        super().__init__(steps, (widths[0],), dtype=dtype, rng=rng, gain=_gain(activation))


class CNN(Network):
    """Convolutions with an activation behind each, then dense layers.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of the input.
    outputs : int
    channels : sequence of int, default (8, 16)
        Of the convolutions.
    hidden : sequence of int, default ()
        Sizes of dense layers before the last.
    kernel : int, default 3
        Odd; images are padded by half of it.
    stride : int, default 2
        Of every convolution.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "relu"
    sharing : {"expand", "reduce"}, default "expand"
        Of the layers that curvature is told of.
    bias : bool, default True
    dtype : float32 or float64, default float64
    rng : None, int or Generator
        Of the weights.

    Attributes
    ----------
    layers : dict {"conv0": Conv2d, ..., "dense0": Dense, ...}
    parameters : dict {name: (weight, bias) or weight}

    Raises
    ------
    InputError
        An argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.testing import CNN
    >>> network = CNN((1, 8, 8), 10, channels=(4,), rng=0)
    >>> network.forward(np.ones((2, 1, 8, 8))).outputs.shape
    (2, 10)
    >>> {name: layer.shape for name, layer in network.layers.items()}
    {'conv0': (4, 10), 'dense0': (10, 65)}
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        *,
        channels: Sequence[int] = (8, 16),
        hidden: Sequence[int] = (),
        kernel: int = 3,
        stride: int = 2,
        activation: str = "relu",
        sharing: str = "expand",
        bias: bool = True,
        dtype: Any = np.float64,
        rng: Any = None,
    ) -> None:
        if len(shape) != 3:
            raise InputError(f"shape: expected (channels, height, width), got {validate.shown(shape)}")
        depth, *sizes = (validate.integer(size, name="shape", low=1) for size in shape)
        if validate.integer(kernel, name="kernel", low=1) % 2 == 0:
            raise InputError(f"kernel: expected an odd number, got {kernel}")
        validate.integer(stride, name="stride", low=1)
        steps: list[Step] = []
        for i, wide in enumerate(channels):
            layer = Conv2d(depth, wide, kernel, stride, kernel // 2, bias=bias, sharing=sharing)
            steps += [Convolve(f"conv{i}", layer), Pointwise(activation)]
            depth, sizes = wide, [(size - 1) // stride + 1 for size in sizes]
        steps.append(Flatten())
        widths = [depth * sizes[0] * sizes[1], *hidden, validate.integer(outputs, name="outputs", low=1)]
        steps += dense_steps(widths, activation, bias=bias)
        super().__init__(steps, tuple(shape), dtype=dtype, rng=rng, gain=_gain(activation))


def dense_steps(widths: Sequence[int], activation: str, *, bias: bool) -> list[Step]:
    """Dense layers of these widths with an activation between them."""
    steps: list[Step] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        steps += [Affine(f"dense{i}", Dense(inputs, outputs, bias)), Pointwise(activation)]
    return steps[:-1]


def _gain(activation: str) -> float:
    # Half of what enters a rectifier leaves it: He and others (2015).
    return 2.0 if activation == "relu" else 1.0
