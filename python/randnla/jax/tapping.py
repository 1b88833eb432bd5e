# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs of layers and gradients in their outputs, by zeros added to the outputs and differentiated in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, ScaleShift

from .losses import Loss, loss_of
from .sites import DIMENSIONS, Factors, Site, leaves_of

FISHER = ("mc", "empirical", "ggn")


class Tap:
    """What a model calls its layers through; made by `tap`, not by users.

    A layer that is called several times under one name is shared.
    """

    def __init__(self, shifts: Any = None, known: dict[int, str] | None = None) -> None:
        self._shifts = shifts
        self._known = known
        self.inputs: dict[str, list[Any]] = {}
        self.outputs: dict[str, list[Any]] = {}
        self.sites: dict[str, Site] = {}

    def dense(self, name: str, x: Any, kernel: Any, bias: Any = None, *, sharing: str = "expand") -> Any:
        """``x @ kernel + bias`` for x (samples, ..., inputs)."""
        inputs, outputs = map(int, kernel.shape)
        layer = Dense(inputs, outputs, bias=bias is not None, sharing=sharing)
        z = x @ kernel if bias is None else x @ kernel + bias
        return self.record(name, layer, x, z, weight=kernel, bias=bias)

    def conv(
        self,
        name: str,
        x: Any,
        kernel: Any,
        bias: Any = None,
        *,
        stride: Any = 1,
        padding: Any = "SAME",
        dilation: Any = 1,
        sharing: str = "expand",
    ) -> Any:
        """A convolution, channels last: x (samples, [rows,] columns, in), kernel ([rows,] columns, in, out).

        `padding` is "SAME", "VALID" or a pair of numbers for each axis.
        """
        axes = kernel.ndim - 2
        if axes not in DIMENSIONS:
            raise InputError(f"kernel: expected 3 or 4 axes, got shape {tuple(kernel.shape)}")
        kind = Conv1d if axes == 1 else Conv2d
        *window, channels, outputs = map(int, kernel.shape)
        layer = kind(
            channels, outputs, tuple(window), stride, 0, dilation, bias=bias is not None, sharing=sharing
        )
        wide = [(k - 1) * d + 1 for k, d in zip(layer.kernel, layer.dilation, strict=True)]
        margins = (
            lax.padtype_to_pads(x.shape[1:-1], wide, layer.stride, padding)
            if isinstance(padding, str)
            else [tuple(pair) for pair in padding]
        )
        z = lax.conv_general_dilated(
            x, kernel, layer.stride, margins, rhs_dilation=layer.dilation, dimension_numbers=DIMENSIONS[axes]
        )
        padded = jnp.pad(x, [(0, 0), *margins, (0, 0)])
        return self.record(name, layer, padded, z if bias is None else z + bias, weight=kernel, bias=bias)

    def embedding(self, name: str, indices: Any, table: Any) -> Any:
        """Rows of a table (size, dim) for integer indices (samples, ...)."""
        return self.record(name, Embedding(*map(int, table.shape)), indices, table[indices], weight=table)

    def scale_shift(self, name: str, x: Any, scale: Any = None, shift: Any = None) -> Any:
        """``scale * x + shift`` of normalized x (samples, ..., units), the affine part of a normalization."""
        layer = ScaleShift(int(x.shape[-1]), -1, scale=scale is not None, shift=shift is not None)
        z = x if scale is None else x * scale
        return self.record(name, layer, x, z if shift is None else z + shift, weight=scale, bias=shift)

    def record(self, name: str, layer: Any, a: Any, z: Any, *, weight: Any = None, bias: Any = None) -> Any:
        """Tap a layer that has been computed elsewhere, as by a module of flax or haiku.

        Parameters
        ----------
        name : str
        layer : Dense, Conv1d, Conv2d, Embedding or ScaleShift
            Of `randnla.curvature`.
        a : array (samples, ...)
            Its inputs, channels last; of convolutions with their margins of zeros.
        z : array (samples, ...)
            Its outputs.
        weight, bias : array or str
            The leaves of ``params`` it uses, or their paths, as "params/Dense_0/kernel".

        Returns
        -------
        array
            What the model is to go on with in the place of `z`.
        """
        if self._known is not None:
            site = Site(layer, *(self._path(name, leaf) for leaf in (weight, bias)))
            if self.sites.setdefault(name, site) != site:
                raise InputError(f"name: {name!r} was used for {self.sites[name]} before, and now for {site}")
        use = len(self.inputs.setdefault(name, []))
        self.inputs[name].append(a)
        self.outputs.setdefault(name, []).append(z)
        return z if self._shifts is None else z + self._shifts[name][use]

    def _path(self, name: str, leaf: Any) -> str | None:
        if leaf is None or isinstance(leaf, str):
            return leaf
        path = (self._known or {}).get(id(leaf))
        if path is None:
            raise InputError(
                f"{name}: expected arrays that are leaves of params, got one computed from them; record the "
                "layer with the path of the leaf"
            )
        return path


class TappedModel:
    """A model, a loss and a Fisher matrix as one function; made by `tap`."""

    def __init__(
        self,
        model: Callable[..., Any],
        loss: Loss | str,
        *,
        fisher: str = "mc",
        draws: int = 1,
        has_aux: bool = False,
    ) -> None:
        if not callable(model):
            raise InputError(f"model: expected a callable (params, inputs, tap), got {validate.shown(model)}")
        self.model, self.loss = model, loss_of(loss)
        self.fisher = validate.choice(fisher, FISHER, name="fisher")
        self.draws = validate.integer(draws, name="draws", low=1)
        self.has_aux = validate.flag(has_aux, name="has_aux")
        needed = {"mc": self.loss.sample, "ggn": self.loss.roots}.get(self.fisher, True)
        if needed is None:
            raise InputError(
                f"fisher: {self.fisher!r} needs a loss with {'sample' if fisher == 'mc' else 'roots'}"
            )

    def layers(self, params: Any, inputs: Any) -> dict[str, Site]:
        """The layers that the model taps, found by its shapes; nothing is computed."""
        found: dict[str, Site] = {}

        def trace(params: Any, inputs: Any) -> Any:
            known = {id(leaf): path for path, leaf in leaves_of(params).items()}
            tap = Tap(known=known)
            outputs = self.model(params, inputs, tap)
            found.update(tap.sites)
            return outputs

        jax.eval_shape(trace, params, inputs)
        if not found:
            raise InputError("model: expected at least one layer called through tap, got none")
        return found

    def __call__(
        self, params: Any, inputs: Any, targets: Any, key: Any = None
    ) -> tuple[Any, Any, dict[str, Factors]]:
        """The mean loss, its gradient, and what the curvature is made of; safe under jit, vmap and pmap.

        Parameters
        ----------
        params, inputs : pytrees
            As the model takes them.
        targets : array
        key : random key
            Of the sampled labels; asked for by "mc".

        Returns
        -------
        loss : scalar, or (scalar, aux) with ``has_aux``
        gradients : pytree as `params`
        factors : dict {name: (inputs, gradients)}
            For `kfac`: tuples with an array a use of the layer, gradients (draws, samples, ...) of the summed
            loss.

        Raises
        ------
        InputError
            The key is missing, or the outputs are not (samples, classes) where "ggn" needs that.
        """
        if self.fisher == "mc" and key is None:
            raise InputError("key: expected a random key, from which labels are drawn; got None")

        def run(params: Any, shifts: Any) -> tuple[Any, Any]:
            tap = Tap(shifts)
            made = self.model(params, inputs, tap)
            outputs, aux = made if self.has_aux else (made, None)
            return outputs, (tap.inputs, tap.outputs, aux)

        shapes = jax.eval_shape(lambda p: run(p, None)[1][1], params)
        zeros = jax.tree.map(lambda z: jnp.zeros(z.shape, z.dtype), shapes)
        outputs, pull, (a, _, aux) = jax.vjp(run, params, zeros, has_aux=True)
        count = outputs.shape[0]
        loss, slope = jax.value_and_grad(lambda z: self.loss.value(z, targets).sum() / count)(outputs)
        gradients, empirical = pull(slope)
        if self.fisher == "empirical":
            g = jax.tree.map(lambda y: y[None] * count, empirical)
        else:
            g = jax.vmap(lambda cotangent: pull(cotangent)[1])(self._cotangents(outputs, key))
        factors = {name: (tuple(a[name]), tuple(g[name])) for name in a}
        return ((loss, aux) if self.has_aux else loss), gradients, factors

    def _cotangents(self, outputs: Any, key: Any) -> Any:
        """Gradients in the outputs, (draws, samples, ...), whose outer products average to the curvature."""
        loss = self.loss
        if self.fisher == "mc" and loss.sample is not None:
            drawn = loss.sample
            slope = jax.grad(lambda z, y: loss.value(z, y).sum())
            keys = jax.random.split(key, self.draws)
            return jax.vmap(lambda k: slope(outputs, lax.stop_gradient(drawn(k, outputs))))(keys)
        if outputs.ndim != 2:
            raise InputError(f"fisher: 'ggn' takes outputs (samples, classes), got shape {outputs.shape}")
        assert loss.roots is not None
        roots = loss.roots(outputs)
        return roots * jnp.sqrt(jnp.asarray(len(roots), outputs.dtype))


def tap(
    model: Callable[..., Any],
    loss: Loss | str,
    *,
    fisher: str = "mc",
    draws: int = 1,
    has_aux: bool = False,
) -> TappedModel:
    """Make a model tell the inputs of its layers and the gradients in their outputs.

    Parameters
    ----------
    model : callable (params, inputs, tap) -> outputs
        A pure function that calls its layers as ``tap.dense(name, x, kernel, bias)``, ``tap.conv(name, x,
        kernel, bias, stride=, padding=, dilation=)``, ``tap.embedding(name, indices, table)``,
        ``tap.scale_shift(name, x, scale, shift)``; or tells of those of a framework by ``z =
        tap.record(name, layer, a, z, weight=path, bias=path)``.
    loss : Loss, "cross_entropy" or "squared_error"
        Cross entropy of logits and class indices or probabilities; half the squared distance.
    fisher : {"mc", "empirical", "ggn"}, default "mc"
        Gradients at labels drawn from the model, at those of the data, or from all columns of a root of the
        loss's Hessian: the generalized Gauss-Newton matrix, at the cost of that many backward passes.
    draws : int, default 1
        Labels drawn a sample.
    has_aux : bool, default False
        The model returns (outputs, anything).

    Returns
    -------
    TappedModel
        A function ``(params, inputs, targets, key) -> (loss, gradients, factors)``, with a method
        ``layers(params, inputs)`` that tells `kfac` what there is.

    Notes
    -----
    *Algorithm*: zeros are added to the outputs of the layers; the gradients in them are those in the outputs.
    The forward pass is shared by both backward passes, and what is not used is not computed under jit.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from randnla.jax import tap
    >>> def model(params, x, tap):
    ...     x = jnp.tanh(tap.dense("hidden", x, params["w"], params["b"]))
    ...     return tap.dense("out", x, params["v"])
    >>> params = {"w": jnp.ones((3, 4)), "b": jnp.zeros(4), "v": jnp.ones((4, 2))}
    >>> net = tap(model, "cross_entropy")
    >>> print(net.layers(params, jnp.ones((5, 3)))["hidden"].paths)
    ('w', 'b')
    >>> loss, gradients, factors = net(params, jnp.ones((5, 3)), jnp.zeros(5, int), jax.random.key(0))
    >>> (a,), (g,) = factors["hidden"]
    >>> a.shape, g.shape
    ((5, 3), (1, 5, 4))
    """
    return TappedModel(model, loss, fisher=fisher, draws=draws, has_aux=has_aux)
