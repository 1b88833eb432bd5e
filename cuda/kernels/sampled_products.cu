// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "tiles.cuh"

namespace randnla::cuda {
namespace {

constexpr int threads = 256, lanes = 8;  // of a product

template <class T>
struct SampledArguments {
    const std::int64_t* i;
    const std::int64_t* j;
    index_t count;
    Matrix<const T> u, v;
    T* out;
};

// Ideal bytes: for each product its two indices, two rows, and the result.
template <class T, int width>
__global__ void __launch_bounds__(threads) sampled_kernel(SampledArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes;
    const index_t k = static_cast<index_t>(blockIdx.x) * (threads / lanes) + thread / lanes;
    const bool inside = k < g.count;
    index_t i = inside && lane == 0 ? gpu::load(g.i + k) : 0;
    index_t j = inside && lane == 0 ? gpu::load(g.j + k) : 0;
    i = __shfl_sync(0xFFFFFFFFU, i, thread % 32 / lanes * lanes);
    j = __shfl_sync(0xFFFFFFFFU, j, thread % 32 / lanes * lanes);
    T sum = 0;
    for (index_t l = lane * width; inside && l < g.u.cols; l += lanes * width) {
        const T* const a = g.u.data + i * g.u.row_stride + l * g.u.col_stride;
        const T* const b = g.v.data + j * g.v.row_stride + l * g.v.col_stride;
        if constexpr (width == 1) {
            sum = gpu::fma(gpu::load(a), gpu::load(b), sum);
        } else {
            T x[width], y[width];
            gpu::load_pack(a, x);
            gpu::load_pack(b, y);
#pragma unroll
            for (int e = 0; e < width; ++e) sum = gpu::fma(x[e], y[e], sum);
        }
    }
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
    if (inside && lane == 0) gpu::store(g.out + k, sum);
}

}  // namespace

template <class T>
void sampled_products(const std::int64_t* i, const std::int64_t* j, index_t count,
                      Matrix<const T> u, Matrix<const T> v, T* out, StreamHandle stream) {
    if (count == 0) return;
    const bool packs = reading_of(u) == Reading::along_rows && reading_of(v) == Reading::along_rows;
    gpu::launch(packs ? sampled_kernel<T, pack_width<T>> : sampled_kernel<T, 1>,
                blocks_of(count, threads / lanes), threads, 0, static_cast<gpu::Stream>(stream),
                SampledArguments<T>{i, j, count, u, v, out});
}

template void sampled_products<float>(const std::int64_t*, const std::int64_t*, index_t,
                                      Matrix<const float>, Matrix<const float>, float*,
                                      StreamHandle);
template void sampled_products<double>(const std::int64_t*, const std::int64_t*, index_t,
                                       Matrix<const double>, Matrix<const double>, double*,
                                       StreamHandle);

}  // namespace randnla::cuda
