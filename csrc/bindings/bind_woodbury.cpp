// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/woodbury.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

void dots(const py::array& g, const py::array& x, py::array& c) {
    visit_real(g, "g", [&](auto tag) {
        using T = decltype(tag);
        const auto gv = input_matrix<T>(g, "g"), xv = input_matrix<T>(x, "x");
        const auto cv = output_matrix<double>(c, "c");
        const py::gil_scoped_release release;
        window_dots<T>(gv, xv, cv);
    });
}

void combine(const py::array& g, const py::array& c, double alpha, const py::array& x,
             py::array& y) {
    visit_real(g, "g", [&](auto tag) {
        using T = decltype(tag);
        const auto gv = input_matrix<T>(g, "g"), xv = input_matrix<T>(x, "x");
        const auto cv = input_matrix<double>(c, "c");
        const auto yv = output_matrix<T>(y, "y");
        const py::gil_scoped_release release;
        window_combine<T>(gv, cv, alpha, xv, yv);
    });
}

}  // namespace

void register_woodbury(py::module_& m) {
    m.def("window_dots", &dots, py::arg("g").noconvert(), py::arg("x").noconvert(),
          py::arg("c").noconvert(), "c = g x^T in float64; rows are contiguous.");
    m.def("window_combine", &combine, py::arg("g").noconvert(), py::arg("c").noconvert(),
          py::arg("alpha"), py::arg("x").noconvert(), py::arg("y").noconvert(),
          "y = alpha x + c^T g, summed in float64; rows are contiguous.");
}

}  // namespace randnla::bindings
