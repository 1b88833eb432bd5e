// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "products.cuh"

namespace randnla::cuda {
namespace {

constexpr int threads = 256, most_own = 4;  // columns of a thread
constexpr index_t most_columns = most_own * threads;
constexpr std::size_t tile_budget = 64 * 1024;

template <class S>
struct SweepArguments {
    Matrix<const S> a;
    Matrix<const double> b, x;
    Matrix<double> residual;
    double* partial;  // (slabs, columns + 1, sides)
    index_t depth;    // rows of a slab
    int height;       // rows of a tile, a power of two
};

// What lies before the tile in shared memory: x, partial products and residuals, each in packs.
constexpr __host__ __device__ __forceinline__ int packs_of(int count) {
    return (count + 1) / 2 * 2;
}
// Odd, so that rows begin in different banks.
__host__ __device__ __forceinline__ int tile_stride(int n) {
    return n | 1;
}

// Rows k0 .. of a, those from `end` on zero.
template <Reading reading, class S>
static __device__ __forceinline__ void load_tile(const SweepArguments<S>& g, index_t k0,
                                                 index_t end, int thread, gpu::Shared<S> tile) {
    constexpr int width = reading == Reading::entries ? 1 : pack_width<S>;
    constexpr bool down = reading == Reading::along_columns;  // packs of several rows
    const int n = static_cast<int>(g.a.cols), stride = tile_stride(n);
    const int across = down ? g.height / width : (n + width - 1) / width;
    for (int q = thread; q < (down ? n : g.height) * across; q += threads) {
        const int fast = q % across * width, slow = q / across;
        const int row = down ? fast : slow, column = down ? slow : fast;
        const S* p = g.a.data + (k0 + row) * g.a.row_stride + column * g.a.col_stride;
        S v[pack_width<S>] = {};
        read<reading>(p, k0 + row < end, v);
#pragma unroll
        for (int e = 0; e < width; ++e)
            tile[(row + (down ? e : 0)) * stride + column + (down ? 0 : e)] = v[e];
    }
}

template <int sides>
static __device__ __forceinline__ void load_sides(gpu::Shared<double> from, int index,
                                                  double (&out)[sides]) {
    if constexpr (sides == 1)
        out[0] = from[index];
    else
        gpu::load_shared(from, index * sides, out);
}

// The residuals of a tile's rows: partial products of every thread, then their sums.
template <class S, int sides>
static __device__ __forceinline__ double tile_residual(const SweepArguments<S>& g, index_t k0,
                                                       index_t end, int thread, gpu::Shared<S> tile,
                                                       gpu::Shared<double> xs,
                                                       gpu::Shared<double> parts,
                                                       gpu::Shared<double> r) {
    const int n = static_cast<int>(g.a.cols), stride = tile_stride(n);
    const int row = thread % g.height, all = threads / g.height;
    double sum[sides] = {};
    for (int j = thread / g.height; j < n; j += all) {
        const auto v = static_cast<double>(static_cast<S>(tile[row * stride + j]));
        double xv[sides];
        load_sides<sides>(xs, j, xv);
#pragma unroll
        for (int c = 0; c < sides; ++c) sum[c] = gpu::fma(v, xv[c], sum[c]);
    }
#pragma unroll
    for (int c = 0; c < sides; ++c) parts[thread * sides + c] = sum[c];
    __syncthreads();
    double square = 0;
    if (thread < g.height * sides) {
        const int line = thread / sides, c = thread % sides;
        const index_t i = k0 + line, side = static_cast<index_t>(blockIdx.y) * sides + c;
        double value = 0;
        if (i < end && side < g.x.cols) {
            for (int part = 0; part < all; ++part)
                value -= parts[(part * g.height + line) * sides + c];
            if (g.b.data != nullptr)
                value += gpu::load(g.b.data + i * g.b.row_stride + side * g.b.col_stride);
            if (g.residual.data != nullptr)
                gpu::store(
                    g.residual.data + i * g.residual.row_stride + side * g.residual.col_stride,
                    value);
        }
        r[thread] = value;
        square = value * value;
    }
    __syncthreads();
    return square;
}

// A slab of rows and `sides` right-hand sides, all sums in float64. Ideal bytes: A once for each
// `sides` right-hand sides, b and the residual once, x and the sums once a slab.
template <class S, int sides, Reading reading>
__global__ void __launch_bounds__(threads, 2) sweep_kernel(SweepArguments<S> g) {
    const int thread = static_cast<int>(threadIdx.x), n = static_cast<int>(g.a.cols);
    const int stride = tile_stride(n);
    const int room = packs_of(n * sides);
    GPU_DYNAMIC_SHARED(double, xs, 0, room);
    GPU_DYNAMIC_SHARED(double, parts, sizeof(double) * room, threads * sides);
    GPU_DYNAMIC_SHARED(double, r, sizeof(double) * (room + threads * sides), g.height * sides);
    GPU_DYNAMIC_SHARED(S, tile, sizeof(double) * (room + (threads + g.height) * sides),
                       g.height * stride + pack_width<S>);
    const index_t first_side = static_cast<index_t>(blockIdx.y) * sides;
    for (int q = thread; q < n * sides; q += threads) {
        const index_t side = first_side + q % sides;
        xs[q] = side < g.x.cols
                    ? gpu::load(g.x.data + q / sides * g.x.row_stride + side * g.x.col_stride)
                    : 0.0;
    }
    // Few columns: groups of threads take the rows of a tile in turn.
    const int padded = n < threads ? (n + 31) / 32 * 32 : threads;
    const int groups = threads / padded, group = thread / padded, column = thread % padded;
    const auto slab = static_cast<index_t>(blockIdx.x);
    const index_t begin = slab * g.depth,
                  end = begin + g.depth < g.a.rows ? begin + g.depth : g.a.rows;
    double sum[most_own][sides] = {}, squares = 0;
    for (index_t k0 = begin; k0 < end; k0 += g.height) {
        load_tile<reading>(g, k0, end, thread, tile);
        __syncthreads();
        squares += tile_residual<S, sides>(g, k0, end, thread, tile, xs, parts, r);
        if (group < groups)
            for (int row = group; row < g.height; row += groups) {
                double rv[sides];
                load_sides<sides>(r, row, rv);
#pragma unroll
                for (int u = 0; u < most_own; ++u) {
                    const int j = column + u * threads;
                    if (j >= n) break;
                    const auto v = static_cast<double>(static_cast<S>(tile[row * stride + j]));
#pragma unroll
                    for (int c = 0; c < sides; ++c) sum[u][c] = gpu::fma(v, rv[c], sum[u][c]);
                }
            }
        __syncthreads();
    }
    const index_t width = g.x.cols;
    double* const out = g.partial + slab * (n + 1) * width + first_side;
#pragma unroll
    for (int c = 0; c < sides; ++c) parts[thread * sides + c] = sum[0][c];
    __syncthreads();
    for (int q = thread; q < (n < threads ? n : threads) * sides; q += threads) {
        const int j = q / sides, c = q % sides;
        double total = 0;
        for (int other = 0; other < groups; ++other)
            total += parts[(other * padded + j) * sides + c];
        if (first_side + c < width) gpu::store(out + j * width + c, total);
    }
#pragma unroll
    for (int u = 1; u < most_own; ++u)
#pragma unroll
        for (int c = 0; c < sides; ++c)
            if (column + u * threads < n && first_side + c < width)
                gpu::store(out + (column + u * threads) * width + c, sum[u][c]);
    __syncthreads();
    if (thread < g.height * sides) parts[thread] = squares;
    __syncthreads();
    if (thread >= sides || first_side + thread >= width) return;
    double total = 0;
    for (int row = 0; row < g.height; ++row) total += parts[row * sides + thread];
    gpu::store(out + n * width + thread, total);
}

template <class S, int sides>
void launch_sweep(const SweepArguments<S>& g, dim3 grid, StreamHandle stream) {
    const int n = static_cast<int>(g.a.cols);
    const auto bytes =
        sizeof(double) *
            static_cast<std::size_t>(packs_of(n * sides) + (threads + g.height) * sides) +
        sizeof(S) * static_cast<std::size_t>(g.height * tile_stride(n) + pack_width<S>);
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, threads, bytes, static_cast<gpu::Stream>(stream), g);
    };
    switch (reading_of(g.a)) {
        case Reading::along_rows:
            return run(sweep_kernel<S, sides, Reading::along_rows>);
        case Reading::along_columns:
            return run(sweep_kernel<S, sides, Reading::along_columns>);
        case Reading::entries:
            return run(sweep_kernel<S, sides, Reading::entries>);
    }
}

}  // namespace

index_t sweep_limit() {
    return most_columns;
}
index_t sweep_work(index_t rows, index_t cols, index_t sides) {
    return Slabs::of(rows, 1).count * (cols + 1) * sides;
}

template <class S>
void sweep(Matrix<const S> a, Matrix<const double> b, Matrix<const double> x,
           Matrix<double> residual, Matrix<double> sums, double* work, StreamHandle stream) {
    if (x.cols == 0) return;
    const auto slabs = Slabs::of(a.rows, 1);
    int height = 32;
    while (height > 8 &&
           sizeof(S) * static_cast<std::size_t>(height * tile_stride(static_cast<int>(a.cols))) >
               tile_budget)
        height /= 2;
    const SweepArguments<S> g{a, b, x, residual, work, slabs.depth, height};
    const auto grid = [&](index_t sides) {
        return dim3(static_cast<unsigned>(slabs.count), blocks_of(x.cols, sides));
    };
    if (x.cols == 1)
        launch_sweep<S, 1>(g, grid(1), stream);
    else
        launch_sweep<S, 4>(g, grid(4), stream);
    add_slabs(work, slabs.count, Finish<double>{1.0, 0.0, sums, Weights{}, false}, stream);
}

template void sweep<float>(Matrix<const float>, Matrix<const double>, Matrix<const double>,
                           Matrix<double>, Matrix<double>, double*, StreamHandle);
template void sweep<double>(Matrix<const double>, Matrix<const double>, Matrix<const double>,
                            Matrix<double>, Matrix<double>, double*, StreamHandle);

}  // namespace randnla::cuda
