// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/blas.hpp"
#include "randnla/leading_columns.hpp"
#include "randnla/qr_cholesky.hpp"
#include "randnla/qr_householder.hpp"
#include "randnla/qr_pivoted.hpp"
#include "randnla/qr_preconditioned.hpp"
#include "randnla/scaling.hpp"
#include "randnla/symmetric_eigh.hpp"
#include "randnla/tsqr.hpp"
#include "randnla/workspace.hpp"
#include "register.hpp"

// Orthogonalization and the small factorizations of our own LAPACK.
namespace randnla::bindings {
namespace {

void householder(py::array& a, py::array& r) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a"), rv = output_matrix<T>(r, "r");
        require(av.rows >= av.cols && av.col_major(), "a: expected a tall column-major matrix");
        require(rv.rows == av.cols && rv.cols == av.cols, "r: expected an n x n matrix");
        const ReleaseGil release;
        householder_qr<T>(av, rv);
    });
}

template <class T>
void require_row_major(const MatrixView<T>& v, const char* name) {
    if (!v.row_major()) refuse(name, "expected a row-major matrix");
}

index_t svd(py::array& a, py::array& u, py::array& s, py::array& vh) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a"), uv = output_matrix<T>(u, "u"),
                   vv = output_matrix<T>(vh, "vh");
        const auto sv = output_vector<T>(s, "s");
        const index_t k = std::min(av.rows, av.cols);
        require(uv.rows == av.rows && uv.cols == k && sv.size == k && vv.rows == k &&
                    vv.cols == av.cols,
                "small_svd: shapes of u, s and vh do not agree with a");
        require_row_major(av, "a");
        require_row_major(uv, "u");
        require_row_major(vv, "vh");
        const ReleaseGil release;
        blas::use_one_thread();
        return lapack::gesdd<T>(av, uv, sv.data, vv);
    });
}

template <class Solve>
index_t solve_symmetric(py::array& a, py::array& w, Solve&& solve) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a");
        const auto wv = output_vector<T>(w, "w");
        require(av.rows == av.cols && wv.size == av.rows, "a: expected a square, w of its order");
        require_row_major(av, "a");
        const ReleaseGil release;
        return solve(av, wv.data);
    });
}

index_t eigh(py::array& a, py::array& w) {
    return solve_symmetric(a, w, [](auto av, auto* values) { return symmetric_eigh(av, values); });
}

index_t eigh_leading(py::array& a, py::array& w, index_t count) {
    return solve_symmetric(
        a, w, [count](auto av, auto* values) { return leading_eigh(av, values, count); });
}

void solve_right(const py::array& r, py::array& b) {
    visit_real(b, "b", [&](auto tag) {
        using T = decltype(tag);
        const auto rv = input_matrix<T>(r, "r");
        const auto bv = output_matrix<T>(b, "b");
        require(rv.rows == rv.cols && rv.rows == bv.cols, "r: expected the order of b's columns");
        require_row_major(rv, "r");
        require(bv.row_major() || bv.col_major(), "b: expected a row- or column-major matrix");
        const ReleaseGil release;
        parallel_solve_right<T>(rv, bv);
    });
}

index_t factor(py::array& a) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a");
        require(av.rows == av.cols, "a: expected a square matrix");
        require_row_major(av, "a");
        const ReleaseGil release;
        return lapack::potrf_upper<T>(av);
    });
}

// R to r (k x n), Q to the leading k columns of a, k = min(m, n); of an empty r, the order alone.
void pivoted(py::array& a, py::array& r, py::array& perm) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a"), rv = output_matrix<T>(r, "r");
        const auto pv = output_vector<std::int32_t>(perm, "perm");
        const index_t k = std::min(av.rows, av.cols);
        require(av.col_major(), "a: expected a column-major matrix");
        require((rv.empty() || (rv.rows == k && rv.cols == av.cols)) && pv.size == av.cols,
                "small_pivoted_qr: shapes of r and perm do not agree with a");
        const ReleaseGil release;
        blas::use_one_thread();
        const Scratch<T> tau(k);
        lapack::geqp3<T>(av, pv.data, tau.data());
        if (rv.empty()) return;
        for (index_t i = 0; i < k; ++i)
            for (index_t j = 0; j < av.cols; ++j) rv(i, j) = j >= i ? av(i, j) : T(0);
        lapack::orgqr<T>(av.block(0, av.rows, 0, k), tau.data(), k);
    });
}

void lu_swaps(py::array& a, py::array& swaps) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a");
        const auto sv = output_vector<std::int32_t>(swaps, "swaps");
        require(av.col_major(), "a: expected a column-major matrix");
        require(sv.size == std::min(av.rows, av.cols), "swaps: expected one for every pivot");
        const ReleaseGil release;
        blas::use_one_thread();
        lapack::getrf<T>(av, sv.data);
    });
}

py::tuple blocked_pivoted(py::array& a, py::array& t, py::array& perm, index_t most_columns,
                          double target_squares, std::uint64_t seed) {
    return visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a"), tv = output_matrix<T>(t, "t");
        const auto pv = output_vector<std::int32_t>(perm, "perm");
        require(pv.size == av.cols, "perm: expected one index for every column");
        PivotedQrReport report;
        {
            const ReleaseGil release;
            report = blocked_pivoted_qr<T>(av, pv.data, tv,
                                           {tv.rows, most_columns, target_squares, seed});
        }
        return py::make_tuple(report.columns, report.sketches);
    });
}

void pivoted_q(const py::array& a, const py::array& t, index_t columns, py::array& q) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a"), tv = input_matrix<T>(t, "t");
        const auto qv = output_matrix<T>(q, "q");
        require(columns >= 0 && columns <= std::min(av.rows, av.cols), "columns: out of range");
        const ReleaseGil release;
        form_q<T>(av, tv, columns, qv);
    });
}

void precondition_columns(const py::array& a, const py::array& columns, const py::array& factor,
                          bool solve, py::array& q, py::array& gram) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto cv = input_vector<std::int32_t>(columns, "columns");
        const auto fv = input_matrix<double>(factor, "factor");
        const auto qv = output_matrix<T>(q, "q");
        const auto gv = output_matrix<double>(gram, "gram");
        require(cv.size == qv.cols, "columns: expected one index for every column of q");
        for (index_t j = 0; j < cv.size; ++j)
            require(cv.data[j] >= 0 && cv.data[j] < av.cols, "columns: index out of range");
        const ReleaseGil release;
        precondition<T>(av, cv.data, fv, solve ? Precondition::solve : Precondition::multiply, qv,
                        gv);
    });
}

void multiply_in_place(py::array& q, const py::array& m, py::array& gram, bool wide) {
    visit_real(q, "q", [&](auto tag) {
        using T = decltype(tag);
        const auto qv = output_matrix<T>(q, "q");
        const auto mv = input_matrix<double>(m, "m");
        const auto gv = output_matrix<double>(gram, "gram");
        const ReleaseGil release;
        multiply_columns<T>(qv, mv, gv, wide);
    });
}

void moments_of_leading(py::array& a, index_t apart, py::array& out) {
    const auto av = output_matrix<float>(a, "a");
    const auto ov = output_matrix<double>(out, "out");
    const ReleaseGil release;
    leading_moments(av, apart, ov);
}

void add_products_of_leading(py::array& a, const py::array& m, py::array& gram, index_t stretch) {
    const auto av = output_matrix<float>(a, "a");
    const auto mv = input_matrix<double>(m, "m");
    const auto gv = output_matrix<double>(gram, "gram");
    const ReleaseGil release;
    add_leading(av, mv, gv, stretch);
}

// The upper triangle of r by its Cholesky factor, inverse by that of the factor. Returns the order
// of the leading minor that is not positive definite, 0 if all are.
index_t cholesky_factor(py::array& r, py::array& inverse) {
    const auto rv = output_matrix<double>(r, "r"), iv = output_matrix<double>(inverse, "inverse");
    require(rv.rows == rv.cols && iv.rows == rv.rows && iv.cols == rv.cols,
            "cholesky_factor: expected two square matrices of one order");
    require_row_major(rv, "r");
    require_row_major(iv, "inverse");
    const ReleaseGil release;
    blas::use_one_thread();
    const index_t minor = lapack::potrf_upper<double>(rv);
    if (minor != 0) return minor;
    for (index_t i = 0; i < rv.rows; ++i)
        for (index_t j = 0; j < rv.cols; ++j) iv(i, j) = rv(i, j) = j < i ? 0.0 : rv(i, j);
    return lapack::trtri_upper<double>(iv);
}

// Returns 1 + the index of a zero pivot, 0 if there is none.
index_t invert_upper(py::array& r) {
    const auto rv = output_matrix<double>(r, "r");
    require(rv.rows == rv.cols, "r: expected a square matrix");
    require_row_major(rv, "r");
    const ReleaseGil release;
    blas::use_one_thread();
    return lapack::trtri_upper<double>(rv);
}

// An empty q: R only.
void tall_skinny(const py::array& a, int exponent, py::array& q, py::array& r) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        auto qv = output_matrix<T>(q, "q");
        const auto rv = output_matrix<T>(r, "r");
        if (qv.empty()) qv = {};
        const ReleaseGil release;
        tsqr<T>(av, exponent, qv, rv);
    });
}

void geqrt(py::array& a, py::array& t) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a"), tv = output_matrix<T>(t, "t");
        require(av.rows >= av.cols && tv.rows == av.cols && tv.cols == av.cols,
                "geqrt: a is tall, t of its columns");
        const ReleaseGil release;
        blas::use_one_thread();
        lapack::geqrt<T>(av, tv);
    });
}

void scaled_copy(const py::array& a, int exponent, py::array& out) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto ov = output_matrix<T>(out, "out");
        const ReleaseGil release;
        copy_scaled<T>(av, exponent, ov);
    });
}

void upper_in_place(py::array& a, index_t columns, int exponent) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = output_matrix<T>(a, "a");
        const ReleaseGil release;
        scale_upper<T>(av, columns, exponent);
    });
}

void upper_copy(const py::array& a, int exponent, py::array& out) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto ov = output_matrix<T>(out, "out");
        const ReleaseGil release;
        extract_upper<T>(av, exponent, ov);
    });
}

const char* route_name(CholeskyQrReport::Route route) {
    switch (route) {
        case CholeskyQrReport::Route::cholesky:
            return "cholesky";
        case CholeskyQrReport::Route::sketch:
            return "sketch";
        default:
            return "failed";
    }
}

py::tuple cholesky(const py::array& y, py::array& q, py::array& r, std::uint64_t seed) {
    return visit_real(y, "y", [&](auto tag) {
        using T = decltype(tag);
        const auto yv = input_matrix<T>(y, "y");
        const auto qv = output_matrix<T>(q, "q"), rv = output_matrix<T>(r, "r");
        require(
            qv.rows == yv.rows && qv.cols == yv.cols && rv.rows == yv.cols && rv.cols == yv.cols,
            "cholesky_qr: shapes of q and r do not agree with y");
        require_row_major(qv, "q");
        require_row_major(rv, "r");
        CholeskyQrReport report;
        {
            const ReleaseGil release;
            report = cholesky_qr<T>(yv, qv, rv, seed);
        }
        return py::make_tuple(route_name(report.route), report.passes, report.deflated);
    });
}

}  // namespace

void register_qr(py::module_& m) {
    m.def("householder_qr", &householder, py::arg("a").noconvert(), py::arg("r").noconvert(),
          "Overwrites the tall column-major a by Q and the square r by R.");
    m.def("cholesky_qr", &cholesky, py::arg("y").noconvert(), py::arg("q").noconvert(),
          py::arg("r").noconvert(), py::arg("seed"), "(route, passes, deflated columns).");
    m.def("small_svd", &svd, py::arg("a").noconvert(), py::arg("u").noconvert(),
          py::arg("s").noconvert(), py::arg("vh").noconvert(),
          "Thin SVD of the row-major a, which is overwritten; returns LAPACK's info.");
    m.def("small_eigh", &eigh, py::arg("a").noconvert(), py::arg("w").noconvert(),
          "Eigenvectors of the upper triangle of a as its rows; returns LAPACK's info.");
    m.def("leading_eigh", &eigh_leading, py::arg("a").noconvert(), py::arg("w").noconvert(),
          py::arg("count"),
          "The same with w by decreasing magnitude, and the vectors of the first `count`.");
    m.def("small_cholesky", &factor, py::arg("a").noconvert(),
          "Upper Cholesky factor in the upper triangle of a; returns LAPACK's info.");
    m.def("small_pivoted_qr", &pivoted, py::arg("a").noconvert(), py::arg("r").noconvert(),
          py::arg("perm").noconvert(),
          "Overwrites the leading columns of a by Q; R to r, or neither if r is empty.");
    m.def("lu_swaps", &lu_swaps, py::arg("a").noconvert(), py::arg("swaps").noconvert(),
          "Row swaps of the partially pivoted LU of a, which is overwritten.");
    m.def("blocked_pivoted_qr", &blocked_pivoted, py::arg("a").noconvert(),
          py::arg("t").noconvert(), py::arg("perm").noconvert(), py::arg("most_columns"),
          py::arg("target_squares"), py::arg("seed"), "(columns factored, sketches taken).");
    m.def("form_q", &pivoted_q, py::arg("a").noconvert(), py::arg("t").noconvert(),
          py::arg("columns"), py::arg("q").noconvert(), "Leading columns of Q of the raw a.");
    m.def("precondition", &precondition_columns, py::arg("a").noconvert(),
          py::arg("columns").noconvert(), py::arg("factor").noconvert(), py::arg("solve"),
          py::arg("q").noconvert(), py::arg("gram").noconvert(),
          "q = a[:, columns] times the inverse, or with the triangle solved for; gram = q^T q.");
    m.def("leading_moments", &moments_of_leading, py::arg("a").noconvert(), py::arg("apart"),
          py::arg("out").noconvert(),
          "Exchange columns j and j apart of a, then out = x^T a of its first x, in float64.");
    m.def("add_leading", &add_products_of_leading, py::arg("a").noconvert(),
          py::arg("m").noconvert(), py::arg("gram").noconvert(), py::arg("stretch"),
          "[x, y] := [x m_1, y + x m_2] in float64, rounded once, and gram = y^T y of the new y.");
    m.def("multiply_columns", &multiply_in_place, py::arg("q").noconvert(),
          py::arg("m").noconvert(), py::arg("gram").noconvert(), py::arg("wide"),
          "q := q m, m upper triangular; gram of the result unless it is empty.");
    m.def("cholesky_factor", &cholesky_factor, py::arg("r").noconvert(),
          py::arg("inverse").noconvert(), "Order of the first bad leading minor, or 0.");
    m.def("invert_upper", &invert_upper, py::arg("r").noconvert(),
          "r := r^-1 in its upper triangle; 1 + the index of a zero pivot, or 0.");
    m.def("tsqr", &tall_skinny, py::arg("a").noconvert(), py::arg("exponent"),
          py::arg("q").noconvert(), py::arg("r").noconvert(),
          "2^-exponent a = q r for tall a; q may be a, or empty for r only.");
    m.def("geqrt", &geqrt, py::arg("a").noconvert(), py::arg("t").noconvert(),
          "Reflectors and R in a, the upper triangle of T in t; both column-major.");
    m.def("copy_scaled", &scaled_copy, py::arg("a").noconvert(), py::arg("exponent"),
          py::arg("out").noconvert(), "out = 2^exponent a.");
    m.def("scale_upper", &upper_in_place, py::arg("a").noconvert(), py::arg("columns"),
          py::arg("exponent"), "What is not reflectors of the raw a times 2^exponent, in place.");
    m.def("extract_upper", &upper_copy, py::arg("a").noconvert(), py::arg("exponent"),
          py::arg("out").noconvert(), "R of the raw a, turned to a nonnegative diagonal.");
    m.def("solve_right", &solve_right, py::arg("r").noconvert(), py::arg("b").noconvert(),
          "b := b r^-1, r upper triangular.");
}

}  // namespace randnla::bindings
