// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/least_squares.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

// An empty residual or gram: none; an empty p: that of a itself.
void sweep(const py::array& a, const py::array& b, const py::array& x, py::array& gradient,
           py::array& squares, py::array& residual, const py::array& p, bool upper,
           py::array& gram) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto sv = output_vector<double>(squares, "squares");
        const ResidualSums sums{input_matrix<double>(b, "b"), input_matrix<double>(x, "x"),
                                output_matrix<double>(residual, "residual"),
                                output_matrix<double>(gradient, "gradient"), sv.data};
        const auto pv = input_matrix<double>(p, "p");
        const auto gv = output_matrix<double>(gram, "gram");
        require(sv.size == sums.x.cols, "squares: expected one for every column of x");
        const ReleaseGil release;
        if (gv.empty())
            sweep_residual<T>(av, sums);
        else if (pv.empty())
            sweep_gram<T>(av, sums, gv);
        else
            sweep_preconditioned<T>(av, sums, pv, upper, gv);
    });
}

}  // namespace

void register_least_squares(py::module_& m) {
    m.def("sweep", &sweep, py::arg("a").noconvert(), py::arg("b").noconvert(),
          py::arg("x").noconvert(), py::arg("gradient").noconvert(), py::arg("squares").noconvert(),
          py::arg("residual").noconvert(), py::arg("p").noconvert(), py::arg("upper"),
          py::arg("gram").noconvert(),
          "gradient = a^T (b - a x), squares of b - a x, gram = (a p)^T (a p) unless it is empty.");
}

}  // namespace randnla::bindings
