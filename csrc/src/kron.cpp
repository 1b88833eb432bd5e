// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/kron.hpp"

#include <algorithm>
#include <cmath>

#include "randnla/error.hpp"
#include "randnla/gemm.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

constexpr index_t entries_per_chunk = index_t{1} << 16;
constexpr index_t row_piece = 512;  // weights made at a time

index_t rows_per_chunk(index_t cols) {
    return std::max<index_t>(1, entries_per_chunk / std::max<index_t>(1, cols));
}

double weight(const KronSpectrum& spectrum, double s, double t) {
    const double x = s * t + spectrum.damping;
    switch (spectrum.function) {
        case KronFunction::value:
            return spectrum.scale * x;
        case KronFunction::inverse:
            return spectrum.scale / x;
        case KronFunction::root:
            return spectrum.scale * std::sqrt(x);
        default:
            return spectrum.scale / std::sqrt(x);
    }
}

// out[j] = weight(s, t[j]): one loop a function, so that each runs in vectors.
template <class T>
void weights_of_row(const KronSpectrum& spectrum, double s, const double* t, index_t n, T* out) {
    const double damping = spectrum.damping, scale = spectrum.scale;
    if (spectrum.function == KronFunction::value) {
        for (index_t j = 0; j < n; ++j) out[j] = static_cast<T>(scale * (s * t[j] + damping));
    } else if (spectrum.function == KronFunction::inverse) {
        for (index_t j = 0; j < n; ++j) out[j] = static_cast<T>(scale / (s * t[j] + damping));
    } else {
        for (index_t j = 0; j < n; ++j) out[j] = static_cast<T>(weight(spectrum, s, t[j]));
    }
}

// to(i, j) = w(i, j) from(i, j); `to` may be `from`.
template <class T>
void weigh(const KronSpectrum& spectrum, MatrixView<const T> from, MatrixView<T> to) {
    parallel_for(from.rows, rows_per_chunk(from.cols), [&](index_t begin, index_t end) {
        T w[row_piece];
        for (index_t i = begin; i < end; ++i)
            for (index_t j0 = 0; j0 < from.cols; j0 += row_piece) {
                const index_t n = std::min(row_piece, from.cols - j0);
                weights_of_row<T>(spectrum, spectrum.left[i], spectrum.right + j0, n, w);
                const T* const source = &from(i, j0);
                T* const target = &to(i, j0);
                if (from.col_stride == 1 && to.col_stride == 1) {
                    for (index_t j = 0; j < n; ++j) target[j] = w[j] * source[j];
                } else {
                    for (index_t j = 0; j < n; ++j)
                        target[j * to.col_stride] = w[j] * source[j * from.col_stride];
                }
            }
    });
}

// to(i, j) = c(i) from(i, j), c a function of the row; `to` may be `from`.
template <class T, class RowWeight>
void scale_rows(const RowWeight& c, MatrixView<const T> from, MatrixView<T> to) {
    parallel_for(from.rows, rows_per_chunk(from.cols), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
            const T ci = static_cast<T>(c(i));
            if (from.col_stride == 1 && to.col_stride == 1) {
                const T* const source = &from(i, 0);
                T* const target = &to(i, 0);
                for (index_t j = 0; j < from.cols; ++j) target[j] = ci * source[j];
            } else {
                for (index_t j = 0; j < from.cols; ++j) to(i, j) = ci * from(i, j);
            }
        }
    });
}

template <class Weight>
bool differs(const Weight& weight, index_t n) {
    for (index_t i = 0; i < n; ++i)
        if (weight(i) != 0) return true;
    return false;
}

template <class T>
void multiply(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, T beta = T(0)) {
    parallel_gemm<T>(T(1), a, b, beta, c);
}

// Neither factor has a complement.
template <class T>
void apply_full(const KronBasis<T>& left, const KronBasis<T>& right, const KronSpectrum& spectrum,
                MatrixView<const T> v, MatrixView<T> x) {
    if (left.identity() && right.identity()) return weigh<T>(spectrum, v, x);
    const auto p = left.vectors, q = right.vectors;
    const Scratch<T> memory(v.rows * v.cols);
    const auto inner = row_major_view(memory.data(), v.rows, v.cols);
    if (right.identity()) {
        multiply<T>(p.transposed(), v, inner);
        weigh<T>(spectrum, inner, inner);
        return multiply<T>(p, inner, x);
    }
    if (left.identity()) {
        multiply<T>(v, q, inner);
        weigh<T>(spectrum, inner, inner);
        return multiply<T>(inner, q.transposed(), x);
    }
    multiply<T>(p.transposed(), v, inner);
    multiply<T>(inner, q, x);
    weigh<T>(spectrum, x, x);
    multiply<T>(x, q.transposed(), inner);
    multiply<T>(p, inner, x);
}

// The right factor alone has one: in the left basis a row i is w_i,rest on the complement.
template <class T>
void apply_right_low(const KronBasis<T>& left, const KronBasis<T>& right,
                     const KronSpectrum& spectrum, MatrixView<const T> v, MatrixView<T> x) {
    const auto q = right.vectors;
    const index_t r = q.cols;
    const Scratch<T> memory(left.identity() ? 0 : v.rows * v.cols), core(v.rows * r);
    const auto c = row_major_view(core.data(), v.rows, r);
    MatrixView<const T> turned = v;
    MatrixView<T> sum = x;
    if (!left.identity()) {
        sum = row_major_view(memory.data(), v.rows, v.cols);
        multiply<T>(left.vectors.transposed(), v, sum);
        turned = sum;
    }
    const auto rest = [&](index_t i) {
        return weight(spectrum, spectrum.left[i], spectrum.right[r]);
    };
    multiply<T>(turned, q, c);
    parallel_for(c.rows, rows_per_chunk(r), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i)
            for (index_t j = 0; j < r; ++j)
                c(i, j) *=
                    static_cast<T>(weight(spectrum, spectrum.left[i], spectrum.right[j]) - rest(i));
    });
    scale_rows<T>(rest, turned, sum);
    multiply<T>(c, q.transposed(), sum, T(1));
    if (!left.identity()) multiply<T>(left.vectors, sum, x);
}

// Both have one. With L = U^T V, R = V W, C = U^T V W, and f_i, f_j, f_0 the weights of pairs with
// one or both in a complement:
//   X = f_0 V + U ((f_i - f_0) L + ((f_ij - f_i - f_j + f_0) C) W^T) + (R (f_j - f_0)) W^T,
// whose two last terms are one product of [U, R (f_j - f_0)] with what stands beside them. A
// complement of eigenvalue zero leaves f_i - f_0 = 0 of the other side, and its term out.
template <class T>
void apply_low(const KronBasis<T>& left, const KronBasis<T>& right, const KronSpectrum& spectrum,
               MatrixView<const T> v, MatrixView<T> x) {
    const auto u = left.vectors, w = right.vectors;
    const index_t m = v.rows, n = v.cols, r = u.cols, s = w.cols;
    const Scratch<T> wide_memory((r + s) * n), core_memory(r * s);
    const auto wide = row_major_view(wide_memory.data(), r + s, n);
    const auto core = row_major_view(core_memory.data(), r, s);
    const auto top = wide.block(0, r, 0, n);
    const auto f = [&](index_t i, index_t j) {
        return weight(spectrum, spectrum.left[i], spectrum.right[j]);
    };
    const double f0 = f(r, s);

    const bool by_left = differs([&](index_t i) { return f(i, s) - f0; }, r);
    const bool by_right = differs([&](index_t j) { return f(r, j) - f0; }, s);
    multiply<T>(u.transposed(), v, top);
    multiply<T>(top, w, core);
    for (index_t i = 0; i < r; ++i)
        for (index_t j = 0; j < s; ++j)
            core(i, j) *= static_cast<T>((f(i, j) - f(r, j)) - (f(i, s) - f0));
    if (by_left) scale_rows<T>([&](index_t i) { return f(i, s) - f0; }, top, top);
    multiply<T>(core, w.transposed(), top, T(by_left));
    scale_rows<T>([&](index_t) { return f0; }, v, x);
    if (!by_right) return multiply<T>(u, top, x, T(1));

    const Scratch<T> tall_memory(m * (r + s)), outer(s);
    const auto tall = row_major_view(tall_memory.data(), m, r + s);
    const auto side = tall.block(0, m, r, r + s), bottom = wide.block(r, r + s, 0, n);
    multiply<T>(v, w, side);
    for (index_t j = 0; j < s; ++j) outer[j] = static_cast<T>(f(r, j) - f0);
    parallel_for(s, 16, [&](index_t begin, index_t end) {
        for (index_t k = 0; k < n; ++k)
            for (index_t j = begin; j < end; ++j) bottom(j, k) = w(k, j);
    });
    parallel_for(m, rows_per_chunk(r + s), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
            for (index_t j = 0; j < r; ++j) tall(i, j) = u(i, j);
            for (index_t j = 0; j < s; ++j) side(i, j) *= outer[j];
        }
    });
    multiply<T>(tall, wide, x, T(1));
}

template <class T>
void check_side(const KronBasis<T>& side, index_t order) {
    require(side.order == order, "kron: the order of a factor does not agree with v");
    if (side.identity()) return require(!side.complement, "kron: the identity has no complement");
    require(side.vectors.rows == order, "kron: the rows of a basis do not agree with v");
    require(side.complement ? side.vectors.cols < order : side.vectors.cols == order,
            "kron: the columns of a basis do not agree with its eigenvalues");
}

}  // namespace

template <class T>
void kron_apply(const KronBasis<T>& left, const KronBasis<T>& right, const KronSpectrum& spectrum,
                MatrixView<const T> v, MatrixView<T> x) {
    check_side<T>(left, v.rows);
    check_side<T>(right, v.cols);
    require(x.rows == v.rows && x.cols == v.cols, "x: shape does not agree with v");
    if (v.empty()) return;
    if (left.complement && right.complement) return apply_low<T>(left, right, spectrum, v, x);
    if (right.complement) return apply_right_low<T>(left, right, spectrum, v, x);
    if (!left.complement) return apply_full<T>(left, right, spectrum, v, x);
    const KronSpectrum mirrored{spectrum.right, spectrum.left, spectrum.damping, spectrum.scale,
                                spectrum.function};
    apply_right_low<T>(right, left, mirrored, v.transposed(), x.transposed());
}

template <class T>
void kron_apply_batch(const KronBasis<T>& left, const KronBasis<T>& right,
                      const KronSpectrum& spectrum, BatchView<const T> v, BatchView<T> x) {
    require(v.count == x.count, "x: batch does not agree with v");
    // Below this many multiplications a team has less to share than it costs to call it.
    constexpr index_t small = index_t{1} << 21;
    const bool together = v.count > 1 && v.rows * v.cols * (v.rows + v.cols) <= small;
    const auto all = [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) kron_apply<T>(left, right, spectrum, v[i], x[i]);
    };
    if (together)
        parallel_for(v.count, 1, all);
    else
        all(0, v.count);
}

#define RANDNLA_INSTANTIATE(T)                                                                 \
    template void kron_apply<T>(const KronBasis<T>&, const KronBasis<T>&, const KronSpectrum&, \
                                MatrixView<const T>, MatrixView<T>);                           \
    template void kron_apply_batch<T>(const KronBasis<T>&, const KronBasis<T>&,                \
                                      const KronSpectrum&, BatchView<const T>, BatchView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
