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
        const ReleaseGil release;
        window_dots<T, T>(gv, xv, cv);
    });
}

void combine(const py::array& g, const py::array& c, double alpha, const py::array& x,
             py::array& y) {
    visit_real(g, "g", [&](auto tag) {
        using T = decltype(tag);
        const auto gv = input_matrix<T>(g, "g"), xv = input_matrix<T>(x, "x");
        const auto cv = input_matrix<double>(c, "c");
        const auto yv = output_matrix<T>(y, "y");
        const ReleaseGil release;
        window_combine<T, T>(gv, cv, alpha, xv, yv);
    });
}

void row_dots(const py::array& a, const py::array& index, const py::array& x, py::array& out) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto iv = input_vector<index_t>(index, "index");
        const auto xv = input_vector<T>(x, "x");
        const auto ov = output_vector<double>(out, "out");
        require(xv.size == av.cols && ov.size == iv.size, "gathered: shapes do not agree");
        const ReleaseGil release;
        gathered_dots<T>(av, iv.data, iv.size, xv.data, ov.data);
    });
}

void row_combine(const py::array& a, const py::array& index, const py::array& c, py::array& out) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto iv = input_vector<index_t>(index, "index");
        const auto cv = input_vector<double>(c, "c");
        const auto ov = output_vector<double>(out, "out");
        require(ov.size == av.cols && cv.size == iv.size, "gathered: shapes do not agree");
        const ReleaseGil release;
        gathered_combine<T>(av, iv.data, iv.size, cv.data, ov.data);
    });
}

// Bits of sixteen, which NumPy has as uint16 whatever they stand for.
template <class S>
MatrixView<const S> bits_matrix(const py::array& g) {
    const auto view = input_matrix<std::uint16_t>(g, "g");
    return {reinterpret_cast<const S*>(view.data), view.rows, view.cols, view.row_stride,
            view.col_stride};
}

template <class S>
void narrow_dots(const py::array& g, const py::array& x, py::array& c) {
    const auto gv = bits_matrix<S>(g);
    const auto xv = input_matrix<float>(x, "x");
    const auto cv = output_matrix<double>(c, "c");
    const ReleaseGil release;
    window_dots<S, float>(gv, xv, cv);
}

template <class S>
void narrow_combine(const py::array& g, const py::array& c, double alpha, const py::array& x,
                    py::array& y) {
    const auto gv = bits_matrix<S>(g);
    const auto cv = input_matrix<double>(c, "c");
    const auto xv = input_matrix<float>(x, "x");
    const auto yv = output_matrix<float>(y, "y");
    const ReleaseGil release;
    window_combine<S, float>(gv, cv, alpha, xv, yv);
}

template <class S>
void register_narrow(py::module_& m, const std::string& name) {
    m.def(("window_dots_" + name).c_str(), &narrow_dots<S>, py::arg("g").noconvert(),
          py::arg("x").noconvert(), py::arg("c").noconvert(),
          "window_dots of a g of uint16, which are bits of narrow numbers.");
    m.def(("window_combine_" + name).c_str(), &narrow_combine<S>, py::arg("g").noconvert(),
          py::arg("c").noconvert(), py::arg("alpha"), py::arg("x").noconvert(),
          py::arg("y").noconvert(),
          "window_combine of a g of uint16, which are bits of narrow numbers.");
}

}  // namespace

void register_woodbury(py::module_& m) {
    m.def("window_dots", &dots, py::arg("g").noconvert(), py::arg("x").noconvert(),
          py::arg("c").noconvert(), "c = g x^T in float64; rows are contiguous.");
    m.def("window_combine", &combine, py::arg("g").noconvert(), py::arg("c").noconvert(),
          py::arg("alpha"), py::arg("x").noconvert(), py::arg("y").noconvert(),
          "y = alpha x + c^T g, summed in float64; rows are contiguous.");
    m.def("gathered_dots", &row_dots, py::arg("a").noconvert(), py::arg("index").noconvert(),
          py::arg("x").noconvert(), py::arg("out").noconvert(),
          "out = a[index] x in float64; rows are contiguous, index is int64.");
    m.def("gathered_combine", &row_combine, py::arg("a").noconvert(), py::arg("index").noconvert(),
          py::arg("c").noconvert(), py::arg("out").noconvert(),
          "out = a[index]^T c in float64; rows are contiguous, index is int64.");
    register_narrow<Half>(m, "f16");
    register_narrow<Brain>(m, "bf16");
}

}  // namespace randnla::bindings
