// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "randnla/cuda/api.hpp"

namespace randnla::cuda {
namespace {

// A block multiplies `rows` rows of A by a square of S at a time; each of its 256 threads holds
// tm x 4 sums.
template <class T>
struct Tile {
    static constexpr int tm = sizeof(T) == 4 ? 8 : 4;
    static constexpr int rows = 16 * tm, width = 16 / sizeof(T);
    static constexpr int a_stride = rows + width, s_stride = square + width;
    static constexpr std::size_t a_count = square * a_stride, s_count = square * s_stride;
    static constexpr std::size_t bytes = (a_count + s_count) * sizeof(T);
};

// How A is read: entry by entry, or 16 bytes along its rows or its columns.
enum class Reading { entries, along_rows, along_columns };

template <class T>
struct SketchArguments {
    Matrix<const T> a;
    Matrix<T> y;
    double* squares;
    Key key;
    std::uint64_t row_start, col_start;
    T scale;
};

template <class T, Reading reading>
static __device__ __forceinline__ void load_tile(const SketchArguments<T>& g, index_t i0,
                                                 index_t k0, int thread, gpu::Shared<T> tile,
                                                 T& squares) {
    using Shape = Tile<T>;
    constexpr int width = reading == Reading::entries ? 1 : Shape::width;
    constexpr int count = Shape::rows * square / width / square_threads;
#pragma unroll 4
    for (int u = 0; u < count; ++u) {
        const int q = u * square_threads + thread;
        int r, k;
        if constexpr (reading == Reading::along_columns) {
            r = q % (Shape::rows / width) * width;
            k = q / (Shape::rows / width);
        } else {
            k = q % (square / width) * width;
            r = q / (square / width);
        }
        const index_t i = i0 + r, j = k0 + k;
        const bool inside = i < g.a.rows && j >= 0 && j < g.a.cols;
        const T* p = g.a.data + i * g.a.row_stride + j * g.a.col_stride;
        T v[Shape::width] = {};
        if constexpr (reading == Reading::entries) {
            if (inside) v[0] = gpu::load(p);
        } else {
            if (inside) gpu::load_pack(p, v);
        }
#pragma unroll
        for (int e = 0; e < width; ++e) {
            const int dr = reading == Reading::along_columns ? e : 0, dk = e - dr;
            tile[(k + dk) * Shape::a_stride + r + dr] = v[e];
            squares = gpu::fma(v[e], v[e], squares);
        }
    }
}

template <class T>
static __device__ __forceinline__ void multiply_tiles(gpu::Shared<T> a, gpu::Shared<T> s, int tx,
                                                      int ty, T (&sum)[Tile<T>::tm][4]) {
    using Shape = Tile<T>;
#pragma unroll 4
    for (int k = 0; k < square; ++k) {
        T av[Shape::tm], sv[4];
        gpu::load_shared(a, k * Shape::a_stride + ty * Shape::tm, av);
        gpu::load_shared(s, k * Shape::s_stride + tx * 4, sv);
#pragma unroll
        for (int i = 0; i < Shape::tm; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[i][j] = gpu::fma(av[i], sv[j], sum[i][j]);
    }
}

static __device__ __forceinline__ void add_squares(double squares, int thread, double* out) {
    GPU_SHARED(double, parts, square_threads / 32);
    for (int delta = 16; delta > 0; delta /= 2)
        squares += __shfl_down_sync(0xFFFFFFFFU, squares, delta);
    if (thread % 32 == 0) parts[thread / 32] = squares;
    __syncthreads();
    if (thread != 0) return;
    double sum = 0;
    for (int w = 0; w < square_threads / 32; ++w) sum += parts[w];
    gpu::store(out, sum);
}

// Ideal bytes: A once and y once for y.cols <= 64; A again for every further 64 columns, which runs
// beside the first (blockIdx.x is fastest) and is met in L2.
template <class T, StreamKind kind, bool adjoint, Reading reading>
__global__ void __launch_bounds__(square_threads, 2) apply_kernel(SketchArguments<T> g) {
    using Shape = Tile<T>;
    GPU_DYNAMIC_SHARED(T, a, 0, Shape::a_count);
    GPU_DYNAMIC_SHARED(T, s, Shape::a_count * sizeof(T), Shape::s_count);
    const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16;
    const auto shift = static_cast<index_t>(g.col_start % square);
    const index_t i0 = static_cast<index_t>(blockIdx.y) * Shape::rows;
    // Squares begin at multiples of 64 of the map's columns, which are k, or c if adjoint.
    const index_t c0 = static_cast<index_t>(blockIdx.x) * square - (adjoint ? shift : 0);
    T sum[Shape::tm][4] = {};
    double squares = 0;
    for (index_t k0 = adjoint ? 0 : -shift; k0 < g.a.cols; k0 += square) {
        T part = 0;
        load_tile<T, reading>(g, i0, k0, thread, a, part);
        squares += static_cast<double>(part);
        const auto row = g.row_start + static_cast<std::uint64_t>(adjoint ? k0 : c0),
                   column = g.col_start + static_cast<std::uint64_t>(adjoint ? c0 : k0);
        SquareOfEntries<T, kind>::make(g.key, row, column, g.scale, thread,
                                       [&](int i, int j, T value) {
                                           const int k = adjoint ? i : j, c = adjoint ? j : i;
                                           s[k * Shape::s_stride + c] = value;
                                       });
        __syncthreads();
        multiply_tiles<T>(a, s, tx, ty, sum);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < Shape::tm; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const index_t r = i0 + ty * Shape::tm + i, c = c0 + tx * 4 + j;
            if (r < g.y.rows && c >= 0 && c < g.y.cols)
                gpu::store(g.y.data + r * g.y.row_stride + c * g.y.col_stride, sum[i][j]);
        }
    if (g.squares != nullptr && blockIdx.x == 0)
        add_squares(squares, thread, g.squares + blockIdx.y);
}

template <class T, StreamKind kind>
__global__ void __launch_bounds__(square_threads) fill_kernel(SketchArguments<T> g) {
    const auto shift = static_cast<index_t>(g.col_start % square);
    const index_t i0 = static_cast<index_t>(blockIdx.y) * square,
                  j0 = static_cast<index_t>(blockIdx.x) * square - shift;
    SquareOfEntries<T, kind>::make(
        g.key, g.row_start + static_cast<std::uint64_t>(i0),
        g.col_start + static_cast<std::uint64_t>(j0), g.scale, static_cast<int>(threadIdx.x),
        [&](int i, int j, T value) {
            const index_t r = i0 + i, c = j0 + j;
            if (r < g.y.rows && c >= 0 && c < g.y.cols)
                gpu::store(g.y.data + r * g.y.row_stride + c * g.y.col_stride, value);
        });
}

template <class T>
SketchArguments<T> arguments(const DenseMap& map, Matrix<const T> a, Matrix<T> y, double* squares) {
    return {a,
            y,
            squares,
            stream_key(map.seed, map.stream, map.kind, 8 * sizeof(T)),
            map.row_start,
            map.col_start,
            static_cast<T>(map.scale)};
}

template <class T>
Reading reading_of(const SketchArguments<T>& g, index_t shift) {
    constexpr index_t width = Tile<T>::width;
    const auto fits = [&](index_t unit, index_t other, index_t length) {
        return unit == 1 && other % width == 0 && length % width == 0 &&
               reinterpret_cast<std::uintptr_t>(g.a.data) % 16 == 0;
    };
    if (fits(g.a.col_stride, g.a.row_stride, g.a.cols) && shift % width == 0)
        return Reading::along_rows;
    if (fits(g.a.row_stride, g.a.col_stride, g.a.rows)) return Reading::along_columns;
    return Reading::entries;
}

unsigned blocks(index_t count, index_t size) {
    return static_cast<unsigned>((count + size - 1) / size);
}

template <class T, StreamKind kind, bool adjoint>
void launch_apply(const SketchArguments<T>& g, StreamHandle stream) {
    const auto shift = static_cast<index_t>(g.col_start % square);
    const dim3 grid(blocks(g.y.cols + (adjoint ? shift : 0), square),
                    blocks(g.a.rows, Tile<T>::rows));
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, square_threads, Tile<T>::bytes, static_cast<gpu::Stream>(stream),
                    g);
    };
    switch (reading_of(g, adjoint ? 0 : shift)) {
        case Reading::along_rows:
            return run(apply_kernel<T, kind, adjoint, Reading::along_rows>);
        case Reading::along_columns:
            return run(apply_kernel<T, kind, adjoint, Reading::along_columns>);
        case Reading::entries:
            return run(apply_kernel<T, kind, adjoint, Reading::entries>);
    }
}

}  // namespace

index_t sum_of_squares_parts(index_t rows, int element_bytes) {
    return blocks(rows, element_bytes == 4 ? Tile<float>::rows : Tile<double>::rows);
}

template <class T>
void apply_dense_map(const DenseMap& map, bool adjoint, Matrix<const T> a, Matrix<T> y,
                     double* squares, StreamHandle stream) {
    if (y.rows == 0 || y.cols == 0) return;
    const auto g = arguments<T>(map, a, y, squares);
    if (map.kind == StreamKind::sign)
        adjoint ? launch_apply<T, StreamKind::sign, true>(g, stream)
                : launch_apply<T, StreamKind::sign, false>(g, stream);
    else
        adjoint ? launch_apply<T, StreamKind::gaussian, true>(g, stream)
                : launch_apply<T, StreamKind::gaussian, false>(g, stream);
}

template <class T>
void fill_dense_map(const DenseMap& map, Matrix<T> out, StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    const auto g = arguments<T>(map, {nullptr, 0, 0, 0, 0}, out, nullptr);
    const auto shift = static_cast<index_t>(map.col_start % square);
    const dim3 grid(blocks(out.cols + shift, square), blocks(out.rows, square));
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, square_threads, 0, static_cast<gpu::Stream>(stream), g);
    };
    map.kind == StreamKind::sign ? run(fill_kernel<T, StreamKind::sign>)
                                 : run(fill_kernel<T, StreamKind::gaussian>);
}

#define RANDNLA_INSTANTIATE(T)                                                                   \
    template void fill_dense_map<T>(const DenseMap&, Matrix<T>, StreamHandle);                   \
    template void apply_dense_map<T>(const DenseMap&, bool, Matrix<const T>, Matrix<T>, double*, \
                                     StreamHandle);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::cuda
