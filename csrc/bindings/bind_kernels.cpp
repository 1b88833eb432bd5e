// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/kernel_tiles.hpp"
#include "register.hpp"

// Kernel matrices of points.
namespace randnla::bindings {
namespace {

RadialKind kind_named(const std::string& name) {
    if (name == "gaussian") return RadialKind::gaussian;
    if (name == "laplace") return RadialKind::laplace;
    if (name == "matern32") return RadialKind::matern32;
    if (name == "matern52") return RadialKind::matern52;
    refuse("kernel", "unknown name " + name);
}

void kernel_block_py(const std::string& kind, double bandwidth, const py::array& x,
                     const py::array& y, py::array& out) {
    const RadialKernel kernel{kind_named(kind), bandwidth};
    visit_real(x, "x", [&](auto tag) {
        using T = decltype(tag);
        const auto xv = input_matrix<T>(x, "x"), yv = input_matrix<T>(y, "y");
        const auto ov = output_matrix<T>(out, "out");
        const ReleaseGil release;
        kernel_block<T>(kernel, xv, yv, ov);
    });
}

void kernel_product_py(const std::string& kind, double bandwidth, const py::array& x,
                       const py::array& y, const py::array& v, py::array& out) {
    const RadialKernel kernel{kind_named(kind), bandwidth};
    visit_real(x, "x", [&](auto tag) {
        using T = decltype(tag);
        const auto xv = input_matrix<T>(x, "x"), yv = input_matrix<T>(y, "y"),
                   vv = input_matrix<T>(v, "v");
        const auto ov = output_matrix<T>(out, "out");
        const ReleaseGil release;
        kernel_product<T>(kernel, xv, yv, vv, ov);
    });
}

}  // namespace

void register_kernels(py::module_& m) {
    m.def("kernel_block", &kernel_block_py, py::arg("kind"), py::arg("bandwidth"),
          py::arg("x").noconvert(), py::arg("y").noconvert(), py::arg("out").noconvert(),
          "out[i, j] = k(x[i], y[j]).");
    m.def("kernel_product", &kernel_product_py, py::arg("kind"), py::arg("bandwidth"),
          py::arg("x").noconvert(), py::arg("y").noconvert(), py::arg("v").noconvert(),
          py::arg("out").noconvert(), "out = K v without holding K, K[i, j] = k(x[i], y[j]).");
}

}  // namespace randnla::bindings
