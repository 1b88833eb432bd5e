// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "register.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    using namespace randnla::bindings;
    m.doc() = "Compiled core of randnla. Use the functions of the package, not these.";
    register_runtime(m);
    register_dense(m);
    register_kernels(m);
    register_sparse(m);
    register_qr(m);
    register_streams(m);
    register_trig(m);
    register_sparse_maps(m);
    register_batched(m);
    register_symmetric(m);
    register_kron(m);
    register_mttkrp(m);
    register_woodbury(m);
    register_mini_blocks(m);
    register_least_squares(m);
    register_weighted_draws(m);
}
