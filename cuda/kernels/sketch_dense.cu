// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "tiles.cuh"

namespace randnla::cuda {
namespace {

template <class T>
struct SketchArguments {
    Matrix<const T> a;
    Matrix<T> y;
    double* squares;
    Key key;
    std::uint64_t row_start, col_start;
    T scale;
};

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
    GPU_DYNAMIC_SHARED(T, a, 0, Shape::Left::count);
    GPU_DYNAMIC_SHARED(T, s, Shape::right_at, Shape::Right::count);
    const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16;
    const auto shift = static_cast<index_t>(g.col_start % square);
    const index_t i0 = static_cast<index_t>(blockIdx.y) * Shape::rows;
    // Squares begin at multiples of 64 of the map's columns, which are k, or c if adjoint.
    const index_t c0 = static_cast<index_t>(blockIdx.x) * square - (adjoint ? shift : 0);
    T sum[Shape::tm][4] = {};
    double squares = 0;
    for (index_t k0 = adjoint ? 0 : -shift; k0 < g.a.cols; k0 += square) {
        T part = 0;
        load_panel<T, Shape::rows, reading>(g.a, i0, k0, thread, a,
                                            [&](T v) { part = gpu::fma(v, v, part); });
        squares += static_cast<double>(part);
        const auto row = g.row_start + static_cast<std::uint64_t>(adjoint ? k0 : c0),
                   column = g.col_start + static_cast<std::uint64_t>(adjoint ? c0 : k0);
        SquareOfEntries<T, kind>::make(g.key, row, column, g.scale, thread,
                                       [&](int i, int j, T value) {
                                           const int k = adjoint ? i : j, c = adjoint ? j : i;
                                           s[k * Shape::Right::stride + c] = value;
                                       });
        __syncthreads();
        multiply_panels<T>(a, s, tx, ty, sum);
        __syncthreads();
    }
    put_sums<T>(sum, tx, ty, [&](int i, int j, T value) {
        const index_t r = i0 + i, c = c0 + j;
        if (r < g.y.rows && c >= 0 && c < g.y.cols)
            gpu::store(g.y.data + r * g.y.row_stride + c * g.y.col_stride, value);
    });
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

template <class T, StreamKind kind, bool adjoint>
void launch_apply(const SketchArguments<T>& g, StreamHandle stream) {
    const auto shift = static_cast<index_t>(g.col_start % square);
    const dim3 grid(blocks_of(g.y.cols + (adjoint ? shift : 0), square),
                    blocks_of(g.a.rows, Tile<T>::rows));
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, square_threads, Tile<T>::bytes, static_cast<gpu::Stream>(stream),
                    g);
    };
    switch (reading_of(g.a, adjoint ? 0 : shift)) {
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
    return blocks_of(rows, element_bytes == 4 ? Tile<float>::rows : Tile<double>::rows);
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
    const dim3 grid(blocks_of(out.cols + shift, square), blocks_of(out.rows, square));
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
