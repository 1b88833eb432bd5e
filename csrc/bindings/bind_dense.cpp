// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/gram.hpp"
#include "randnla/screen.hpp"
#include "randnla/signs.hpp"
#include "register.hpp"

// Plain dense linear algebra: products on the thread team, small LAPACK factorizations.
namespace randnla::bindings {
namespace {

void gemm(const py::array& a, const py::array& b, py::array& c, double alpha, double beta) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a"), bv = input_matrix<T>(b, "b");
        const auto cv = output_matrix<T>(c, "c");
        require(av.cols == bv.rows && av.rows == cv.rows && bv.cols == cv.cols,
                "gemm: shapes of a, b and c do not agree");
        const ReleaseGil release;
        parallel_gemm<T>(static_cast<T>(alpha), av, bv, static_cast<T>(beta), cv);
    });
}

template <class T, class Accumulate>
py::array gram_as(const py::array& a) {
    const auto view = input_matrix<T>(a, "a");
    py::array_t<Accumulate> result = new_matrix<Accumulate>(view.cols, view.cols);
    const auto out = output_matrix<Accumulate>(result, "result");
    {
        const ReleaseGil release;
        parallel_gram<T, Accumulate>(view, out);
    }
    return result;
}

py::array gram(const py::array& a, bool wide) {
    if (has_dtype<float>(a)) return wide ? gram_as<float, double>(a) : gram_as<float, float>(a);
    return gram_as<double, double>(a);
}

template <class T, class Block>
py::tuple moments_as(const py::array& a, const py::object& point) {
    const auto view = input_matrix<T>(a, "a");
    const T* shift = nullptr;
    if (!point.is_none()) {
        const auto p = input_vector<T>(py::cast<py::array>(point), "point");
        require(p.size == view.cols, "point: expected one number a column of a");
        shift = p.data;
    }
    py::array_t<double> result = new_matrix<double>(view.cols, view.cols);
    py::array_t<double> sums(static_cast<py::ssize_t>(view.cols));
    const auto out = output_matrix<double>(result, "result");
    const auto totals = output_vector<double>(sums, "sums");
    {
        const ReleaseGil release;
        parallel_moments<T, Block>(view, shift, out, totals.data);
    }
    return py::make_tuple(result, sums);
}

py::tuple moments(const py::array& a, const py::object& point, bool wide) {
    if (has_dtype<double>(a)) return moments_as<double, double>(a, point);
    return wide ? moments_as<float, double>(a, point) : moments_as<float, float>(a, point);
}

py::tuple screen(const py::array& a) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto view = input_matrix<T>(a, "a");
        ScreenResult result;
        {
            const ReleaseGil release;
            result = screen_matrix<T>(view);
        }
        return py::make_tuple(result.sum_squares, result.exponent, result.largest, result.finite);
    });
}

void orient(py::array& u, py::array& v) {
    visit_real(u, "u", [&](auto tag) {
        using T = decltype(tag);
        const auto uv = output_matrix<T>(u, "u"), vv = output_matrix<T>(v, "v");
        const ReleaseGil release;
        orient_columns<T>(uv, vv);
    });
}

}  // namespace

void register_dense(py::module_& m) {
    m.def("gemm", &gemm, py::arg("a").noconvert(), py::arg("b").noconvert(),
          py::arg("c").noconvert(), py::arg("alpha") = 1.0, py::arg("beta") = 0.0,
          "c = alpha a b + beta c, any layout.");
    m.def("gram", &gram, py::arg("a").noconvert(), py::arg("wide") = false,
          "a^T a; wide sums float32 in float64.");
    m.def("moments", &moments, py::arg("a").noconvert(), py::arg("point").none(true),
          py::arg("wide") = false,
          "((a - p)^T (a - p), column sums of a - p) in float64; wide multiplies in float64, too.");
    m.def("screen", &screen, py::arg("a").noconvert(),
          "(sum of squares of 2^-exponent a, exponent, largest magnitude, all finite).");
    m.def("orient_columns", &orient, py::arg("u").noconvert(), py::arg("v").noconvert(),
          "Makes the first entry of largest magnitude of every column of u positive; v follows.");
}

}  // namespace randnla::bindings
