// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "tiles.cuh"

namespace randnla::cuda {
namespace {

constexpr int threads = 256, side = 32;  // of a tile
constexpr int group = 4, turns = 4;      // entries a thread takes at a time, and how often

template <class S, class T>
struct CombineArguments {
    double alpha, beta;
    Matrix<const S> x;
    Matrix<const double> weights;
    Matrix<const T> z;
    Matrix<T> out;
};

GPU_INLINE double combined(double x, double beta, double z) {
    return beta != 0 ? x + beta * z : x;
}

// Matrices that lie in memory alike and without gaps, 16 bytes at a time. Ideal bytes: x, and z
// unless beta is 0, read once, out written once.
template <class S, class T>
__global__ void __launch_bounds__(threads) flat_kernel(CombineArguments<S, T> c, index_t count) {
    const auto thread = static_cast<index_t>(threadIdx.x);
    for (int u = 0; u < turns; ++u) {
        const index_t at =
            ((static_cast<index_t>(blockIdx.x) * turns + u) * threads + thread) * group;
        if (at + group <= count) {
            S x[group];
            T z[group] = {};
            gpu::load_changing_packs(c.x.data + at, x);
            if (c.beta != 0) gpu::load_changing_packs(c.z.data + at, z);
#pragma unroll
            for (int e = 0; e < group; ++e)
                z[e] = static_cast<T>(combined(c.alpha * static_cast<double>(x[e]), c.beta,
                                               static_cast<double>(z[e])));
            gpu::store_packs(c.out.data + at, z);
        } else {
            for (index_t q = at; q < count; ++q) {
                const auto x = static_cast<double>(gpu::load_changing(c.x.data + q));
                const auto z =
                    c.beta != 0 ? static_cast<double>(gpu::load_changing(c.z.data + q)) : 0.0;
                gpu::store(c.out.data + q, static_cast<T>(combined(c.alpha * x, c.beta, z)));
            }
        }
    }
}

// A tile of any matrices; `through` shared memory where the columns of x are contiguous and the
// rows of out. Ideal bytes: the same, and the weights as often as they are different numbers.
template <class S, class T, bool through>
__global__ void __launch_bounds__(threads) tile_kernel(CombineArguments<S, T> c, index_t across) {
    const int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
    constexpr int lines = threads / side;
    const index_t i0 = static_cast<index_t>(blockIdx.x) / across * side,
                  j0 = static_cast<index_t>(blockIdx.x) % across * side;
    GPU_SHARED(S, tile, through ? side * (side + 1) : 1);
    if constexpr (through) {
        for (int r = line; r < side; r += lines) {
            const index_t i = i0 + lane, j = j0 + r;
            if (i < c.x.rows && j < c.x.cols)
                tile[lane * (side + 1) + r] =
                    gpu::load_changing(c.x.data + i * c.x.row_stride + j * c.x.col_stride);
        }
        __syncthreads();
    }
    const index_t j = j0 + lane;
    for (int r = line; r < side; r += lines) {
        const index_t i = i0 + r;
        if (i >= c.out.rows || j >= c.out.cols) continue;
        S x;
        if constexpr (through)
            x = tile[r * (side + 1) + lane];
        else
            x = gpu::load_changing(c.x.data + i * c.x.row_stride + j * c.x.col_stride);
        double value = c.alpha * static_cast<double>(x), z = 0;
        if (c.weights.data != nullptr)
            value *=
                gpu::load(c.weights.data + i * c.weights.row_stride + j * c.weights.col_stride);
        if (c.beta != 0)
            z = static_cast<double>(
                gpu::load_changing(c.z.data + i * c.z.row_stride + j * c.z.col_stride));
        gpu::store(c.out.data + i * c.out.row_stride + j * c.out.col_stride,
                   static_cast<T>(combined(value, c.beta, z)));
    }
}

// Rows follow each other without a gap.
template <class T>
bool is_whole(const Matrix<T>& a) {
    return is_aligned(a.data) && a.col_stride == 1 && (a.row_stride == a.cols || a.rows == 1);
}

}  // namespace

template <class S, class T>
void combine(double alpha, Matrix<const S> x, Matrix<const double> weights, double beta,
             Matrix<const T> z, Matrix<T> out, StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    CombineArguments<S, T> c{alpha, beta, x, weights, z, out};
    if (out.col_stride != 1 && out.row_stride == 1)
        c = {alpha, beta, transposed(x), transposed(weights), transposed(z), transposed(out)};
    const auto order = static_cast<gpu::Stream>(stream);
    if (weights.data == nullptr && is_whole(c.x) && is_whole(c.out) &&
        (beta == 0 || is_whole(c.z))) {
        const index_t count = out.rows * out.cols;
        return gpu::launch(flat_kernel<S, T>, blocks_of(count, index_t{threads} * group * turns),
                           threads, 0, order, c, count);
    }
    const index_t across = (c.out.cols + side - 1) / side;
    const auto blocks = static_cast<unsigned>((c.out.rows + side - 1) / side * across);
    const bool through = c.x.row_stride == 1 && c.x.col_stride > 1;
    gpu::launch(through ? tile_kernel<S, T, true> : tile_kernel<S, T, false>, blocks,
                dim3(side, threads / side), 0, order, c, across);
}

#define RANDNLA_INSTANTIATE(S, T)                                                      \
    template void combine<S, T>(double, Matrix<const S>, Matrix<const double>, double, \
                                Matrix<const T>, Matrix<T>, StreamHandle);
RANDNLA_INSTANTIATE(float, float)
RANDNLA_INSTANTIATE(float, double)
RANDNLA_INSTANTIATE(double, float)
RANDNLA_INSTANTIATE(double, double)

}  // namespace randnla::cuda
