// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "randnla/cuda/api.hpp"

namespace randnla::cuda {
namespace {

constexpr int threads = 256;
constexpr std::size_t shared_budget = 160 * 1024;

template <class T>
struct HadamardArguments {
    Key key;
    const std::int64_t* positions;
    T scale;
    int order;
    Matrix<const T> a;
    Matrix<T> out;
};

// `levels` levels of the butterflies, from distance h on, in registers between two barriers; their
// order is that of the core, ascending, so that the bits are the same.
template <class T, int levels>
static __device__ __forceinline__ void butterflies(gpu::Shared<T> x, int order, int width, int h,
                                                   int thread) {
    constexpr int size = 1 << levels;
    const int groups = (order >> levels) * width, stride = h * width;
    for (int q = thread; q < groups; q += threads) {
        const int c = q % width, p = q / width;
        const int base = ((p / h * size) * h + p % h) * width + c;
        T v[size];
#pragma unroll
        for (int i = 0; i < size; ++i) v[i] = x[base + i * stride];
#pragma unroll
        for (int level = 1; level < size; level *= 2)
#pragma unroll
            for (int i = 0; i < size; ++i)
                if ((i & level) == 0) {
                    const T low = v[i], high = v[i + level];
                    v[i] = low + high;
                    v[i + level] = low - high;
                }
#pragma unroll
        for (int i = 0; i < size; ++i) x[base + i * stride] = v[i];
    }
}

// The transform of `width` columns in shared memory.
template <class T>
static __device__ __forceinline__ void transform(gpu::Shared<T> x, int order, int width,
                                                 int thread) {
    int h = 1;
    for (; h * 8 <= order; h *= 8) {
        butterflies<T, 3>(x, order, width, h, thread);
        __syncthreads();
    }
    if (h * 4 == order) butterflies<T, 2>(x, order, width, h, thread);
    if (h * 2 == order) butterflies<T, 1>(x, order, width, h, thread);
    __syncthreads();
}

static __device__ __forceinline__ void make_signs(Key key, gpu::Shared<std::uint32_t> signs,
                                                  int sign_words, int thread) {
    for (int p = thread; p < sign_words / 4; p += threads) {
        const LaneWords words = lane_words(static_cast<std::uint64_t>(p), 0, key);
#pragma unroll
        for (int w = 0; w < 4; ++w)
            signs[p / lanes_per_block * words_per_block + w * lanes_per_block +
                  p % lanes_per_block] = words.x[w];
    }
}

// Position k, which one of the `width` threads that need it loads; all threads of a warp ask.
template <int width>
static __device__ __forceinline__ index_t position_at(const std::int64_t* positions, index_t k,
                                                      bool inside, int thread) {
    const int lane = thread % 32;
    int position = inside && lane % width == 0 ? static_cast<int>(gpu::load(positions + k)) : 0;
    if constexpr (width > 1) position = __shfl_sync(0xFFFFFFFFU, position, lane / width * width);
    return position;
}

// A block transforms `width` columns of A, or of the adjoint's input among zeros. Ideal bytes: A
// once, out once, and the positions once for each block.
template <class T, int width, bool adjoint>
__global__ void __launch_bounds__(threads) transform_kernel(HadamardArguments<T> g) {
    const int thread = static_cast<int>(threadIdx.x);
    const int sign_words = (g.order + 2047) / 2048 * words_per_block;  // whole blocks: aligned
    GPU_DYNAMIC_SHARED(std::uint32_t, signs, 0, sign_words);
    GPU_DYNAMIC_SHARED(T, x, 4 * sign_words, g.order * width);
    const index_t j0 = static_cast<index_t>(blockIdx.x) * width;
    const auto flipped = [&](index_t i, T value) {
        return (signs[i / 32] >> (i % 32) & 1U) != 0 ? -value : value;
    };
    make_signs(g.key, signs, sign_words, thread);
    if constexpr (adjoint)
        for (int q = thread; q < g.order * width; q += threads) x[q] = T(0);
    __syncthreads();
    const index_t rows_in = adjoint ? g.a.rows : g.order;
    for (index_t begin = 0; begin < rows_in * width; begin += threads) {
        const index_t i = (begin + thread) / width, j = j0 + thread % width;
        const bool inside = i < g.a.rows && j < g.a.cols;
        const T value =
            inside ? gpu::load(g.a.data + i * g.a.row_stride + j * g.a.col_stride) : T(0);
        index_t to = i;
        if constexpr (adjoint) to = position_at<width>(g.positions, i, i < rows_in, thread);
        if (i < rows_in)
            x[to * width + thread % width] = adjoint || !inside ? value : flipped(i, value);
    }
    __syncthreads();
    transform<T>(x, g.order, width, thread);
    for (index_t begin = 0; begin < g.out.rows * width; begin += threads) {
        const index_t k = (begin + thread) / width, j = j0 + thread % width;
        index_t from = k;
        if constexpr (!adjoint) from = position_at<width>(g.positions, k, k < g.out.rows, thread);
        if (k >= g.out.rows || j >= g.out.cols) continue;
        T value = x[from * width + thread % width];
        if constexpr (adjoint) value = flipped(k, value);
        gpu::store(g.out.data + k * g.out.row_stride + j * g.out.col_stride,
                   g.scale * value + T(0));
    }
}

std::size_t bytes_of(index_t order, int width, std::size_t element_bytes) {
    return element_bytes * static_cast<std::size_t>(order) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>((order + 2047) / 2048) * words_per_block * 4;
}

template <class T, int width>
void launch_transform(const HadamardArguments<T>& g, bool adjoint, StreamHandle stream) {
    const auto count = static_cast<unsigned>((g.a.cols + width - 1) / width);
    gpu::launch(adjoint ? transform_kernel<T, width, true> : transform_kernel<T, width, false>,
                count, threads, bytes_of(g.order, width, sizeof(T)),
                static_cast<gpu::Stream>(stream), g);
}

}  // namespace

index_t hadamard_limit(int element_bytes) {
    return element_bytes == 4 ? 32768 : 16384;
}

template <class T>
void apply_hadamard(std::uint64_t seed, std::uint64_t map_stream, const std::int64_t* positions,
                    bool adjoint, T scale, Matrix<const T> a, Matrix<T> out, StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    int order = 1;
    while (order < (adjoint ? out.rows : a.rows)) order *= 2;
    const HadamardArguments<T> g{
        stream_key(seed, map_stream, StreamKind::trig_signs, 32), positions, scale, order, a, out};
    // Whole sectors of 32 bytes where the rows of the longer matrix are contiguous and enough of
    // them fit.
    constexpr int sector = 32 / sizeof(T);
    if ((adjoint ? out.col_stride : a.col_stride) == 1 && a.cols > 1 &&
        bytes_of(order, sector, sizeof(T)) <= shared_budget)
        launch_transform<T, sector>(g, adjoint, stream);
    else
        launch_transform<T, 1>(g, adjoint, stream);
}

#define RANDNLA_INSTANTIATE(T)                                                                  \
    template void apply_hadamard<T>(std::uint64_t, std::uint64_t, const std::int64_t*, bool, T, \
                                    Matrix<const T>, Matrix<T>, StreamHandle);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::cuda
