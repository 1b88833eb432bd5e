// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/cuda/api.hpp"
#include "randnla/cuda/gpu.hpp"

// Products of matrices by blocks of 256 threads: panels of both factors, `square` deep, go through
// shared memory, and each thread holds tm x 4 sums of a tile of tile_rows x 64.
namespace randnla::cuda {

constexpr int square = 64, square_threads = 256;

// How a matrix is read: entry by entry, or 16 bytes along its rows or its columns.
enum class Reading { entries, along_rows, along_columns };

template <class T>
constexpr int pack_width = 16 / sizeof(T);

template <class T>
inline bool is_aligned(const T* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}
// Packs of 16 bytes fit a matrix whose columns begin `shift` entries after a multiple of `square`.
template <class T>
Reading reading_of(const Matrix<const T>& a, index_t shift = 0) {
    constexpr index_t width = pack_width<T>;
    const auto fits = [&](index_t unit, index_t other, index_t length) {
        return unit == 1 && other % width == 0 && length % width == 0 && is_aligned(a.data);
    };
    if (fits(a.col_stride, a.row_stride, a.cols) && shift % width == 0) return Reading::along_rows;
    if (fits(a.row_stride, a.col_stride, a.rows)) return Reading::along_columns;
    return Reading::entries;
}

// A pack or an entry into zeros; nothing outside of the matrix.
template <Reading reading, class T>
static __device__ __forceinline__ void read(const T* p, bool inside, T (&v)[pack_width<T>]) {
    if (!inside) return;
    if constexpr (reading == Reading::entries)
        v[0] = gpu::load(p);
    else
        gpu::load_pack(p, v);
}

inline unsigned blocks_of(index_t count, index_t size) {
    return static_cast<unsigned>((count + size - 1) / size);
}

template <class T>
Matrix<T> transposed(const Matrix<T>& a) {
    return {a.data, a.cols, a.rows, a.col_stride, a.row_stride};
}

// `rows` rows by `square` columns in shared memory: entry (r, k) at k stride + r.
template <class T, int rows>
struct Panel {
    static constexpr int stride = rows + pack_width<T>, count = square * stride;
};

// The panel of a at (i0, k0), zero outside of a; see(value) is told every entry.
template <class T, int rows, Reading reading, class See>
static __device__ __forceinline__ void load_panel(const Matrix<const T>& a, index_t i0, index_t k0,
                                                  int thread, gpu::Shared<T> tile, const See& see) {
    constexpr int width = reading == Reading::entries ? 1 : pack_width<T>;
    constexpr int count = rows * square / width / square_threads;
    constexpr int stride = Panel<T, rows>::stride;
#pragma unroll 4
    for (int u = 0; u < count; ++u) {
        const int q = u * square_threads + thread;
        int r, k;
        if constexpr (reading == Reading::along_columns) {
            r = q % (rows / width) * width;
            k = q / (rows / width);
        } else {
            k = q % (square / width) * width;
            r = q / (square / width);
        }
        const index_t i = i0 + r, j = k0 + k;
        const bool inside = i < a.rows && j >= 0 && j < a.cols;
        const T* p = a.data + i * a.row_stride + j * a.col_stride;
        T v[pack_width<T>] = {};
        read<reading>(p, inside, v);
#pragma unroll
        for (int e = 0; e < width; ++e) {
            const int dr = reading == Reading::along_columns ? e : 0, dk = e - dr;
            tile[(k + dk) * stride + r + dr] = v[e];
            see(v[e]);
        }
    }
}

template <class T>
struct Tile {
    static constexpr int tm = sizeof(T) == 4 ? 8 : 4;
    static constexpr int rows = 16 * tm;
    using Left = Panel<T, rows>;
    using Right = Panel<T, square>;
    static constexpr std::size_t right_at = Left::count * sizeof(T);
    static constexpr std::size_t bytes = right_at + Right::count * sizeof(T);
};

// sum += left right^T of the thread's rows tm ty .. and columns 4 tx ..
template <class T>
static __device__ __forceinline__ void multiply_panels(gpu::Shared<T> left, gpu::Shared<T> right,
                                                       int tx, int ty, T (&sum)[Tile<T>::tm][4]) {
    using Shape = Tile<T>;
#pragma unroll 4
    for (int k = 0; k < square; ++k) {
        T lv[Shape::tm], rv[4];
        gpu::load_shared(left, k * Shape::Left::stride + ty * Shape::tm, lv);
        gpu::load_shared(right, k * Shape::Right::stride + tx * 4, rv);
#pragma unroll
        for (int i = 0; i < Shape::tm; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[i][j] = gpu::fma(lv[i], rv[j], sum[i][j]);
    }
}

// put(row, column, value) of the thread's sums, counted from the corner of the tile.
template <class T, class Put>
static __device__ __forceinline__ void put_sums(const T (&sum)[Tile<T>::tm][4], int tx, int ty,
                                                const Put& put) {
#pragma unroll
    for (int i = 0; i < Tile<T>::tm; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) put(ty * Tile<T>::tm + i, tx * 4 + j, sum[i][j]);
}

}  // namespace randnla::cuda
