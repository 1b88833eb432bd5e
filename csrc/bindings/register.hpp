// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

// One function per room; each lives in bind_<room>.cpp.
namespace randnla::bindings {

void register_runtime(pybind11::module_& m);
void register_dense(pybind11::module_& m);
void register_kernels(pybind11::module_& m);
void register_sparse(pybind11::module_& m);
void register_qr(pybind11::module_& m);
void register_streams(pybind11::module_& m);
void register_trig(pybind11::module_& m);
void register_sparse_maps(pybind11::module_& m);
void register_batched(pybind11::module_& m);
void register_symmetric(pybind11::module_& m);
void register_kron(pybind11::module_& m);
void register_mttkrp(pybind11::module_& m);
void register_woodbury(pybind11::module_& m);
void register_mini_blocks(pybind11::module_& m);
void register_least_squares(pybind11::module_& m);
void register_weighted_draws(pybind11::module_& m);

}  // namespace randnla::bindings
