// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/mini_blocks.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>

#include "randnla/cholesky_batched.hpp"
#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

template <class T>
auto average_kernel() {
    if constexpr (std::is_same_v<T, float>)
        return mini_block_kernels().average_f32;
    else
        return mini_block_kernels().average_f64;
}
template <class T>
auto apply_kernel() {
    if constexpr (std::is_same_v<T, float>)
        return mini_block_kernels().apply_f32;
    else
        return mini_block_kernels().apply_f64;
}
template <class Work>
auto invert_kernel() {
    if constexpr (std::is_same_v<Work, float>)
        return batched_kernels().invert_f32;
    else
        return batched_kernels().invert_f64;
}
template <class Work>
index_t register_lanes() {
    if constexpr (std::is_same_v<Work, float>)
        return batched_kernels().lanes_f32;
    else
        return batched_kernels().lanes_f64;
}

// Groups of a chunk: 1 MB of triangles, some thirty microseconds at the speed of memory.
template <class T>
index_t grain_of(const MiniBlocks<T>& a) {
    return std::max<index_t>(1, (index_t{1} << 18) / std::max<index_t>(1, a.stride()));
}

template <class T, class U>
void require_rows(const MiniBlocks<T>& a, const MatrixView<U>& x) {
    require(x.rows == a.count && x.cols == a.order, "blocks: shapes do not agree");
    require(x.col_stride == 1 || x.cols <= 1, "blocks: expected contiguous rows");
}

// Rows [first, first + count) of x as vectors, zeros where there is none.
template <class T>
void gather(const MatrixView<const T>& x, index_t first, index_t count, T scale, T* out) {
    for (index_t l = 0; l < count; ++l) {
        const T* const row = x.data + (first + l) * x.row_stride;
        for (index_t i = 0; i < x.cols; ++i) out[i * block_lanes + l] = scale * row[i];
    }
    for (index_t l = count; l < block_lanes; ++l)
        for (index_t i = 0; i < x.cols; ++i) out[i * block_lanes + l] = T(0);
}

// The reverse, times a number that T need not hold where it holds what comes out; says whether
// everything is finite: 0 x is not 0 of what is not.
template <class T>
bool scatter(const T* in, index_t first, index_t count, double scale, const MatrixView<T>& y) {
    const double root = std::ldexp(1.0, std::ilogb(scale) / 2);
    const auto one = static_cast<T>(root), other = static_cast<T>(scale / root);
    T probe = 0;
    for (index_t l = 0; l < count; ++l) {
        T* const row = y.data + (first + l) * y.row_stride;
        for (index_t i = 0; i < y.cols; ++i) {
            const T value = other * (one * in[i * block_lanes + l]);
            row[i] = value;
            probe += value * T(0);
        }
    }
    return probe == T(0);
}

// run(group, first, count) for every group.
template <class T, class Run>
void for_groups(const MiniBlocks<T>& a, const Run& run) {
    parallel_for(a.groups(), grain_of(a), [&](index_t begin, index_t end) {
        const Scratch<std::remove_const_t<T>> vectors(2 * a.order * block_lanes);
        for (index_t g = begin; g < end; ++g) {
            const index_t first = g * block_lanes;
            run(a.data + g * a.stride(), first, std::min(block_lanes, a.count - first),
                vectors.data());
        }
    });
}

// Triangles of `lanes` matrices out of a group, with what is added to them; lanes from `held` on,
// which no matrix has, hold the identity.
template <class T, class Work>
void stripe(const T* group, index_t order, index_t lanes, index_t held, double scale, double shift,
            Work* out) {
    const auto factor = static_cast<Work>(scale), ridge = static_cast<Work>(shift);
    for (index_t i = 0; i < order; ++i) {
        for (index_t j = 0; j <= i; ++j, group += block_lanes, out += lanes)
            for (index_t l = 0; l < lanes; ++l) out[l] = factor * static_cast<Work>(group[l]);
        Work* const diagonal = out - lanes;
        for (index_t l = 0; l < lanes; ++l) diagonal[l] += ridge;
        for (index_t l = held; l < lanes; ++l) diagonal[l] = Work(1);  // sums there are zero
    }
}

template <class Work, class T>
void unstripe(const Work* in, index_t order, index_t lanes, T* group) {
    for (index_t e = 0; e < order * (order + 1) / 2; ++e, in += lanes, group += block_lanes)
        for (index_t l = 0; l < lanes; ++l) group[l] = static_cast<T>(in[l]);
}

// Entries of a definite inverse are no larger than its diagonal.
template <class T, class Work>
bool within(const Work* in, index_t order, index_t lanes, index_t lane) {
    constexpr auto limit = static_cast<Work>(std::numeric_limits<T>::max());
    for (index_t i = 0; i < order; ++i)
        if (!(in[i * (i + 3) / 2 * lanes + lane] <= limit)) return false;
    return true;
}

}  // namespace

template <class T>
void mini_blocks_average(MiniBlocks<T> a, MatrixView<const T> x, double scale, double keep,
                         double weight) {
    require_rows(a, x);
    const auto kernel = average_kernel<T>();
    for_groups(a, [&](T* group, index_t first, index_t count, T* vectors) {
        gather<T>(x, first, count, static_cast<T>(scale), vectors);
        kernel(group, static_cast<int>(a.order), vectors, static_cast<T>(keep),
               static_cast<T>(weight));
    });
}

template <class T>
bool mini_blocks_direct(MiniBlocks<const T> a, MatrixView<const T> g, MatrixView<T> m, double keep,
                        double weight, double scale, MatrixView<T> y) {
    require_rows(a, g);
    require_rows(a, m);
    require_rows(a, y);
    require(scale > 0, "blocks: expected a positive scale");
    const auto kernel = apply_kernel<T>();
    std::atomic<bool> finite{true};
    const auto old = static_cast<T>(keep), fresh = static_cast<T>(weight);
    for_groups(a, [&](const T* group, index_t first, index_t count, T* vectors) {
        for (index_t l = first; l < first + count; ++l) {
            T* const into = m.data + l * m.row_stride;
            const T* const from = g.data + l * g.row_stride;
            for (index_t i = 0; i < a.order; ++i) into[i] = old * into[i] + fresh * from[i];
        }
        gather<T>(m, first, count, T(1), vectors);
        T* const product = vectors + a.order * block_lanes;
        kernel(group, static_cast<int>(a.order), vectors, product);
        if (!scatter<T>(product, first, count, scale, y)) finite = false;
    });
    return finite;
}

template <class T>
void mini_blocks_apply(MiniBlocks<const T> a, MatrixView<const T> x, MatrixView<T> y) {
    require_rows(a, x);
    require_rows(a, y);
    const auto kernel = apply_kernel<T>();
    for_groups(a, [&](const T* group, index_t first, index_t count, T* vectors) {
        gather<T>(x, first, count, T(1), vectors);
        T* const product = vectors + a.order * block_lanes;
        kernel(group, static_cast<int>(a.order), vectors, product);
        scatter<T>(product, first, count, 1.0, y);
    });
}

template <class T, class Work>
index_t mini_blocks_invert(MiniBlocks<const T> a, double scale, double shift,
                           MiniBlocks<T> inverse) {
    require(inverse.count == a.count && inverse.order == a.order, "blocks: shapes do not agree");
    const index_t lanes = register_lanes<Work>();
    const auto kernel = invert_kernel<Work>();
    std::atomic<index_t> failed{0};
    const index_t grain = std::max<index_t>(1, 512 / (a.order * a.order + 1));
    parallel_for(a.groups(), grain, [&](index_t begin, index_t end) {
        const Scratch<Work> work(a.order * (a.order + 1) / 2 * lanes);
        const Scratch<std::int32_t> flags(lanes);
        for (index_t g = begin; g < end; ++g) {
            const index_t count = std::min(block_lanes, a.count - g * block_lanes);
            for (index_t offset = 0; offset < block_lanes; offset += lanes) {
                const index_t held = std::clamp<index_t>(count - offset, 0, lanes);
                std::fill(flags.data(), flags.data() + lanes, 0);
                stripe<T, Work>(a.data + g * a.stride() + offset, a.order, lanes, held, scale,
                                shift, work.data());
                kernel(work.data(), static_cast<int>(a.order), flags.data());
                unstripe<Work, T>(work.data(), a.order, lanes,
                                  inverse.data + g * a.stride() + offset);
                for (index_t l = 0; l < held; ++l)
                    if (flags[l] != 0 || !within<T, Work>(work.data(), a.order, lanes, l)) ++failed;
            }
        }
    });
    return failed;
}

#define RANDNLA_INSTANTIATE(T)                                                                   \
    template void mini_blocks_average<T>(MiniBlocks<T>, MatrixView<const T>, double, double,     \
                                         double);                                                \
    template bool mini_blocks_direct<T>(MiniBlocks<const T>, MatrixView<const T>, MatrixView<T>, \
                                        double, double, double, MatrixView<T>);                  \
    template void mini_blocks_apply<T>(MiniBlocks<const T>, MatrixView<const T>, MatrixView<T>); \
    template index_t mini_blocks_invert<T, double>(MiniBlocks<const T>, double, double,          \
                                                   MiniBlocks<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)
template index_t mini_blocks_invert<float, float>(MiniBlocks<const float>, double, double,
                                                  MiniBlocks<float>);

}  // namespace randnla
