// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/symmetric.hpp"
#include "randnla/symmetric_eigh.hpp"
#include "register.hpp"

// Symmetric matrices of which the upper triangle is held.
namespace randnla::bindings {
namespace {

template <class T>
MatrixView<T> square_output(py::array& array, const char* name) {
    const auto view = output_matrix<T>(array, name);
    if (view.rows != view.cols || !view.row_major())
        refuse(name, "expected a square row-major matrix");
    return view;
}

template <class T>
MatrixView<const T> square_input(const py::array& array, const char* name) {
    const auto view = input_matrix<T>(array, name);
    if (view.rows != view.cols || !view.row_major())
        refuse(name, "expected a square row-major matrix");
    return view;
}

void update(const py::array& a, py::array& c, double alpha, double beta) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto cv = square_output<T>(c, "c");
        require(av.cols == cv.cols, "c: expected the order of a's columns");
        const ReleaseGil release;
        update_triangle<T>(static_cast<T>(alpha), av, static_cast<T>(beta), cv);
    });
}

void product(const py::array& s, const py::array& x, py::array& y) {
    visit_real(s, "s", [&](auto tag) {
        using T = decltype(tag);
        const auto sv = square_input<T>(s, "s");
        const auto xv = input_matrix<T>(x, "x");
        const auto yv = output_matrix<T>(y, "y");
        require(sv.cols == xv.rows && yv.rows == sv.rows && yv.cols == xv.cols,
                "symmetric_product: shapes of s, x and y do not agree");
        const ReleaseGil release;
        symmetric_product<T>(sv, xv, yv);
    });
}

void unfold(const py::array& s, py::array& out, double alpha) {
    visit_real(s, "s", [&](auto tag) {
        using T = decltype(tag);
        const auto sv = square_input<T>(s, "s");
        const auto ov = square_output<T>(out, "out");
        require(sv.rows == ov.rows, "out: expected the order of s");
        const ReleaseGil release;
        unfold_triangle<T>(static_cast<T>(alpha), sv, ov);
    });
}

void crossed(const py::array& a, const py::array& b, py::array& c) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a"), bv = input_matrix<T>(b, "b");
        const auto cv = square_output<double>(c, "c");
        require(av.rows == bv.rows && av.cols == bv.cols && cv.cols == av.cols,
                "crossed_gram: shapes of a, b and c do not agree");
        const ReleaseGil release;
        crossed_gram<T>(av, bv, cv);
    });
}

index_t pencil(py::array& c, py::array& g, py::array& w) {
    const auto cv = square_output<double>(c, "c"), gv = square_output<double>(g, "g");
    const auto wv = output_vector<double>(w, "w");
    require(cv.rows == gv.rows && wv.size == cv.rows,
            "symmetric_pencil: orders of c, g and w do not agree");
    const ReleaseGil release;
    return symmetric_pencil<double>(cv, gv, wv.data);
}

index_t graded_pencil(py::array& c, py::array& g, py::array& w, py::array& x) {
    const auto cv = square_output<double>(c, "c"), gv = square_output<double>(g, "g");
    return visit_real(x, "x", [&](auto tag) {
        using T = decltype(tag);
        const auto xv = square_output<T>(x, "x");
        const auto wv = output_vector<T>(w, "w");
        require(cv.rows == gv.rows && xv.rows == cv.rows && wv.size == cv.rows,
                "semidefinite_pencil: orders of c, g, w and x do not agree");
        const ReleaseGil release;
        return semidefinite_pencil<T>(cv, gv, wv.data, xv);
    });
}

}  // namespace

void register_symmetric(py::module_& m) {
    m.def("update_triangle", &update, py::arg("a").noconvert(), py::arg("c").noconvert(),
          py::arg("alpha"), py::arg("beta"), "Upper triangle of c = beta c + alpha a^T a.");
    m.def("symmetric_product", &product, py::arg("s").noconvert(), py::arg("x").noconvert(),
          py::arg("y").noconvert(), "y = s x, s symmetric and read above the diagonal.");
    m.def("unfold_triangle", &unfold, py::arg("s").noconvert(), py::arg("out").noconvert(),
          py::arg("alpha"), "Both triangles of alpha s.");
    m.def("crossed_gram", &crossed, py::arg("a").noconvert(), py::arg("b").noconvert(),
          py::arg("c").noconvert(), "Upper triangle of the float64 c = a^T b, if symmetric.");
    m.def("symmetric_pencil", &pencil, py::arg("c").noconvert(), py::arg("g").noconvert(),
          py::arg("w").noconvert(),
          "Eigenpairs of c x = w g x, the vectors as rows of c; -1: g is not definite.");
    m.def("semidefinite_pencil", &graded_pencil, py::arg("c").noconvert(), py::arg("g").noconvert(),
          py::arg("w").noconvert(), py::arg("x").noconvert(),
          "Eigenpairs of c x = w g x, rows of x, orthonormal in c; -1: c or g is not definite.");
}

}  // namespace randnla::bindings
