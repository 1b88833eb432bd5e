# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which modules are covered, as which layers, and what their inputs are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from randnla._backend.errors import InputError
from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, ScaleShift

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BY_LAST_AXES = (nn.LayerNorm, nn.RMSNorm)
NORMALIZATIONS = (*BATCH_NORMS, *BY_LAST_AXES, nn.GroupNorm)


@dataclass(frozen=True)
class Slot:
    """A parameter, or the rows of it that belong to a layer."""

    parameter: nn.Parameter
    rows: slice | None = None

    @property
    def value(self) -> torch.Tensor:
        """A view of the parameter."""
        return self.parameter if self.rows is None else self.parameter[self.rows]

    @property
    def gradient(self) -> torch.Tensor | None:
        """A view of ``.grad``."""
        gradient = self.parameter.grad
        return gradient if gradient is None or self.rows is None else gradient[self.rows]


@dataclass(frozen=True)
class Covered:
    """A layer that is preconditioned.

    Attributes
    ----------
    name : str
        Of the module, for attention with the projection behind it.
    modules : tuple of Module
        Whose calls are uses of the layer; several where modules share their parameters.
    layer : layer of randnla.curvature
    slots : tuple of Slot
        Weight and bias, or the one there is.
    role : str
        Which projection of a `MultiheadAttention` it is: "q", "k", "v" or "out_proj"; else "".
    """

    name: str
    modules: tuple[nn.Module, ...]
    layer: Any
    slots: tuple[Slot, ...]
    role: str = ""

    def gradients(self) -> tuple[torch.Tensor | None, ...]:
        """Of the slots, None where one has none."""
        return tuple(slot.gradient for slot in self.slots)

    def values(self) -> tuple[torch.Tensor, ...]:
        """Of the slots."""
        return tuple(slot.value for slot in self.slots)

    def structured(self, parts: tuple[Any, ...]) -> Any:
        """The parts of all slots as the layer takes them."""
        return parts if len(parts) == 2 or isinstance(self.layer, ScaleShift) else parts[0]


@dataclass(frozen=True)
class Skipped:
    """A module, or a parameter, left to the optimizer, and why."""

    name: str
    kind: str
    shape: tuple[int, ...]
    why: str


def covered_by(
    model: nn.Module, skip: tuple[str, ...], *, sharing: str
) -> tuple[list[Covered], list[Skipped]]:
    """All modules with parameters of their own, covered or skipped.

    Raises
    ------
    InputError
        A name in `skip` is not that of a module.
    """
    covered: list[Covered] = []
    skipped: list[Skipped] = []
    unmatched, inside_attention = set(skip), set()
    for raw, module in model.named_modules():
        name = _plain(raw)
        asked = [s for s in skip if name == s or name.startswith(f"{s}.")]
        unmatched.difference_update(asked)
        own = dict(module.named_parameters(recurse=False))
        if id(module) in inside_attention or not (own or isinstance(module, nn.MultiheadAttention)):
            continue
        if isinstance(module, nn.MultiheadAttention):
            inside_attention.add(id(module.out_proj))
            own |= {f"out_proj.{key}": p for key, p in module.out_proj.named_parameters()}
        if asked:
            skipped.append(_skipped(name, module, own, "as asked"))
        elif isinstance(module, nn.MultiheadAttention):
            _add_attention(name, module, own, sharing, covered, skipped)
        else:
            _add_module(name, module, own, sharing, covered, skipped)
    if unmatched:
        raise InputError(f"skip: expected names of modules of the model, got {sorted(unmatched)}")
    return _merged(covered, skipped)


def _plain(name: str) -> str:
    """The name of a module without the wrappers of compiled ones."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _skipped(name: str, module: nn.Module, own: dict[str, nn.Parameter], why: str) -> Skipped:
    return Skipped(name, type(module).__name__, tuple(next(iter(own.values())).shape), why)


def _add_module(
    name: str,
    module: nn.Module,
    own: dict[str, nn.Parameter],
    sharing: str,
    covered: list[Covered],
    skipped: list[Skipped],
) -> None:
    live = {key: p for key, p in own.items() if p.requires_grad}
    if "weight" not in live or not set(own) <= {"weight", "bias"}:
        known = isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, *NORMALIZATIONS))
        why = f"no curvature for {type(module).__name__}"
        if known and set(own) <= {"weight", "bias"} and "weight" in own:
            why = "its weight does not require a gradient"
        elif known:
            why = "parametrized, or with parameters beside weight and bias"
        skipped.append(_skipped(name, module, own, why))
        return
    layer, why = layer_of(module, bias="bias" in live, sharing=sharing)
    if layer is None:
        skipped.append(_skipped(name, module, own, why))
        return
    if len(live) < len(own):
        skipped.append(
            Skipped(
                f"{name}.bias".lstrip("."),
                "Parameter",
                tuple(own["bias"].shape),
                "does not require a gradient",
            )
        )
    slots = tuple(Slot(live[key]) for key in ("weight", "bias") if key in live)
    covered.append(Covered(name, (module,), layer, slots))


def layer_of(module: nn.Module, *, bias: bool, sharing: str) -> tuple[Any, str]:
    """The layer a module is, or None and the reason."""
    if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
        return None, "not initialized yet"
    if isinstance(module, nn.Linear):
        return Dense(module.in_features, module.out_features, bias=bias, sharing=sharing), ""
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        if module.groups != 1:
            return None, f"convolution in {module.groups} groups"
        if module.padding_mode != "zeros":
            return None, f"padding mode {module.padding_mode}"
        kind = Conv1d if isinstance(module, nn.Conv1d) else Conv2d
        sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
        return kind(module.in_channels, module.out_channels, *sizes, bias, sharing), ""
    if isinstance(module, nn.Embedding):
        if module.sparse or module.max_norm is not None or module.scale_grad_by_freq:
            return None, "an embedding with sparse, renormalized or rescaled gradients"
        return Embedding(module.num_embeddings, module.embedding_dim), ""
    if isinstance(module, NORMALIZATIONS):
        last = isinstance(module, BY_LAST_AXES)
        return ScaleShift(module.weight.numel(), -1 if last else 1, scale=True, shift=bias), ""
    return None, f"no curvature for {type(module).__name__}"


def _add_attention(
    name: str,
    module: nn.MultiheadAttention,
    own: dict[str, nn.Parameter],
    sharing: str,
    covered: list[Covered],
    skipped: list[Skipped],
) -> None:
    """The projections of queries, keys and values, and that of the output, a layer each."""
    E = module.embed_dim
    widths = {"q": E, "k": module.kdim, "v": module.vdim}
    biases = module.in_proj_bias
    used: set[int] = set()
    for index, role in enumerate(("q", "k", "v", "out_proj")):
        part = slice(index * E, (index + 1) * E)
        if role == "out_proj":
            weight, bias = Slot(own["out_proj.weight"]), own.get("out_proj.bias")
            bias_slot = None if bias is None else Slot(bias)
        else:
            fused = module.in_proj_weight is not None
            weight = Slot(own["in_proj_weight"], part) if fused else Slot(own[f"{role}_proj_weight"])
            bias_slot = None if biases is None else Slot(biases, part)
        both = [slot for slot in (weight, bias_slot) if slot is not None]
        used.update(id(slot.parameter) for slot in both)
        full = f"{name}.{role}".lstrip(".")
        if not weight.parameter.requires_grad:
            skipped.append(
                Skipped(
                    full, "Projection", (E, widths.get(role, E)), "its weight does not require a gradient"
                )
            )
            continue
        slots = tuple(slot for slot in both if slot.parameter.requires_grad)
        layer = Dense(widths.get(role, E), E, bias=len(slots) == 2, sharing=sharing)
        covered.append(Covered(full, (module,), layer, slots, role))
    for key, parameter in own.items():
        if id(parameter) not in used:
            skipped.append(
                Skipped(f"{name}.{key}".lstrip("."), "Parameter", tuple(parameter.shape), "no layer")
            )


def _merged(covered: list[Covered], skipped: list[Skipped]) -> tuple[list[Covered], list[Skipped]]:
    """Modules that share all of their parameters as one; those that share some of them skipped."""
    owners: dict[tuple[int, Any], list[Covered]] = {}
    for item in covered:
        for slot in item.slots:
            rows = None if slot.rows is None else (slot.rows.start, slot.rows.stop)
            owners.setdefault((id(slot.parameter), rows), []).append(item)
    kept: dict[str, Covered] = {}
    for item in covered:
        others = [
            other
            for sharers in owners.values()
            if any(sharer is item for sharer in sharers)
            for other in sharers
            if other is not item
        ]
        same = all(other.layer == item.layer and other.slots == item.slots for other in others)
        if not same:
            names = ", ".join(sorted({other.name for other in others}))
            shape = tuple(item.slots[0].parameter.shape)
            skipped.append(Skipped(item.name, type(item.layer).__name__, shape, f"shared with {names}"))
            continue
        first = next((other.name for other in others if other.name in kept), None)
        if first is None:
            kept[item.name] = item
        else:
            kept[first] = replace(kept[first], modules=(*kept[first].modules, *item.modules))
    return list(kept.values()), skipped


def input_of(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What gradients are outer products with: the input, normalized where the module normalizes."""
    x = x.detach()
    if isinstance(module, BY_LAST_AXES):
        shape, eps = tuple(module.normalized_shape), module.eps
        of_rms = isinstance(module, nn.RMSNorm)
        normal = (nn.functional.rms_norm if of_rms else nn.functional.layer_norm)(x, shape, eps=eps)
        return normal.flatten(x.ndim - len(shape))
    if isinstance(module, nn.GroupNorm):
        return nn.functional.group_norm(x, module.num_groups, eps=module.eps)
    if isinstance(module, BATCH_NORMS):
        fixed = not module.training and module.running_mean is not None
        stored = (module.running_mean, module.running_var) if fixed else (None, None)
        return nn.functional.batch_norm(x, *stored, training=not fixed, eps=module.eps)
    return x


def gradient_of(module: nn.Module, a: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The gradient with respect to the output, in the shape of `input_of`, as it reaches the parameters."""
    if isinstance(module, BY_LAST_AXES):
        return g.flatten(g.ndim - len(module.normalized_shape))
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        return g * (a != module.padding_idx).unsqueeze(-1)
    return g
