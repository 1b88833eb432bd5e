# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors reach the engine where they lie, and those of another device only if asked for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch.nn", reason="PyTorch is not installed")

import torch
from torch import nn
from torch_nets import backward, data, mlp

from randnla._backend import namespace
from randnla._backend.errors import InputError
from randnla.curvature import rows
from randnla.curvature.kfac import layers
from randnla.torch import KFAC, MFAC, SENG, MiniBlockFisher

FORMS = {
    "contiguous": lambda: torch.ones(6, 4, 3, 5),
    "channels last": lambda: torch.ones(6, 4, 3, 5).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: torch.ones(4, 6).T,
    "cut": lambda: torch.ones(12, 9)[::2, 1:5],
    "expanded": lambda: torch.ones(6, 1).expand(6, 4),
    "gradient": lambda: torch.ones(6, 4, requires_grad=True).detach(),
    "indices": lambda: torch.ones(6, 4, dtype=torch.int64),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_gate_gives_the_pointer_and_strides_of_the_tensor(form):
    tensor = FORMS[form]()
    array = namespace.to_host(tensor)
    assert array.ctypes.data == tensor.data_ptr()
    assert array.strides == tuple(s * tensor.element_size() for s in tensor.stride())


@pytest.mark.parametrize("fisher", ["mc", "empirical"])
def test_rows_of_the_engine_are_the_memory_of_the_tensors(fisher, monkeypatch):
    model = mlp(5, 4, 3, dtype=torch.float32, bias=False)
    x, y = data(6, 5, 3, dtype=torch.float32)
    pointers, given = {}, {}

    class Seen(layers.Dense):
        def rows(self, a, g, workspace, **settings):
            made = super().rows(a, g, workspace, **settings)
            pointers[self.inputs] = made.a.ctypes.data, made.g.ctypes.data
            return made

    pre = KFAC(model, fisher=fisher, reduction="sum", rng=0)
    pre.engine._layers = {n: Seen(d.inputs, d.outputs, d.bias) for n, d in pre.engine._layers.items()}
    backward(model, x, y, reduction="sum")
    for name, [use] in pre._capture.passes[0].items():
        given[model[int(name)].in_features] = use.a.data_ptr(), use.g[0].data_ptr()
    assert given[5][0] == x.data_ptr()
    gradient = namespace.to_host(model[0].weight.grad)
    packed = rows.packed(model[0].weight.grad, None, (4, 5), None, np.float32)
    assert packed.ctypes.data == gradient.ctypes.data == model[0].weight.grad.data_ptr()
    pre.step()
    assert pointers == given


def test_directions_are_written_into_the_gradients_that_are_there():
    model, (x, y) = mlp(5, 4, 3), data(6, 5, 3)
    pre = KFAC(model, rng=0)
    backward(model, x, y)
    before = [(id(p.grad), p.grad.data_ptr()) for p in model.parameters()]
    pre.step()
    assert [(id(p.grad), p.grad.data_ptr()) for p in model.parameters()] == before


def pointers_of(value):
    """Of an array, or of all in a structure of them."""
    if isinstance(value, (tuple, list)):
        return [pointer for part in value for pointer in pointers_of(part)]
    return [value.ctypes.data] if isinstance(value, np.ndarray) else []


def watched(engine, monkeypatch, call):
    """What a method of an engine is given first, call by call, as pointers."""
    seen, inner = [], getattr(engine, call)

    def noting(first, *args, **kwargs):
        seen.append(pointers_of(list(first.values()) if isinstance(first, dict) else first))
        return inner(first, *args, **kwargs)

    monkeypatch.setattr(engine, call, noting)
    return seen


def test_mini_blocks_see_the_memory_of_the_gradients(monkeypatch):
    model, (x, y) = mlp(5, 4, 3, dtype=torch.float32), data(6, 5, 3, dtype=torch.float32)
    optimizer = MiniBlockFisher(model.parameters())
    optimizer.zero_grad()
    backward(model, x, y)
    optimizer.step()
    places = [p.data_ptr() for p in model.parameters()]
    seen = watched(optimizer.engine, monkeypatch, "step")
    optimizer.step()
    assert sorted(seen[0]) == sorted(p.grad.data_ptr() for p in model.parameters())
    assert [p.data_ptr() for p in model.parameters()] == places


def test_samples_of_seng_are_the_memory_of_the_tensors(monkeypatch):
    model, (x, y) = mlp(5, 4, 3, dtype=torch.float32, bias=False), data(6, 5, 3, dtype=torch.float32)
    pre = SENG(model, reduction="sum")
    backward(model, x, y, reduction="sum")
    given = {t.data_ptr() for uses in pre._capture.passes[0].values() for u in uses for t in (u.a, *u.g)}
    seen = watched(pre.engine, monkeypatch, "accumulate")
    pre.step()
    assert set(seen[0]) == given


def test_flat_gradients_are_gathered_in_one_place_that_stays(monkeypatch):
    model, (x, y) = mlp(5, 4, 3, dtype=torch.float32), data(6, 5, 3, dtype=torch.float32)
    optimizer = MFAC(model.parameters(), lr=1e-3, window=4)
    backward(model, x, y)
    optimizer.step()
    seen = watched(optimizer._flats[0].engine, monkeypatch, "direction")
    for _ in range(3):
        optimizer.step()
    assert seen == 3 * [[optimizer._flats[0].gradient.data_ptr()]]


PROGRAM = """
import sys, torch
from torch import nn
from randnla.torch import KFAC
torch.set_num_threads(1)

def peak():
    # Of this process: what getrusage gives goes back to the one that started it.
    with open("/proc/self/status") as status:
        [line] = [line for line in status if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])

n, d = 60_000, 512
model = nn.Sequential(nn.Linear(d, 8, bias=sys.argv[1] == "bias"))
x = torch.ones(n, d)  # 123 MB
pre = KFAC(model, rng=0, inv_every=100, stats_every=1)
nn.functional.cross_entropy(model(x[:100]), torch.zeros(100, dtype=torch.int64)).backward()
pre.step()
nn.functional.cross_entropy(model(x), torch.zeros(n, dtype=torch.int64)).backward()
before = peak()
pre.step()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this platform")
def test_a_statistics_step_does_not_copy_the_inputs():
    grown = []
    for bias in ("none", "bias"):
        call = [sys.executable, "-c", PROGRAM, bias]
        out = subprocess.run(call, capture_output=True, text=True, check=True)
        grown.append(int(out.stdout))
    size = 60_000 * 512 * 4
    assert grown[0] < 0.1 * size
    assert grown[1] > 0.9 * size  # the engine puts a 1 behind each row: what a copy looks like


def test_tensors_of_other_devices_are_refused_by_the_name_of_the_option():
    model = nn.Sequential(nn.Linear(5, 3, device="meta"))
    with pytest.raises(InputError, match=r"expected tensors on the CPU, got one on meta; host_copy=True"):
        KFAC(model)
    assert not model._forward_hooks
    # And where the model moves later, its parameters staying the objects they are.
    model = mlp(5, 3, dtype=torch.float32)
    pre = KFAC(model, rng=0)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model.to("meta")
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    with pytest.raises(InputError, match=r"got one on meta; host_copy=True"):
        pre.step()
    assert pre.engine.step_count == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("fisher", ["mc", "empirical", "ggn"])
def test_a_device_goes_through_the_host_where_that_is_asked_for(fisher):
    x, y = data(16, 5, 3, dtype=torch.float32)
    made = []
    for device in ("cpu", "cuda"):
        model = mlp(5, 4, 3, dtype=torch.float32).to(device)
        if device == "cuda":
            with pytest.raises(InputError, match="host_copy=True"):
                KFAC(model, rng=0)
        pre = KFAC(model, fisher=fisher, host_copy=True, rng=0)
        backward(model, x.to(device), y.to(device))
        pre.step()
        assert {p.grad.device.type for p in model.parameters()} == {device}
        made.append([p.grad.cpu() for p in model.parameters()])
    for a, b in zip(*made, strict=True):
        assert torch.isfinite(b).all()
        if fisher != "mc":  # the generators of devices draw other labels
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
