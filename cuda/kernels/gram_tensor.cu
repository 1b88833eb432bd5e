// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "products.cuh"
#include "tensor_cores.cuh"

// Gram matrices on tensor cores, of an A of bfloat16, or of float32 as the sum of two numbers of
// TF32. A block makes 128 x 128 sums of a slab of rows; each of its eight warps has 32 x 64.
namespace randnla::cuda {
namespace {

// Words of a column of A one after the other in the inner dimension, 32 of them at a time; the
// stride of those puts the loads of a warp into all banks.
constexpr int side = 128, step_words = 32, stride = side + 8, panel_count = step_words * stride;
constexpr std::size_t bytes = 2 * 4 * panel_count;

template <class S>
struct GramArguments {
    Matrix<const S> a;
    index_t depth;
    float* partial;
};

// Columns c0 .. c0 + 127 of a slab's rows from k0 on, zeros outside; of bfloat16 two rows a word.
template <class S, bool packed>
static __device__ __forceinline__ void load_panel_of_words(const Matrix<const S>& a, index_t k0,
                                                           index_t end, index_t c0, int thread,
                                                           gpu::Shared<std::uint32_t> panel) {
    constexpr int per = 4 / sizeof(S), width = packed ? 4 * per : 1;
    constexpr int across = side / width;
#pragma unroll 2
    for (int q = thread; q < step_words * across; q += square_threads) {
        const int w = q / across, c = q % across * width;
        const index_t k = k0 + w * per, j = c0 + c;
        const S* const p = a.data + k * a.row_stride + j * a.col_stride;
        std::uint32_t rows[per][packed ? 4 : 1] = {};
#pragma unroll
        for (int r = 0; r < per; ++r)
            if (k + r < end && j < a.cols) {
                if constexpr (packed)
                    load_bits(p + r * a.row_stride, rows[r]);
                else
                    rows[r][0] = load_bits(p + r * a.row_stride);
            }
        const int at = w * stride + c;
        if constexpr (!packed) {
            panel[at] = per == 1 ? rows[0][0] : rows[0][0] | rows[per - 1][0] << 16;
        } else if constexpr (per == 1) {
            gpu::store_shared(panel, at, rows[0]);
        } else {
            std::uint32_t words[8];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                words[2 * i] = (rows[0][i] & 0xFFFFU) | rows[1][i] << 16;
                words[2 * i + 1] = rows[0][i] >> 16 | (rows[1][i] & 0xFFFF0000U);
            }
            gpu::store_shared(panel, at, words);
        }
    }
}

// The sums of a warp's 32 columns of the left panel and 64 of the right one.
template <class S>
static __device__ __forceinline__ void add_products(gpu::Shared<std::uint32_t> left,
                                                    gpu::Shared<std::uint32_t> right, int i0,
                                                    int j0, int lane, float (&sum)[2][8][4]) {
    const int group = lane / 4, t = lane % 4;
#pragma unroll 1
    for (int w = 0; w < step_words; w += 8) {
        const int low = (w + t) * stride + group, high = low + 4 * stride;
        const auto operand = [&](int i) {
            return Operand<S>(
                {left[low + i], left[low + i + 8], left[high + i], left[high + i + 8]});
        };
        const Operand<S> a[2] = {operand(i0), operand(i0 + 16)};
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            const int j = j0 + 8 * n;
            const Operand<S, 2> b({right[low + j], right[high + j]});
            a[0].multiply(sum[0][n], b);
            a[1].multiply(sum[1][n], b);
        }
    }
}

// Ideal bytes: A once for up to 128 columns, the lower triangle of the sums once a slab; wider ones
// take each panel of 128 columns once for each other.
template <class S, bool packed>
__global__ void __launch_bounds__(square_threads, 2) gram_tensor_kernel(GramArguments<S> g) {
    GPU_DYNAMIC_SHARED(std::uint32_t, left, 0, panel_count);
    GPU_DYNAMIC_SHARED(std::uint32_t, right, 4 * panel_count, panel_count);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    constexpr index_t step = step_words * (4 / sizeof(S));
    int p = 0;  // panels, the left one no earlier than the right one
    const int tile = static_cast<int>(blockIdx.x);
    while ((p + 1) * (p + 2) / 2 <= tile) ++p;
    const index_t i0 = static_cast<index_t>(p) * side;
    const index_t j0 = static_cast<index_t>(tile - p * (p + 1) / 2) * side;
    const index_t begin = static_cast<index_t>(blockIdx.y) * g.depth;
    const index_t end = begin + g.depth < g.a.rows ? begin + g.depth : g.a.rows;
    const int row = warp / 2 * 32, column = warp % 2 * 64;
    const bool below = i0 + row + 31 >= j0 + column;  // some of it is
    float sum[2][8][4] = {};
    for (index_t k0 = begin; k0 < end; k0 += step) {
        load_panel_of_words<S, packed>(g.a, k0, end, i0, thread, left);
        if (i0 != j0) load_panel_of_words<S, packed>(g.a, k0, end, j0, thread, right);
        __syncthreads();
        if (below) add_products<S>(left, i0 == j0 ? left : right, row, column, lane, sum);
        __syncthreads();
    }
    const index_t n = g.a.cols;
    float* const out = g.partial + static_cast<index_t>(blockIdx.y) * n * n;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int q = 0; q < 8; ++q)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const index_t i = i0 + row + 16 * m + lane / 4 + e / 2 * 8;
                const index_t j = j0 + column + 8 * q + 2 * (lane % 4) + e % 2;
                if (i < n && j <= i) gpu::store(out + i * n + j, sum[m][q][e]);
            }
}

Slabs slabs_of_gram(index_t rows, index_t cols) {
    const index_t panels = (cols + side - 1) / side;
    return Slabs::of(rows, panels * (panels + 1) / 2);
}

}  // namespace

index_t gram_tensor_work(index_t rows, index_t cols) {
    return slabs_of_gram(rows, cols).count * cols * cols;
}

template <class S>
void gram_tensor(double alpha, Matrix<const S> a, double beta, Matrix<float> c, float* work,
                 StreamHandle stream) {
    if (c.rows == 0) return;
    const index_t panels = (a.cols + side - 1) / side;
    const auto slabs = slabs_of_gram(a.rows, a.cols);
    const dim3 grid(static_cast<unsigned>(panels * (panels + 1) / 2),
                    static_cast<unsigned>(slabs.count));
    gpu::launch(reading_of(a) == Reading::along_rows ? gram_tensor_kernel<S, true>
                                                     : gram_tensor_kernel<S, false>,
                grid, square_threads, bytes, static_cast<gpu::Stream>(stream),
                GramArguments<S>{a, slabs.depth, work});
    add_slabs(work, slabs.count, Finish<float>{alpha, beta, c, Weights{}, true}, stream);
}

template void gram_tensor<float>(double, Matrix<const float>, double, Matrix<float>, float*,
                                 StreamHandle);
template void gram_tensor<Brain>(double, Matrix<const Brain>, double, Matrix<float>, float*,
                                 StreamHandle);

}  // namespace randnla::cuda
