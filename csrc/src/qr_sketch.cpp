// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "qr_sketch.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "randnla/blas.hpp"
#include "randnla/philox.hpp"
#include "randnla/qr_kernels.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Streams of the caller's seed; drivers count theirs from 0.
constexpr std::uint64_t sketch_stream = std::uint64_t{1} << 62, revive_stream = sketch_stream + 1;

// S Y for d x m S with four +-1 a column, at positions drawn independently in the four quarters of
// 0..d-1: never the same twice.
template <class T>
void sketch(const ScaledColumns<T>& y, const SlabPlan& plan, std::uint64_t seed,
            const SketchedTriangle& triangle, MatrixView<double> out) {
    constexpr int nonzeros = SketchedTriangle::nonzeros;
    const index_t n = y.cols(), quarter = out.rows / nonzeros, size = out.rows * n;
    const Key key = stream_key(seed, sketch_stream, StreamKind::bits, 32);
    const Scratch<double> sums(plan.slabs * size);
    std::fill(sums.data(), sums.data() + plan.slabs * size, 0.0);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const Scratch<double> buffer((end - begin) * n);
        const auto block = load_revived<T>(y, begin, end, seed, triangle, buffer.data());
        for (index_t i = begin; i < end; ++i) {
            const auto row = static_cast<std::uint64_t>(i);
            std::uint32_t words[4] = {static_cast<std::uint32_t>(row),
                                      static_cast<std::uint32_t>(row >> 32), 0, 0};
            philox_counter(words, key);
            std::int32_t rows[nonzeros];
            double signs[nonzeros];
            for (int z = 0; z < nonzeros; ++z) {
                const auto position =
                    (std::uint64_t{words[z] >> 1} * static_cast<std::uint64_t>(quarter)) >> 31;
                rows[z] = static_cast<std::int32_t>(z * quarter + static_cast<index_t>(position));
                signs[z] = (words[z] & 1U) != 0 ? -1.0 : 1.0;
            }
            qr_kernels().scatter_row(&block(i - begin, 0), n, rows, signs, nonzeros,
                                     sums.data() + slab * size);
        }
    });
    sum_partials(sums.data(), plan.slabs, size);
    for (index_t i = 0; i < out.rows; ++i)
        for (index_t j = 0; j < n; ++j) out(i, j) = sums[i * n + j] / 2;  // E[S^T S] = 4 I
}

}  // namespace

template <class T>
MatrixView<double> load_revived(const ScaledColumns<T>& y, index_t begin, index_t end,
                                std::uint64_t seed, const SketchedTriangle& triangle,
                                double* buffer) {
    const auto loaded = y.template load<double>(begin, end, buffer);
    const auto block = row_major_view(buffer, loaded.rows, loaded.cols);
    if (loaded.data != buffer)
        for (index_t i = 0; i < block.rows; ++i)
            std::memcpy(&block(i, 0), &loaded(i, 0),
                        static_cast<std::size_t>(block.cols) * sizeof(double));
    if (triangle.dead_count == 0) return block;
    const Key key = stream_key(seed, revive_stream, StreamKind::bits, 64);
    const double size = 1 / std::sqrt(static_cast<double>(y.rows()));
    for (index_t j = 0; j < block.cols; ++j) {
        if (!triangle.dead[j]) continue;
        for (index_t i = 0; i < block.rows; ++i) {
            const auto row = static_cast<std::uint64_t>(begin + i);
            std::uint32_t words[4] = {static_cast<std::uint32_t>(row),
                                      static_cast<std::uint32_t>(row >> 32),
                                      static_cast<std::uint32_t>(j), 0};
            philox_counter(words, key);
            block(i, j) = size * (static_cast<double>(words[0]) * 0x1p-31 - 1);
        }
    }
    return block;
}

template <class T>
bool sketch_triangle(const ScaledColumns<T>& y, const SlabPlan& plan, std::uint64_t seed,
                     SketchedTriangle& triangle) {
    const index_t n = y.cols(), d = std::max<index_t>(SketchedTriangle::oversampling * n, 16);
    if (y.rows() < 2 * d) return false;
    // A column closer than this to the span of those before it, relative to its norm, is lost in
    // the rounding of its own entries.
    const double dependent =
        2 * std::numeric_limits<double>::epsilon() * std::sqrt(static_cast<double>(n));
    const Scratch<double> sketched(d * n);
    const MatrixView<double> columns{sketched.data(), d, n, 1, d};
    for (int attempt = 0; attempt < 3; ++attempt) {
        sketch<T>(y, plan, seed, triangle, columns);
        lapack::geqrf_orgqr<double>(columns, triangle.r);
        index_t found = 0;
        for (index_t j = 0; j < n; ++j) {
            if (triangle.r(j, j) < 0)
                for (index_t k = j; k < n; ++k) triangle.r(j, k) = -triangle.r(j, k);
            if (triangle.r(j, j) > dependent) continue;
            triangle.dead[j] = true;
            ++found;
        }
        if (found == 0) return true;
        triangle.dead_count += found;
    }
    return false;
}

#define RANDNLA_INSTANTIATE(T)                                                                \
    template bool sketch_triangle<T>(const ScaledColumns<T>&, const SlabPlan&, std::uint64_t, \
                                     SketchedTriangle&);                                      \
    template MatrixView<double> load_revived<T>(const ScaledColumns<T>&, index_t, index_t,    \
                                                std::uint64_t, const SketchedTriangle&, double*);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
