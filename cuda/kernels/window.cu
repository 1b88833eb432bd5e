// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/distributions.hpp"
#include "tiles.cuh"

namespace randnla::cuda {
namespace {

// A thread takes eight columns of G at a time, a block a chunk of 2048; a block has several chunks
// in turn, so that there are few partial sums.
constexpr int threads = 256, columns = 8, rows_at_once = 8, warps = threads / 32;
constexpr index_t chunk = index_t{threads} * columns, most_blocks = 528;

GPU_INLINE double widened(float x) {
    return static_cast<double>(x);
}
GPU_INLINE double widened(double x) {
    return x;
}
GPU_INLINE double widened(Brain x) {
    return static_cast<double>(
        float_of_bits(static_cast<std::int32_t>(std::uint32_t{x.bits} << 16)));
}
// The exponent of a half is 112 below that of a float32 with the same bits in front.
GPU_INLINE double widened(Half x) {
    const std::uint32_t rest = x.bits & 0x7FFFU, sign = std::uint32_t{x.bits} >> 15 << 31;
    if (rest >= 0x7C00U)
        return static_cast<double>(
            float_of_bits(static_cast<std::int32_t>(sign | rest << 13 | 0x7F800000U)));
    const double size = static_cast<double>(float_of_bits(static_cast<std::int32_t>(rest << 13)));
    return (sign != 0 ? -size : size) * 0x1p112;
}

template <class S>
static __device__ __forceinline__ double load_one(const S* p) {
    if constexpr (sizeof(S) == 2)
        return widened(S{gpu::load(&p->bits)});
    else
        return widened(gpu::load(p));
}

// Columns j .. j + 7 of a row, or where they are not packed j, j + 256 ...; zeros beyond the end.
template <bool packed, class S>
static __device__ __forceinline__ void load_columns(const S* row, index_t col_stride, index_t j,
                                                    index_t cols, double (&out)[columns]) {
    if constexpr (packed) {
        constexpr int width = pack_width<S>;
#pragma unroll
        for (int u = 0; u < columns; u += width) {
            S v[width] = {};
            if (j < cols) gpu::load_pack(row + j + u, v);
#pragma unroll
            for (int e = 0; e < width; ++e) out[u + e] = widened(v[e]);
        }
    } else {
#pragma unroll
        for (int e = 0; e < columns; ++e) {
            const index_t at = j + e * threads;
            out[e] = at < cols ? load_one(row + at * col_stride) : 0.0;
        }
    }
}

// Rows whose loads are under way together.
template <class S, bool packed>
constexpr int rows_ahead = !packed          ? 1
                           : sizeof(S) == 8 ? 2
                                            : 4;

template <bool packed>
GPU_INLINE index_t first_column(index_t start, int thread) {
    return start + thread * (packed ? columns : 1);
}

template <class S, class T>
struct WindowArguments {
    Matrix<const S> g;
    Matrix<const T> x;
    Matrix<T> y;
    Matrix<const double> c;
    double alpha;
    double* partial;
    index_t chunks;  // of a block
};

// Partial dot products of one vector with all rows. Ideal bytes: G once and x once for every
// vector; the sums of a block are nothing beside them.
template <class S, class T, bool packed>
__global__ void __launch_bounds__(threads, packed ? 4 : 3) dots_kernel(WindowArguments<S, T> w) {
    const int thread = static_cast<int>(threadIdx.x), m = static_cast<int>(w.g.rows);
    GPU_DYNAMIC_SHARED(double, total, 0, m);
    GPU_SHARED(double, parts, rows_at_once* warps);
    for (int i = thread; i < m; i += threads) total[i] = 0.0;
    const T* const x = w.x.data + static_cast<index_t>(blockIdx.y) * w.x.row_stride;
    for (index_t u = 0; u < w.chunks; ++u) {
        const index_t start = (static_cast<index_t>(blockIdx.x) * w.chunks + u) * chunk;
        if (start >= w.g.cols) break;
        const index_t j = first_column<packed>(start, thread);
        double xv[columns];
        load_columns<packed>(x, w.x.col_stride, j, w.g.cols, xv);
        for (int i0 = 0; i0 < m; i0 += rows_at_once) {
#pragma unroll(rows_ahead<S, packed>)
            for (int r = 0; r < rows_at_once; ++r) {
                if (i0 + r >= m) break;
                double gv[columns], sum = 0;
                load_columns<packed>(w.g.data + (i0 + r) * w.g.row_stride, w.g.col_stride, j,
                                     w.g.cols, gv);
#pragma unroll
                for (int e = 0; e < columns; ++e) sum = gpu::fma(gv[e], xv[e], sum);
#pragma unroll
                for (int step = 16; step > 0; step /= 2)
                    sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
                if (thread % 32 == 0) parts[r * warps + thread / 32] = sum;
            }
            __syncthreads();
            if (thread < rows_at_once && i0 + thread < m) {
                double sum = total[i0 + thread];
                for (int v = 0; v < warps; ++v) sum += parts[thread * warps + v];
                total[i0 + thread] = sum;
            }
            __syncthreads();
        }
    }
    __syncthreads();
    double* const out = w.partial + (static_cast<index_t>(blockIdx.y) * gridDim.x + blockIdx.x) * m;
    for (int i = thread; i < m; i += threads) gpu::store(out + i, static_cast<double>(total[i]));
}

// A warp adds the partial sums of one entry of c, each lane every 32nd.
__global__ void __launch_bounds__(32)
    add_kernel(const double* partial, index_t blocks, Matrix<double> c) {
    const auto i = static_cast<index_t>(blockIdx.x), q = static_cast<index_t>(blockIdx.y);
    double sum = 0;
    for (index_t b = threadIdx.x; b < blocks; b += 32)
        sum += gpu::load(partial + (q * blocks + b) * c.rows + i);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
    if (threadIdx.x == 0) gpu::store(c.data + i * c.row_stride + q * c.col_stride, sum);
}

// Ideal bytes: G once, x once and y once for every vector, its column of c once a block.
template <class S, class T, bool packed>
__global__ void __launch_bounds__(threads, packed ? 4 : 3) combine_kernel(WindowArguments<S, T> w) {
    const int thread = static_cast<int>(threadIdx.x), m = static_cast<int>(w.g.rows);
    GPU_DYNAMIC_SHARED(double, c, 0, m);
    const auto q = static_cast<index_t>(blockIdx.y);
    for (int i = thread; i < m; i += threads)
        c[i] = gpu::load(w.c.data + i * w.c.row_stride + q * w.c.col_stride);
    __syncthreads();
    const index_t j = first_column<packed>(static_cast<index_t>(blockIdx.x) * chunk, thread);
    double sum[columns];
    load_columns<packed>(w.x.data + q * w.x.row_stride, w.x.col_stride, j, w.g.cols, sum);
#pragma unroll
    for (int e = 0; e < columns; ++e) sum[e] *= w.alpha;
#pragma unroll(rows_ahead<S, packed>)
    for (int i = 0; i < m; ++i) {
        double gv[columns];
        load_columns<packed>(w.g.data + i * w.g.row_stride, w.g.col_stride, j, w.g.cols, gv);
        const double ci = c[i];
#pragma unroll
        for (int e = 0; e < columns; ++e) sum[e] = gpu::fma(ci, gv[e], sum[e]);
    }
    T* const y = w.y.data + q * w.y.row_stride;
    if constexpr (packed) {
        if (j >= w.g.cols) return;
#pragma unroll
        for (int u = 0; u < columns; u += pack_width<T>) {
            T v[pack_width<T>];
#pragma unroll
            for (int e = 0; e < pack_width<T>; ++e) v[e] = static_cast<T>(sum[u + e]);
            gpu::store_packs(y + j + u, v);
        }
    } else {
#pragma unroll
        for (int e = 0; e < columns; ++e)
            if (j + e * threads < w.g.cols)
                gpu::store(y + (j + e * threads) * w.y.col_stride, static_cast<T>(sum[e]));
    }
}

template <class S>
bool is_packed(const Matrix<S>& a) {
    return a.col_stride == 1 && a.cols % columns == 0 &&
           (a.rows == 1 || a.row_stride % columns == 0) && is_aligned(a.data);
}

index_t chunks_of_block(index_t cols) {
    const index_t chunks = (cols + chunk - 1) / chunk;
    return chunks == 0 ? 1 : (chunks + most_blocks - 1) / most_blocks;
}
index_t blocks_of_window(index_t cols) {
    const unsigned blocks = blocks_of(cols, chunk * chunks_of_block(cols));
    return blocks == 0 ? 1 : blocks;
}

}  // namespace

index_t window_limit() {
    return 20480;  // rows, whose coefficients take 160 KB
}

index_t window_work(index_t rows, index_t vectors, index_t cols) {
    return rows * vectors * blocks_of_window(cols);
}

template <class S, class T>
void window_dots(Matrix<const S> g, Matrix<const T> x, Matrix<double> c, double* work,
                 StreamHandle stream) {
    if (c.rows == 0 || c.cols == 0) return;
    const WindowArguments<S, T> w{g, x, {}, {}, 0, work, chunks_of_block(g.cols)};
    const auto blocks = blocks_of_window(g.cols);
    const bool packed = is_packed(g) && is_packed(x);
    gpu::launch(packed ? dots_kernel<S, T, true> : dots_kernel<S, T, false>,
                dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(x.rows)), threads,
                sizeof(double) * static_cast<std::size_t>(g.rows), static_cast<gpu::Stream>(stream),
                w);
    gpu::launch(add_kernel, dim3(static_cast<unsigned>(c.rows), static_cast<unsigned>(c.cols)), 32,
                0, static_cast<gpu::Stream>(stream), work, blocks, c);
}

template <class S, class T>
void window_combine(Matrix<const S> g, Matrix<const double> c, double alpha, Matrix<const T> x,
                    Matrix<T> y, StreamHandle stream) {
    if (y.rows == 0 || y.cols == 0) return;
    const WindowArguments<S, T> w{g, x, y, c, alpha, nullptr, 1};
    const bool packed = is_packed(g) && is_packed(x) && is_packed(y);
    gpu::launch(packed ? combine_kernel<S, T, true> : combine_kernel<S, T, false>,
                dim3(blocks_of(g.cols, chunk), static_cast<unsigned>(x.rows)), threads,
                sizeof(double) * static_cast<std::size_t>(g.rows), static_cast<gpu::Stream>(stream),
                w);
}

#define RANDNLA_INSTANTIATE(S, T)                                                              \
    template void window_dots<S, T>(Matrix<const S>, Matrix<const T>, Matrix<double>, double*, \
                                    StreamHandle);                                             \
    template void window_combine<S, T>(Matrix<const S>, Matrix<const double>, double,          \
                                       Matrix<const T>, Matrix<T>, StreamHandle);
RANDNLA_INSTANTIATE(float, float)
RANDNLA_INSTANTIATE(double, double)
RANDNLA_INSTANTIATE(Half, float)
RANDNLA_INSTANTIATE(Brain, float)

}  // namespace randnla::cuda
