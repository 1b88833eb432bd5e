// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/cholesky_batched.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "randnla/blas.hpp"
#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Up to this order the interleaved triangles of a register of matrices stay in the second cache.
constexpr index_t interleaved_limit = 160;

template <class Work>
struct Table;
template <>
struct Table<float> {
    static index_t lanes() { return batched_kernels().lanes_f32; }
    static auto cholesky() { return batched_kernels().cholesky_f32; }
    static auto invert() { return batched_kernels().invert_f32; }
    static auto solve() { return batched_kernels().solve_f32; }
};
template <>
struct Table<double> {
    static index_t lanes() { return batched_kernels().lanes_f64; }
    static auto cholesky() { return batched_kernels().cholesky_f64; }
    static auto invert() { return batched_kernels().invert_f64; }
    static auto solve() { return batched_kernels().solve_f64; }
};

template <class T, class Work>
auto gather_kernel() {
    if constexpr (std::is_same_v<T, double>)
        return batched_kernels().gather_f64;
    else if constexpr (std::is_same_v<Work, float>)
        return batched_kernels().gather_f32;
    else
        return batched_kernels().gather_wide;
}
template <class T, class Work>
auto scatter_kernel() {
    if constexpr (std::is_same_v<T, double>)
        return batched_kernels().scatter_f64;
    else if constexpr (std::is_same_v<Work, float>)
        return batched_kernels().scatter_f32;
    else
        return batched_kernels().scatter_wide;
}

// Matrices [begin, end) of a batch, with what is added to their diagonals.
template <class T>
struct Group {
    BatchView<const T> a;
    const double* shift;
    index_t shift_stride, begin, end;

    index_t size() const { return end - begin; }
    double shift_of(index_t i) const { return shift[(begin + i) * shift_stride]; }
};

// Whether a register is full, of matrices that are read and written by runs as long as it.
template <class T>
bool by_runs(BatchView<T> a, index_t count, index_t lanes) {
    return count == lanes && a.col_stride == 1 && a.rows >= lanes;
}

// Lower triangles side by side; lanes without a matrix hold the identity.
template <class T, class Work>
void interleave(const Group<T>& group, index_t lanes, Work* out) {
    const index_t n = group.a.rows;
    const T* const base = group.a.data + group.begin * group.a.stride;
    if (by_runs(group.a, group.size(), lanes)) {
        gather_kernel<T, Work>()(base, group.a.stride, group.a.row_stride, static_cast<int>(n),
                                 out);
    } else {
        Work* target = out;
        for (index_t i = 0; i < n; ++i)
            for (index_t j = 0; j <= i; ++j, target += lanes) {
                const T* const entry = base + i * group.a.row_stride + j * group.a.col_stride;
                for (index_t l = 0; l < group.size(); ++l)
                    target[l] = static_cast<Work>(entry[l * group.a.stride]);
                for (index_t l = group.size(); l < lanes; ++l) target[l] = Work(i == j);
            }
    }
    for (index_t i = 0; i < n; ++i) {
        Work* const diagonal = out + i * (i + 3) / 2 * lanes;
        for (index_t l = 0; l < group.size(); ++l)
            diagonal[l] += static_cast<Work>(group.shift_of(l));
    }
}

// flags[lane] := `order` + 1 where T does not hold an entry of a triangle. The diagonal tells:
// entries of a definite inverse are no larger than it, and a factor has positive finite pivots.
template <class T, class Work>
void find_beyond(const Work* in, index_t lanes, index_t order, std::int32_t* flags) {
    constexpr auto limit = static_cast<Work>(std::numeric_limits<T>::max());
    for (index_t i = 0; i < order; ++i)
        for (index_t l = 0; l < lanes; ++l)
            if (!(in[i * (i + 3) / 2 * lanes + l] <= limit) && flags[l] == 0)
                flags[l] = static_cast<std::int32_t>(order + 1);
}

template <class Work, class T>
void write_lower(const Work* in, index_t lanes, BatchView<T> out, index_t begin, index_t count,
                 bool symmetric) {
    if (by_runs(out, count, lanes)) {
        return scatter_kernel<T, Work>()(in, static_cast<int>(out.rows), symmetric,
                                         out.data + begin * out.stride, out.stride, out.row_stride);
    }
    for (index_t i = 0; i < out.rows; ++i)
        for (index_t j = 0; j <= i; ++j, in += lanes)
            for (index_t l = 0; l < count; ++l) {
                T* const matrix = out.data + (begin + l) * out.stride;
                const T value = static_cast<T>(in[l]);
                matrix[i * out.row_stride + j * out.col_stride] = value;
                matrix[j * out.row_stride + i * out.col_stride] =
                    symmetric || i == j ? value : T(0);
            }
}

template <class T>
bool all_finite(MatrixView<T> x) {
    for (index_t i = 0; i < x.rows; ++i)
        for (index_t j = 0; j < x.cols; ++j)
            if (!std::isfinite(x(i, j))) return false;
    return true;
}

template <class T>
void fill_nan(MatrixView<T> x) {
    for (index_t i = 0; i < x.rows; ++i)
        for (index_t j = 0; j < x.cols; ++j) x(i, j) = std::numeric_limits<T>::quiet_NaN();
}

// Results that T does not hold are a failure of the matrix.
template <class T>
void refuse_beyond(MatrixView<T> x, index_t order, std::int32_t& info) {
    if (all_finite<T>(x)) return;
    info = static_cast<std::int32_t>(order + 1);
    fill_nan<T>(x);
}

// The same for solutions, unless the right-hand side is to blame.
template <class T>
void refuse_beyond(MatrixView<T> x, MatrixView<const T> b, std::int32_t& info) {
    if (!all_finite<T>(x) && all_finite<const T>(b)) refuse_beyond<T>(x, x.rows, info);
}

// run(group, work, info) for every register of matrices, work holding its interleaved triangles.
template <class T, class Work, class Run>
void for_each_register(BatchView<const T> a, const double* shift, index_t shift_stride,
                       std::int32_t* info, const Run& run) {
    const index_t n = a.rows, lanes = Table<Work>::lanes(), groups = (a.count + lanes - 1) / lanes;
    const index_t grain = std::max<index_t>(1, 4096 / (n * n + 1));
    parallel_for(groups, grain, [&](index_t begin, index_t end) {
        const Scratch<Work> work(n * (n + 1) / 2 * lanes);
        const Scratch<std::int32_t> flags(lanes);
        for (index_t g = begin; g < end; ++g) {
            const Group<T> group{a, shift, shift_stride, g * lanes,
                                 std::min(a.count, (g + 1) * lanes)};
            std::fill(flags.data(), flags.data() + lanes, 0);
            interleave<T, Work>(group, lanes, work.data());
            run(group, work.data(), flags.data());
            std::copy(flags.data(), flags.data() + group.size(), info + group.begin);
        }
    });
}

// What `kernel` makes of the triangles, written to `out` as a triangle or a symmetric matrix.
template <class T, class Work, class Kernel>
void by_register(BatchView<const T> a, const double* shift, index_t shift_stride, BatchView<T> out,
                 std::int32_t* info, Kernel kernel, bool symmetric) {
    const index_t lanes = Table<Work>::lanes();
    for_each_register<T, Work>(
        a, shift, shift_stride, info, [&](const Group<T>& group, Work* work, std::int32_t* flags) {
            kernel(work, static_cast<int>(a.rows), flags);
            find_beyond<T, Work>(work, lanes, a.rows, flags);
            write_lower<Work, T>(work, lanes, out, group.begin, group.size(), symmetric);
            for (index_t l = 0; l < group.size(); ++l)
                if (flags[l] != 0) fill_nan<T>(out[group.begin + l]);
        });
}

// run(i, L) for every matrix, L (n x n, row-major) its upper factor R = L^T by LAPACK.
template <class T, class Work, class Run>
void for_each_matrix(BatchView<const T> a, const double* shift, index_t shift_stride,
                     std::int32_t* info, const Run& run) {
    const index_t n = a.rows;
    parallel_for(a.count, 1, [&](index_t begin, index_t end) {
        const Scratch<Work> work(n * n);
        for (index_t m = begin; m < end; ++m) {
            const auto r = row_major_view(work.data(), n, n);
            const auto source = a[m];
            for (index_t i = 0; i < n; ++i) {
                for (index_t j = 0; j <= i; ++j) r(j, i) = static_cast<Work>(source(i, j));
                r(i, i) += static_cast<Work>(shift[m * shift_stride]);
            }
            info[m] = static_cast<std::int32_t>(lapack::potrf_upper<Work>(r));
            // Comparisons with NaN are false, so that LAPACK may pass it.
            for (index_t i = 0; i < n && info[m] == 0; ++i)
                if (!(r(i, i) > Work(0)) || !std::isfinite(r(i, i)))
                    info[m] = static_cast<std::int32_t>(i + 1);
            run(m, r);
        }
    });
}

}  // namespace

template <class T, class Work>
void batched_cholesky(BatchView<const T> a, const double* shift, index_t shift_stride,
                      BatchView<T> lower, std::int32_t* info) {
    if (a.rows == 0) return std::fill(info, info + a.count, 0);
    if (a.rows <= interleaved_limit) {
        return by_register<T, Work>(a, shift, shift_stride, lower, info, Table<Work>::cholesky(),
                                    false);
    }
    for_each_matrix<T, Work>(a, shift, shift_stride, info, [&](index_t m, MatrixView<Work> r) {
        const auto out = lower[m];
        if (info[m] != 0) return fill_nan<T>(out);
        for (index_t i = 0; i < a.rows; ++i)
            for (index_t j = 0; j < a.rows; ++j)
                out(i, j) = j <= i ? static_cast<T>(r(j, i)) : T(0);
        refuse_beyond<T>(out, a.rows, info[m]);
    });
}

template <class T, class Work>
void batched_inverse(BatchView<const T> a, const double* shift, index_t shift_stride,
                     BatchView<T> inverse, std::int32_t* info) {
    if (a.rows == 0) return std::fill(info, info + a.count, 0);
    if (a.rows <= interleaved_limit) {
        return by_register<T, Work>(a, shift, shift_stride, inverse, info, Table<Work>::invert(),
                                    true);
    }
    for_each_matrix<T, Work>(a, shift, shift_stride, info, [&](index_t m, MatrixView<Work> r) {
        const auto out = inverse[m];
        if (info[m] != 0 || lapack::potri_upper<Work>(r) != 0) return fill_nan<T>(out);
        for (index_t i = 0; i < a.rows; ++i)
            for (index_t j = i; j < a.rows; ++j) out(i, j) = out(j, i) = static_cast<T>(r(i, j));
        refuse_beyond<T>(out, a.rows, info[m]);
    });
}

template <class T, class Work>
void batched_solve(BatchView<const T> a, const double* shift, index_t shift_stride,
                   BatchView<const T> b, BatchView<T> x, std::int32_t* info) {
    const index_t n = a.rows, k = b.cols;
    if (n == 0) return std::fill(info, info + a.count, 0);
    if (n <= interleaved_limit) {
        const index_t lanes = Table<Work>::lanes();
        return for_each_register<T, Work>(
            a, shift, shift_stride, info,
            [&](const Group<T>& group, Work* work, std::int32_t* flags) {
                const Scratch<Work> sides(n * k * lanes);
                std::fill(sides.data(), sides.data() + n * k * lanes, Work(0));
                for (index_t l = 0; l < group.size(); ++l) {
                    const auto side = b[group.begin + l];
                    for (index_t i = 0; i < n; ++i)
                        for (index_t j = 0; j < k; ++j)
                            sides[(i * k + j) * lanes + l] = static_cast<Work>(side(i, j));
                }
                Table<Work>::solve()(work, static_cast<int>(n), flags, sides.data(), k);
                for (index_t l = 0; l < group.size(); ++l) {
                    const auto out = x[group.begin + l];
                    if (flags[l] != 0) {
                        fill_nan<T>(out);
                        continue;
                    }
                    for (index_t i = 0; i < n; ++i)
                        for (index_t j = 0; j < k; ++j)
                            out(i, j) = static_cast<T>(sides[(i * k + j) * lanes + l]);
                    refuse_beyond<T>(out, b[group.begin + l], flags[l]);
                }
            });
    }
    for_each_matrix<T, Work>(a, shift, shift_stride, info, [&](index_t m, MatrixView<Work> r) {
        const auto out = x[m];
        if (info[m] != 0) return fill_nan<T>(out);
        const Scratch<Work> side(n * k);  // columns one after the other
        const auto source = b[m];
        for (index_t j = 0; j < k; ++j)
            for (index_t i = 0; i < n; ++i) side[j * n + i] = static_cast<Work>(source(i, j));
        lapack::potrs_upper<Work>(MatrixView<const Work>(r), side.data(), k);
        for (index_t j = 0; j < k; ++j)
            for (index_t i = 0; i < n; ++i) out(i, j) = static_cast<T>(side[j * n + i]);
        refuse_beyond<T>(out, source, info[m]);
    });
}

#define RANDNLA_INSTANTIATE(T, Work)                                                    \
    template void batched_cholesky<T, Work>(BatchView<const T>, const double*, index_t, \
                                            BatchView<T>, std::int32_t*);               \
    template void batched_inverse<T, Work>(BatchView<const T>, const double*, index_t,  \
                                           BatchView<T>, std::int32_t*);                \
    template void batched_solve<T, Work>(BatchView<const T>, const double*, index_t,    \
                                         BatchView<const T>, BatchView<T>, std::int32_t*);
RANDNLA_INSTANTIATE(float, float)
RANDNLA_INSTANTIATE(float, double)
RANDNLA_INSTANTIATE(double, double)

}  // namespace randnla
