// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/blas.hpp"

#include <algorithm>
#include <limits>

#include "blas_symbols.hpp"
#include "randnla/workspace.hpp"

namespace randnla::blas {
namespace {

// How BLAS, called row-major, would read a view: as it is, transposed, or not at all.
enum class Layout { row, col, strided };

bool fits(index_t stride) {
    return stride <= std::numeric_limits<int_t>::max();
}

template <class T>
Layout layout_of(const MatrixView<T>& v) {
    if (v.row_major() && (v.rows <= 1 || fits(v.row_stride))) return Layout::row;
    if (v.col_major() && (v.cols <= 1 || fits(v.col_stride))) return Layout::col;
    return Layout::strided;
}

template <class T>
int_t leading_dimension(const MatrixView<T>& v, Layout layout) {
    const index_t stride = layout == Layout::row ? v.row_stride : v.col_stride;
    const index_t least = layout == Layout::row ? v.cols : v.rows;
    // A single row or column may come with any stride, which BLAS would refuse.
    const bool single = (layout == Layout::row ? v.rows : v.cols) <= 1;
    return narrow(single ? std::max<index_t>(1, least) : std::max<index_t>(1, stride),
                  "leading dimension");
}

template <class T>
void copy(MatrixView<const T> from, MatrixView<T> to) {
    for (index_t i = 0; i < from.rows; ++i)
        for (index_t j = 0; j < from.cols; ++j) to(i, j) = from(i, j);
}

template <class T>
void gemm_direct(T alpha, MatrixView<const T> a, Layout la, MatrixView<const T> b, Layout lb,
                 T beta, MatrixView<T> c) {
    Routines<T>::gemm(row_major_order, la == Layout::row ? no_trans : trans,
                      lb == Layout::row ? no_trans : trans, narrow(c.rows, "rows"),
                      narrow(c.cols, "columns"), narrow(a.cols, "inner dimension"), alpha, a.data,
                      leading_dimension(a, la), b.data, leading_dimension(b, lb), beta, c.data,
                      leading_dimension(c, Layout::row));
}

// At most this many elements of an operand are packed at a time.
constexpr index_t panel_elements = index_t{1} << 17;

template <class T>
void scale(T beta, MatrixView<T> c) {
    for (index_t i = 0; i < c.rows; ++i)
        for (index_t j = 0; j < c.cols; ++j) c(i, j) = beta == T(0) ? T(0) : beta * c(i, j);
}

template <class T>
void gemm_packed_output(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                        MatrixView<T> c) {
    const index_t step = std::max<index_t>(1, panel_elements / std::max<index_t>(1, c.cols));
    const Scratch<T> buffer(std::min(step, c.rows) * c.cols);
    for (index_t i = 0; i < c.rows; i += step) {
        const index_t end = std::min(c.rows, i + step);
        const auto target = c.block(i, end, 0, c.cols);
        const auto packed = row_major_view(buffer.data(), end - i, c.cols);
        if (beta != T(0)) copy<T>(target, packed);
        gemm<T>(alpha, a.block(i, end, 0, a.cols), b, beta, packed);
        copy<T>(packed, target);
    }
}

// A or B has strides of its own: accumulate over panels of the inner dimension, packing both sides'
// share of those that need it. Operands of many rows or columns go by in blocks, so that a packed
// panel stays within panel_elements.
template <class T>
void gemm_packed_input(T alpha, MatrixView<const T> a, Layout la, MatrixView<const T> b, Layout lb,
                       T beta, MatrixView<T> c) {
    constexpr index_t most = panel_elements / 16;
    if (la == Layout::strided && a.rows > most) {
        for (index_t i = 0; i < a.rows; i += most) {
            const index_t end = std::min(a.rows, i + most);
            gemm<T>(alpha, a.block(i, end, 0, a.cols), b, beta, c.block(i, end, 0, c.cols));
        }
        return;
    }
    if (lb == Layout::strided && b.cols > most) {
        for (index_t j = 0; j < b.cols; j += most) {
            const index_t end = std::min(b.cols, j + most);
            gemm<T>(alpha, a, b.block(0, b.rows, j, end), beta, c.block(0, c.rows, j, end));
        }
        return;
    }
    const index_t widest =
        std::max(la == Layout::strided ? a.rows : 1, lb == Layout::strided ? b.cols : 1);
    const index_t step =
        std::clamp<index_t>(panel_elements / widest, 16, std::max<index_t>(16, a.cols));
    const Scratch<T> a_buffer(la == Layout::strided ? a.rows * step : 0),
        b_buffer(lb == Layout::strided ? step * b.cols : 0);
    for (index_t k = 0; k < a.cols; k += step) {
        const index_t end = std::min(a.cols, k + step);
        MatrixView<const T> ak = a.block(0, a.rows, k, end), bk = b.block(k, end, 0, b.cols);
        if (la == Layout::strided) {
            const auto packed = row_major_view(a_buffer.data(), ak.rows, ak.cols);
            copy<T>(ak, packed);
            ak = packed;
        }
        if (lb == Layout::strided) {
            const auto packed = row_major_view(b_buffer.data(), bk.rows, bk.cols);
            copy<T>(bk, packed);
            bk = packed;
        }
        gemm_direct<T>(alpha, ak, layout_of(ak), bk, layout_of(bk), k == 0 ? beta : T(1), c);
    }
}

// One column: GEMM would pack A for a single use, which takes four to eight times as long.
template <class T>
void gemv(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    if (beta == T(0)) scale(T(0), c);  // what C held may be NaN
    const bool by_rows = layout_of(a) == Layout::row;
    Routines<T>::gemv(row_major_order, by_rows ? no_trans : trans,
                      narrow(by_rows ? a.rows : a.cols, "rows"),
                      narrow(by_rows ? a.cols : a.rows, "columns"), alpha, a.data,
                      leading_dimension(a, layout_of(a)), b.data, narrow(b.row_stride, "stride"),
                      beta == T(0) ? T(1) : beta, c.data, narrow(c.row_stride, "stride"));
}

}  // namespace

void use_one_thread() {
#ifdef RANDNLA_BLAS_VENDORED
    if (scipy_openblas_get_num_threads() != 1) scipy_openblas_set_num_threads(1);
#else
    if (openblas_set_num_threads != nullptr && openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
#endif
}

std::string config() {
#ifdef RANDNLA_BLAS_VENDORED
    return scipy_openblas_get_config();
#else
    const std::string found = openblas_get_config != nullptr ? openblas_get_config() : "unknown";
    return found + " (system)";
#endif
}

std::string core_name() {
#ifdef RANDNLA_BLAS_VENDORED
    return scipy_openblas_get_corename();
#else
    return openblas_get_corename != nullptr ? openblas_get_corename() : "unknown processors";
#endif
}

bool packs_always() {
    static const bool packs = [] {
        const std::string name = core_name();
        return name != "SkylakeX" && name != "Cooperlake" && name != "SapphireRapids";
    }();
    return packs;
}

template <class T>
void gemm(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    if (c.empty()) return;
    if (a.cols == 0) return scale(beta, c);
    const auto steps = [](index_t stride) { return stride > 0 && fits(stride); };
    if (c.cols == 1 && layout_of(a) != Layout::strided && steps(b.row_stride) &&
        steps(c.row_stride))
        return gemv<T>(alpha, a, b, beta, c);
    const Layout lc = layout_of(c);
    // C^T = B^T A^T
    if (lc == Layout::col)
        return gemm<T>(alpha, b.transposed(), a.transposed(), beta, c.transposed());
    if (lc == Layout::strided) return gemm_packed_output<T>(alpha, a, b, beta, c);
    const Layout la = layout_of(a), lb = layout_of(b);
    if (la == Layout::strided || lb == Layout::strided)
        return gemm_packed_input<T>(alpha, a, la, b, lb, beta, c);
    gemm_direct<T>(alpha, a, la, b, lb, beta, c);
}

template <class T>
void syrk(T alpha, MatrixView<const T> a, T beta, MatrixView<T> c) {
    if (c.empty()) return;
    const Layout la = layout_of(a);
    if (la == Layout::strided || a.rows == 0) {
        // GEMM writes both triangles: by narrow strips that leave the lower one alone.
        constexpr index_t strip = 64;
        for (index_t j = 0; j < c.cols; j += strip) {
            const index_t end = std::min(c.cols, j + strip), width = end - j;
            const auto part = a.block(0, a.rows, j, end);
            gemm<T>(alpha, a.block(0, a.rows, 0, j).transposed(), part, beta,
                    c.block(0, j, j, end));
            T square[strip * strip];
            const auto corner = row_major_view(square, width, width);
            gemm<T>(alpha, part.transposed(), part, T(0), corner);
            for (index_t p = 0; p < width; ++p)
                for (index_t q = p; q < width; ++q) {
                    T& entry = c(j + p, j + q);
                    entry = corner(p, q) + (beta == T(0) ? T(0) : beta * entry);
                }
        }
        return;
    }
    Routines<T>::syrk(row_major_order, upper, la == Layout::row ? trans : no_trans,
                      narrow(c.rows, "order"), narrow(a.rows, "inner dimension"), alpha, a.data,
                      leading_dimension(a, la), beta, c.data, leading_dimension(c, Layout::row));
}

template <class T>
void trsm_right_upper(MatrixView<const T> r, MatrixView<T> b) {
    if (b.empty()) return;
    constexpr int left = 141;
    const Layout lb = layout_of(b);
    require(r.row_major() && lb != Layout::strided, "triangular solve needs contiguous operands");
    if (lb == Layout::row) {
        Routines<T>::trsm(row_major_order, right, upper, no_trans, non_unit, narrow(b.rows, "rows"),
                          narrow(b.cols, "columns"), T(1), r.data,
                          leading_dimension(r, Layout::row), b.data,
                          leading_dimension(b, Layout::row));
    } else {  // B^T := R^{-T} B^T; told as a row-major problem whose B is b transposed
        Routines<T>::trsm(row_major_order, left, upper, trans, non_unit, narrow(b.cols, "rows"),
                          narrow(b.rows, "columns"), T(1), r.data,
                          leading_dimension(r, Layout::row), b.data,
                          leading_dimension(b, Layout::col));
    }
}

template <class T>
void trsm_right_upper_transposed(MatrixView<const T> r, MatrixView<T> b) {
    if (b.empty()) return;
    require(r.row_major() && b.row_major(), "triangular solve needs row-major operands");
    Routines<T>::trsm(row_major_order, right, upper, trans, non_unit, narrow(b.rows, "rows"),
                      narrow(b.cols, "columns"), T(1), r.data, leading_dimension(r, Layout::row),
                      b.data, leading_dimension(b, Layout::row));
}

#define RANDNLA_INSTANTIATE(T)                                                            \
    template void gemm<T>(T, MatrixView<const T>, MatrixView<const T>, T, MatrixView<T>); \
    template void syrk<T>(T, MatrixView<const T>, T, MatrixView<T>);                      \
    template void trsm_right_upper_transposed<T>(MatrixView<const T>, MatrixView<T>);     \
    template void trsm_right_upper<T>(MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::blas
