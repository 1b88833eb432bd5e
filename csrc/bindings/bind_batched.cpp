// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/cholesky_batched.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

template <class T>
BatchView<const T> square_batch(const py::array& a, const VectorView<const double>& shift,
                                const VectorView<std::int32_t>& info) {
    const auto av = input_batch<T>(a, "a");
    require(av.rows == av.cols, "a: expected square matrices");
    require(av.rows < (1 << 15), "a: order too large for a batch");
    require(shift.size == 1 || shift.size == av.count,
            "shift: expected one number or one a matrix");
    require(info.size == av.count, "info: expected one entry a matrix");
    return av;
}

// Every result is of the shape of `like`.
template <class T>
void require_shape(const BatchView<T>& out, const BatchView<const T>& like, index_t cols) {
    require(out.count == like.count && out.rows == like.rows && out.cols == cols,
            "out: shape does not agree");
}

// Run<T, Work>: batched_cholesky or batched_inverse.
template <template <class, class> class Run>
void factorize(const py::array& a, const py::array& shift, py::array& out, py::array& info,
               bool wide) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto sv = input_vector<double>(shift, "shift");
        const auto iv = output_vector<std::int32_t>(info, "info");
        const auto av = square_batch<T>(a, sv, iv);
        const auto ov = output_batch<T>(out, "out");
        require_shape<T>(ov, av, av.cols);
        const index_t step = sv.size > 1;
        const ReleaseGil release;
        if (wide)
            Run<T, double>()(av, sv.data, step, ov, iv.data);
        else
            Run<T, T>()(av, sv.data, step, ov, iv.data);
    });
}

template <class T, class Work>
struct Cholesky {
    template <class... Arguments>
    void operator()(Arguments... arguments) const {
        batched_cholesky<T, Work>(arguments...);
    }
};

template <class T, class Work>
struct Inverse {
    template <class... Arguments>
    void operator()(Arguments... arguments) const {
        batched_inverse<T, Work>(arguments...);
    }
};

void solve(const py::array& a, const py::array& shift, const py::array& b, py::array& out,
           py::array& info, bool wide) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto sv = input_vector<double>(shift, "shift");
        const auto iv = output_vector<std::int32_t>(info, "info");
        const auto av = square_batch<T>(a, sv, iv);
        const auto bv = input_batch<T>(b, "b");
        const auto ov = output_batch<T>(out, "out");
        require(bv.count == av.count && bv.rows == av.rows, "b: shape does not agree with a");
        require_shape<T>(ov, av, bv.cols);
        const index_t step = sv.size > 1;
        const ReleaseGil release;
        if (wide)
            batched_solve<T, double>(av, sv.data, step, bv, ov, iv.data);
        else
            batched_solve<T, T>(av, sv.data, step, bv, ov, iv.data);
    });
}

}  // namespace

void register_batched(py::module_& m) {
    m.def(
        "batched_cholesky", &factorize<Cholesky>, py::arg("a").noconvert(),
        py::arg("shift").noconvert(), py::arg("out").noconvert(), py::arg("info").noconvert(),
        py::arg("wide"),
        "Lower factors of a + shift I; info[i] is 0 or 1 + the first pivot that is not positive.");
    m.def("batched_inverse", &factorize<Inverse>, py::arg("a").noconvert(),
          py::arg("shift").noconvert(), py::arg("out").noconvert(), py::arg("info").noconvert(),
          py::arg("wide"), "Inverses of a + shift I; info as of batched_cholesky.");
    m.def("batched_solve", &solve, py::arg("a").noconvert(), py::arg("shift").noconvert(),
          py::arg("b").noconvert(), py::arg("out").noconvert(), py::arg("info").noconvert(),
          py::arg("wide"), "(a + shift I)^-1 b; info as of batched_cholesky.");
}

}  // namespace randnla::bindings
