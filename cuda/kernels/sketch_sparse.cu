// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "entries.cuh"
#include "randnla/cuda/api.hpp"

namespace randnla::cuda {
namespace {

constexpr int strip = 32;                          // columns of a warp
constexpr std::size_t shared_budget = 160 * 1024;  // sm_80 has 163 KB a block
constexpr int fill_threads = 128;

template <class T>
struct SparseArguments {
    Key key;
    bool countsketch;
    index_t map_rows, nnz;
    T scale;
    Matrix<const T> a;
    Matrix<T> out;
};

struct ColumnsArguments {
    Key key;
    bool countsketch;
    index_t map_rows, nnz, first, count;
    std::int64_t* positions;
    std::int8_t* signs;
};

__global__ void __launch_bounds__(fill_threads) columns_kernel(ColumnsArguments g) {
    const index_t j = static_cast<index_t>(blockIdx.x) * fill_threads + threadIdx.x;
    if (j >= g.count) return;
    std::int64_t* mine = g.positions + j * g.nnz;
    sparse_column(
        g.key, g.countsketch, g.map_rows, g.nnz, static_cast<std::uint64_t>(g.first + j),
        [&](index_t z, index_t position) {
            for (index_t y = 0; y < z; ++y)
                if (mine[y] == position) return true;  // its own stores: no other thread's
            return false;
        },
        [&](index_t z, index_t position, bool minus) {
            gpu::store(mine + z, static_cast<std::int64_t>(position));
            gpu::store(g.signs + j * g.nnz + z, static_cast<std::int8_t>(minus ? -1 : 1));
        });
}

// Codes 2 position + minus of one column of the map to codes[z], z < nnz.
template <class T>
static __device__ __forceinline__ void draw_codes(const SparseArguments<T>& g, index_t j,
                                                  gpu::Shared<std::uint32_t> codes, int at) {
    sparse_column(
        g.key, g.countsketch, g.map_rows, g.nnz, static_cast<std::uint64_t>(j),
        [&](index_t z, index_t position) {
            for (int y = 0; y < z; ++y)
                if (codes[at + y] >> 1 == static_cast<std::uint32_t>(position)) return true;
            return false;
        },
        [&](index_t z, index_t position, bool minus) {
            codes[at + static_cast<int>(z)] =
                static_cast<std::uint32_t>(position) << 1 | static_cast<std::uint32_t>(minus);
        });
}

// A warp holds the sums of 32 columns of out for all rows and reads A once, row after row, so that
// each sum has the order of the core. The codes of blockDim.x rows are drawn by the block together:
// nothing but A is read. Ideal bytes: A once, out once.
template <class T>
__global__ void __launch_bounds__(128, 8) ordered_kernel(SparseArguments<T> g) {
    const auto threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
    const auto rows = static_cast<int>(g.map_rows), nnz = static_cast<int>(g.nnz);
    GPU_DYNAMIC_SHARED(T, sums, 0, rows * threads);
    GPU_DYNAMIC_SHARED(std::uint32_t, codes, sizeof(T) * rows * threads, nnz * threads);
    for (int r = 0; r < rows; ++r) sums[r * threads + thread] = T(0);
    const index_t j = static_cast<index_t>(blockIdx.x) * threads + thread;
    const T* column = g.a.data + j * g.a.col_stride;
    for (index_t i0 = 0; i0 < g.a.rows; i0 += threads) {
        if (i0 + thread < g.a.rows) draw_codes(g, i0 + thread, codes, thread * nnz);
        __syncthreads();
        const int count = g.a.rows - i0 < threads ? static_cast<int>(g.a.rows - i0) : threads;
        for (int k = 0; j < g.a.cols && k < count; ++k) {
            const T value = gpu::load(column + (i0 + k) * g.a.row_stride);
            for (int z = 0; z < nnz; ++z) {
                const std::uint32_t code = codes[k * nnz + z];
                sums[static_cast<int>(code >> 1) * threads + thread] +=
                    (code & 1U) != 0 ? -value : value;
            }
        }
        __syncthreads();
    }
    for (int r = 0; j < g.a.cols && r < rows; ++r)
        gpu::store(g.out.data + r * g.out.row_stride + j * g.out.col_stride,
                   g.scale * sums[r * threads + thread]);
}

template <class T>
__global__ void __launch_bounds__(256) clear_kernel(SparseArguments<T> g) {
    const index_t j = static_cast<index_t>(blockIdx.x) * strip + threadIdx.x;
    const index_t first = static_cast<index_t>(blockIdx.y) * blockDim.y + threadIdx.y,
                  step = static_cast<index_t>(gridDim.y) * blockDim.y;
    for (index_t r = first; j < g.out.cols && r < g.out.rows; r += step)
        gpu::store(g.out.data + r * g.out.row_stride + j * g.out.col_stride, T(0));
}

// Rows of A in groups of 32, whose codes the block draws together; its 8 warps share them.
template <class T, class Use>
static __device__ __forceinline__ void for_rows_of_block(const SparseArguments<T>& g, index_t rows,
                                                         gpu::Shared<std::uint32_t> codes,
                                                         const Use& use) {
    const auto lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
    const index_t i0 = static_cast<index_t>(blockIdx.x) * strip;
    if (warp == 0 && i0 + lane < rows)
        draw_codes(g, i0 + lane, codes, lane * static_cast<int>(g.nnz));
    __syncthreads();
    for (index_t j = lane; j < g.out.cols; j += strip)
        for (int k = warp; k < strip && i0 + k < rows; k += static_cast<int>(blockDim.y))
            use(i0 + k, j, k * static_cast<int>(g.nnz));
}

// For maps of many rows: sums in memory, added atomically. Ideal bytes: A once and 2 nnz times the
// size of A of traffic between L2 and the sums.
template <class T>
__global__ void __launch_bounds__(256, 4) scatter_kernel(SparseArguments<T> g) {
    GPU_DYNAMIC_SHARED(std::uint32_t, codes, 0, strip* g.nnz);
    for_rows_of_block(g, g.a.rows, codes, [&](index_t i, index_t j, int at) {
        const T value = g.scale * gpu::load(g.a.data + i * g.a.row_stride + j * g.a.col_stride);
        for (int z = 0; z < g.nnz; ++z) {
            const std::uint32_t code = codes[at + z];
            gpu::atomic_add(g.out.data + static_cast<index_t>(code >> 1) * g.out.row_stride +
                                j * g.out.col_stride,
                            (code & 1U) != 0 ? -value : value);
        }
    });
}

// out = scale S^T a. Ideal bytes: out once and nnz times its size of a, from L2 where a fits it.
template <class T>
__global__ void __launch_bounds__(256, 4) gather_kernel(SparseArguments<T> g) {
    GPU_DYNAMIC_SHARED(std::uint32_t, codes, 0, strip* g.nnz);
    for_rows_of_block(g, g.out.rows, codes, [&](index_t i, index_t j, int at) {
        T sum = 0;
        for (int z = 0; z < g.nnz; ++z) {
            const std::uint32_t code = codes[at + z];
            const T value = gpu::load(g.a.data + static_cast<index_t>(code >> 1) * g.a.row_stride +
                                      j * g.a.col_stride);
            sum += (code & 1U) != 0 ? -value : value;
        }
        gpu::store(g.out.data + i * g.out.row_stride + j * g.out.col_stride, g.scale * sum);
    });
}

Key key_of(const SparseMap& map) {
    return stream_key(map.seed, map.stream, map.kind, static_cast<std::uint32_t>(map.element_bits));
}

// Bytes of shared memory a thread of ordered_kernel takes.
std::size_t bytes_per_thread(const SparseMap& map, int element_bytes) {
    const auto rows = static_cast<std::size_t>(map.rows), nnz = static_cast<std::size_t>(map.nnz);
    return rows * static_cast<std::size_t>(element_bytes) + nnz * sizeof(std::uint32_t);
}

template <class T>
SparseArguments<T> arguments(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out) {
    return {key_of(map), map.kind == StreamKind::countsketch, map.rows, map.nnz, scale, a, out};
}

unsigned blocks(index_t count, index_t size) {
    return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace

void sparse_map_columns(const SparseMap& map, index_t first, index_t count, std::int64_t* positions,
                        std::int8_t* signs, StreamHandle stream) {
    if (count == 0) return;
    gpu::launch(columns_kernel, blocks(count, fill_threads), fill_threads, 0,
                static_cast<gpu::Stream>(stream),
                ColumnsArguments{key_of(map), map.kind == StreamKind::countsketch, map.rows,
                                 map.nnz, first, count, positions, signs});
}

bool sparse_map_is_ordered(const SparseMap& map, int element_bytes) {
    return map.rows < index_t{1} << 16 &&
           bytes_per_thread(map, element_bytes) * strip <= shared_budget;
}

template <class T>
void apply_sparse_map(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                      StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    const auto g = arguments<T>(map, scale, a, out);
    const auto on = static_cast<gpu::Stream>(stream);
    if (sparse_map_is_ordered(map, sizeof(T))) {
        const std::size_t each = bytes_per_thread(map, sizeof(T));
        const unsigned threads = each * 128 <= shared_budget / 2  ? 128
                                 : each * 64 <= shared_budget / 2 ? 64
                                                                  : 32;
        gpu::launch(ordered_kernel<T>, blocks(out.cols, threads), threads, each * threads, on, g);
        return;
    }
    constexpr unsigned most = 1024;
    const unsigned tall = blocks(out.rows, 8);
    gpu::launch(clear_kernel<T>, dim3(blocks(out.cols, strip), tall < most ? tall : most),
                dim3(strip, 8), 0, on, g);
    if (a.rows > 0)
        gpu::launch(scatter_kernel<T>, blocks(a.rows, strip), dim3(strip, 8),
                    sizeof(std::uint32_t) * strip * static_cast<std::size_t>(map.nnz), on, g);
}

template <class T>
void apply_sparse_map_adjoint(const SparseMap& map, T scale, Matrix<const T> a, Matrix<T> out,
                              StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    gpu::launch(gather_kernel<T>, blocks(out.rows, strip), dim3(strip, 8),
                sizeof(std::uint32_t) * strip * static_cast<std::size_t>(map.nnz),
                static_cast<gpu::Stream>(stream), arguments<T>(map, scale, a, out));
}

#define RANDNLA_INSTANTIATE(T)                                                                 \
    template void apply_sparse_map<T>(const SparseMap&, T, Matrix<const T>, Matrix<T>,         \
                                      StreamHandle);                                           \
    template void apply_sparse_map_adjoint<T>(const SparseMap&, T, Matrix<const T>, Matrix<T>, \
                                              StreamHandle);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::cuda
