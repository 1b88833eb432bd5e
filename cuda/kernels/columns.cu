// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/cuda/api.hpp"
#include "randnla/cuda/gpu.hpp"

namespace randnla::cuda {
namespace {

constexpr int threads = 256;
// Rows of a slab, which a block reads; at most so many slabs that the second kernel is short.
constexpr index_t least_rows = 1024, most_slabs = 256;

GPU_INLINE double magnitude(double x) {
    return x < 0 ? -x : x;
}

// What is known of a column: its entry of largest magnitude, the first of equal ones, where it
// stands, and the sums of squares and of entries. A NaN is larger than everything.
struct Seen {
    double peak = 0, squares = 0, sum = 0;
    index_t row = -1;
};
GPU_INLINE bool exceeds(double a, index_t row_a, double b, index_t row_b) {
    if (a != a || b != b) return a != a && (b == b || row_a < row_b);
    return magnitude(a) > magnitude(b) || (magnitude(a) == magnitude(b) && row_a < row_b);
}
GPU_INLINE void join(Seen& s, double peak, index_t row, double squares, double sum) {
    s.squares += squares;
    s.sum += sum;
    if (row >= 0 && (s.row < 0 || exceeds(peak, row, s.peak, s.row))) {
        s.peak = peak;
        s.row = row;
    }
}

template <class T>
struct PeakArguments {
    Matrix<const T> x;
    double* partial;  // (4, slabs, columns): peaks, squares, sums and rows
    double* out;      // (3, columns)
    double scale;     // of the entries
    index_t slab;     // rows of a slab
    index_t slabs;
};

// A block reads a slab of some columns: 32 where rows are contiguous, a warp a row; else 8, a warp
// a column. Ideal bytes: x once.
template <class T, bool by_rows>
__global__ void __launch_bounds__(threads, 6) slab_kernel(PeakArguments<T> p) {
    constexpr int columns = by_rows ? 32 : 8, lanes = threads / columns;
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    const int column = by_rows ? x : y, lane = by_rows ? y : x;
    const index_t j = static_cast<index_t>(blockIdx.x) * columns + column;
    const index_t begin = static_cast<index_t>(blockIdx.y) * p.slab,
                  end = begin + p.slab < p.x.rows ? begin + p.slab : p.x.rows;
    Seen seen;
    if (j < p.x.cols)
        for (index_t i = begin + lane; i < end; i += lanes) {
            const auto v =
                static_cast<double>(gpu::load(p.x.data + i * p.x.row_stride + j * p.x.col_stride)) *
                p.scale;
            join(seen, v, i, v * v, v);
        }
    GPU_SHARED(double, peaks, threads);
    GPU_SHARED(double, squares, threads);
    GPU_SHARED(double, sums, threads);
    GPU_SHARED(index_t, rows, threads);
    const int at = lane * columns + column;
    peaks[at] = seen.peak;
    squares[at] = seen.squares;
    sums[at] = seen.sum;
    rows[at] = seen.row;
    __syncthreads();
    if (lane != 0 || j >= p.x.cols) return;
    for (int l = 1; l < lanes; ++l) {
        const int other = l * columns + column;
        join(seen, peaks[other], rows[other], squares[other], sums[other]);
    }
    const index_t first = static_cast<index_t>(blockIdx.y) * p.x.cols + j, all = p.slabs * p.x.cols;
    gpu::store(p.partial + first, seen.peak);
    gpu::store(p.partial + all + first, seen.squares);
    gpu::store(p.partial + 2 * all + first, seen.sum);
    gpu::store(p.partial + 3 * all + first, static_cast<double>(seen.row));
}

// A thread joins the slabs of a column.
template <class T>
__global__ void __launch_bounds__(threads) join_kernel(PeakArguments<T> p) {
    const index_t j = static_cast<index_t>(blockIdx.x) * threads + threadIdx.x,
                  all = p.slabs * p.x.cols;
    if (j >= p.x.cols) return;
    Seen seen;
    for (index_t s = 0; s < p.slabs; ++s) {
        const double* from = p.partial + s * p.x.cols + j;
        join(seen, gpu::load(from), static_cast<index_t>(gpu::load(from + 3 * all)),
             gpu::load(from + all), gpu::load(from + 2 * all));
    }
    gpu::store(p.out + j, seen.peak);
    gpu::store(p.out + p.x.cols + j, seen.squares);
    gpu::store(p.out + 2 * p.x.cols + j, seen.sum);
}

index_t slabs_of(index_t rows) {
    const index_t slabs = (rows + least_rows - 1) / least_rows;
    return slabs < most_slabs ? slabs : most_slabs;
}

unsigned blocks(index_t count, index_t each) {
    return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace

index_t column_peaks_work(index_t rows, index_t cols) {
    return 4 * slabs_of(rows) * cols;
}

template <class T>
void column_peaks(Matrix<const T> x, double scale, double* out, double* work, StreamHandle stream) {
    if (x.rows == 0 || x.cols == 0) return;
    const index_t slabs = slabs_of(x.rows), slab = (x.rows + slabs - 1) / slabs;
    const PeakArguments<T> p{x, work, out, scale, slab, slabs};
    const bool by_rows = x.col_stride == 1 || x.row_stride != 1;
    gpu::launch(by_rows ? slab_kernel<T, true> : slab_kernel<T, false>,
                dim3(blocks(x.cols, by_rows ? 32 : 8), static_cast<unsigned>(slabs)), dim3(32, 8),
                0, static_cast<gpu::Stream>(stream), p);
    gpu::launch(join_kernel<T>, blocks(x.cols, threads), threads, 0,
                static_cast<gpu::Stream>(stream), p);
}

template void column_peaks<float>(Matrix<const float>, double, double*, double*, StreamHandle);
template void column_peaks<double>(Matrix<const double>, double, double*, double*, StreamHandle);

}  // namespace randnla::cuda
