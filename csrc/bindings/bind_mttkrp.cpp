// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/mttkrp.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

template <class T>
MatrixView<const T> factor(const py::array& array, index_t rows, index_t cols, const char* name) {
    const auto view = input_matrix<T>(array, name);
    require(view.rows == rows && view.cols == cols && view.row_major(),
            "mttkrp: expected factors in C order, of a row for each index and a column for each of "
            "out");
    return view;
}

void mttkrp(const py::array& t, const py::array& a, const py::array& b, const py::array& c,
            int mode, py::array& out) {
    visit_real(t, "t", [&](auto tag) {
        using T = decltype(tag);
        auto tv = input_batch<T>(t, "t");
        const auto to = output_matrix<T>(out, "out");
        require(mode >= 0 && mode < 3, "mode: expected 0, 1 or 2");
        require(tv.count > 0 && tv.rows > 0 && tv.cols > 0 && to.cols > 0, "mttkrp: empty arrays");
        // Strides of axes of one element can be any.
        if (tv.cols == 1) tv.col_stride = 1;
        if (tv.rows == 1) tv.row_stride = tv.cols * tv.col_stride;
        if (tv.count == 1) tv.stride = tv.rows * tv.row_stride;
        const index_t lengths[3] = {tv.count, tv.rows, tv.cols};
        require(to.rows == lengths[mode] && to.col_stride == 1 && to.row_stride == to.cols,
                "out: expected a row for each index of the mode, in C order");
        const auto av = factor<T>(a, tv.count, to.cols, "a"),
                   bv = factor<T>(b, tv.rows, to.cols, "b"),
                   cv = factor<T>(c, tv.cols, to.cols, "c");
        const ReleaseGil release;
        parallel_mttkrp<T>(tv, av, bv, cv, mode, to);
    });
}

}  // namespace

void register_mttkrp(py::module_& m) {
    m.def("mttkrp", &mttkrp, py::arg("t").noconvert(), py::arg("a").noconvert(),
          py::arg("b").noconvert(), py::arg("c").noconvert(), py::arg("mode"),
          py::arg("out").noconvert(),
          "out = unfold(t, mode) times the Khatri-Rao product of the other two factors.");
}

}  // namespace randnla::bindings
