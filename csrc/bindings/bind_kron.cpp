// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/kron.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

// `values` has one number a vector, and one more where there is a complement.
template <class T>
KronBasis<T> basis_of(const py::object& vectors, const VectorView<const double>& values,
                      index_t order, const char* name) {
    if (vectors.is_none()) {
        require(values.size == order, "kron: expected one eigenvalue a row of v");
        return {{}, order, false};
    }
    const auto view = input_matrix<T>(py::cast<py::array>(vectors), name);
    require(values.size == view.cols || values.size == view.cols + 1,
            "kron: expected one eigenvalue a vector, or one more");
    return {view, view.rows, values.size > view.cols};
}

KronFunction function_of(int power) {
    switch (power) {
        case 2:
            return KronFunction::value;
        case -2:
            return KronFunction::inverse;
        case 1:
            return KronFunction::root;
        case -1:
            return KronFunction::inverse_root;
        default:
            refuse("halves", "expected -2, -1, 1 or 2, got " + std::to_string(power));
    }
}

void kron_function(const py::object& left, const py::object& right, const py::array& s,
                   const py::array& t, double damping, double scale, int halves, const py::array& v,
                   py::array& x) {
    visit_real(v, "v", [&](auto tag) {
        using T = decltype(tag);
        const auto vv = input_batch<T>(v, "v");
        const auto xv = output_batch<T>(x, "x");
        const auto sv = input_vector<double>(s, "s"), tv = input_vector<double>(t, "t");
        const auto lv = basis_of<T>(left, sv, vv.rows, "left");
        const auto rv = basis_of<T>(right, tv, vv.cols, "right");
        const KronSpectrum spectrum{sv.data, tv.data, damping, scale, function_of(halves)};
        require(xv.count == vv.count && xv.rows == vv.rows && xv.cols == vv.cols,
                "x: shape does not agree with v");
        const ReleaseGil release;
        kron_apply_batch<T>(lv, rv, spectrum, vv, xv);
    });
}

}  // namespace

void register_kron(py::module_& m) {
    m.def("kron_function", &kron_function, py::arg("left").none(true), py::arg("right").none(true),
          py::arg("s").noconvert(), py::arg("t").noconvert(), py::arg("damping"), py::arg("scale"),
          py::arg("halves"), py::arg("v").noconvert(), py::arg("x").noconvert(),
          "x = scale (A kron B + damping I)^(halves / 2) on the matrices v, A and B by "
          "eigenvectors.");
}

}  // namespace randnla::bindings
