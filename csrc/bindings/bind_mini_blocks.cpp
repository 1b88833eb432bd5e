// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/mini_blocks.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

// Groups as Python holds them: (groups, n (n + 1) / 2, lanes), contiguous.
template <class T>
MiniBlocks<const T> input_blocks(const py::array& a, index_t count, index_t order,
                                 const char* name) {
    const auto view = input_batch<T>(a, name);
    const MiniBlocks<const T> blocks{view.data, count, order};
    require(count >= 0 && order >= 1 && order < (1 << 12), "blocks: order out of range");
    require(view.count == blocks.groups() && view.rows == order * (order + 1) / 2 &&
                view.cols == block_lanes,
            "blocks: shape does not agree");
    require((a.flags() & py::array::c_style) != 0, "blocks: expected contiguous memory");
    return blocks;
}

template <class T>
MiniBlocks<T> output_blocks(py::array& a, index_t count, index_t order, const char* name) {
    if (!a.writeable()) refuse(name, "array is read-only");
    const auto blocks = input_blocks<T>(a, count, order, name);
    return {static_cast<T*>(a.mutable_data()), blocks.count, blocks.order};
}

void average(py::array& a, const py::array& x, double scale, double keep, double weight) {
    visit_real(x, "x", [&](auto tag) {
        using T = decltype(tag);
        const auto xv = input_matrix<T>(x, "x");
        const auto av = output_blocks<T>(a, xv.rows, xv.cols, "a");
        const ReleaseGil release;
        mini_blocks_average<T>(av, xv, scale, keep, weight);
    });
}

bool direct(const py::array& a, const py::array& g, py::array& m, double keep, double weight,
            double scale, py::array& y) {
    return visit_real(g, "g", [&](auto tag) {
        using T = decltype(tag);
        const auto gv = input_matrix<T>(g, "g");
        const auto mv = output_matrix<T>(m, "m"), yv = output_matrix<T>(y, "y");
        const auto av = input_blocks<T>(a, gv.rows, gv.cols, "a");
        const ReleaseGil release;
        return mini_blocks_direct<T>(av, gv, mv, keep, weight, scale, yv);
    });
}

void apply(const py::array& a, const py::array& x, py::array& y) {
    visit_real(x, "x", [&](auto tag) {
        using T = decltype(tag);
        const auto xv = input_matrix<T>(x, "x");
        const auto yv = output_matrix<T>(y, "y");
        const auto av = input_blocks<T>(a, xv.rows, xv.cols, "a");
        const ReleaseGil release;
        mini_blocks_apply<T>(av, xv, yv);
    });
}

index_t invert(const py::array& a, index_t count, index_t order, double scale, double shift,
               py::array& out, bool wide) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_blocks<T>(a, count, order, "a");
        const auto ov = output_blocks<T>(out, count, order, "out");
        const ReleaseGil release;
        return wide ? mini_blocks_invert<T, double>(av, scale, shift, ov)
                    : mini_blocks_invert<T, T>(av, scale, shift, ov);
    });
}

}  // namespace

void register_mini_blocks(py::module_& m) {
    m.attr("block_lanes") = block_lanes;
    m.def("mini_blocks_average", &average, py::arg("a").noconvert(), py::arg("x").noconvert(),
          py::arg("scale"), py::arg("keep"), py::arg("weight"),
          "a := keep a + weight (scale x) (scale x)^T, block by block.");
    m.def("mini_blocks_direct", &direct, py::arg("a").noconvert(), py::arg("g").noconvert(),
          py::arg("m").noconvert(), py::arg("keep"), py::arg("weight"), py::arg("scale"),
          py::arg("y").noconvert(), "m := keep m + weight g, y := scale a m; whether y is finite.");
    m.def("mini_blocks_apply", &apply, py::arg("a").noconvert(), py::arg("x").noconvert(),
          py::arg("y").noconvert(), "y := a x, block by block.");
    m.def("mini_blocks_invert", &invert, py::arg("a").noconvert(), py::arg("count"),
          py::arg("order"), py::arg("scale"), py::arg("shift"), py::arg("out").noconvert(),
          py::arg("wide"), "out := (scale a + shift I)^-1; how many blocks have none.");
}

}  // namespace randnla::bindings
