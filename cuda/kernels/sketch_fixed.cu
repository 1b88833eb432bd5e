// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>

#include "sign_tiles.cuh"

// Sign maps in exact fixed point (csrc/DevNotes.md, "Products in fixed point"): the bits of the
// core. A block makes 128 x 32 of out, 256 rows of A at a time; each of its eight warps has 16
// rows.
namespace randnla::cuda {
namespace {

constexpr int block_rows = 256, fraction_bits = 22, slices = 3;
constexpr int out_rows = 128, out_cols = 32, values = block_rows * out_cols / square_threads;
using Signs = SignTile<out_rows, block_rows / 32>;
// Words of four bytes of a column; its stride puts the loads of a quarter of a warp into all banks.
constexpr int column_words = block_rows / 4, column_stride = column_words + 16;
constexpr int data_count = slices * out_cols * column_stride, top_count = 4 * square_threads;
constexpr std::size_t signs_at = 4 * data_count, tops_at = signs_at + 4 * Signs::count,
                      weights_at = tops_at + 4 * top_count, bytes = weights_at + 8 * out_cols;

struct FixedArguments {
    Matrix<const float> a;
    Matrix<float> out;
    Key key;
    std::uint64_t inner_start, outer_start;
    int exponent;
    float factor;  // scale = factor 2^exponent
};

GPU_INLINE float power_of_two(int e) {
    return float_of_bits((e + 127) << 23);
}
GPU_INLINE int clamped(int x, int low, int high) {
    return x < low ? low : x > high ? high : x;
}
GPU_INLINE std::uint32_t bits_of_size(float x) {
    return static_cast<std::uint32_t>(bits_of(x)) & 0x7FFFFFFFU;
}

// What a thread holds of 256 rows and 32 columns: `width` columns of the rows of its group.
template <Reading reading>
struct Share {
    static constexpr int width = reading == Reading::along_rows ? 4 : 1;
    static constexpr int groups = square_threads * width / out_cols, rows = block_rows / groups;
    int column, group;

    static __device__ __forceinline__ Share of(int thread) {
        return {thread % (out_cols / width) * width, thread / (out_cols / width)};
    }
};

// v[width r + e] = a(k0 + first row of the group + r, j0 + column + e).
template <Reading reading>
static __device__ __forceinline__ void load_values(const Matrix<const float>& a, index_t k0,
                                                   index_t j0, const Share<reading>& share,
                                                   float (&v)[values]) {
    constexpr int width = Share<reading>::width, rows = Share<reading>::rows;
    constexpr int pack = reading == Reading::entries ? 1 : 4, down = pack / width;
    const index_t j = j0 + share.column, k = k0 + share.group * rows;
    const index_t left = j < a.cols ? a.rows - k : 0;
    const int first = k < 0 ? static_cast<int>(-k) : 0;
    const int end = left < rows ? static_cast<int>(left) : rows;
    const float* p = a.data + k * a.row_stride + j * a.col_stride;
#pragma unroll
    for (int r = 0; r < rows; r += down) {
        const bool inside = r >= first && r < end;
        if constexpr (pack == 1) {
            v[r] = inside ? gpu::load(p) : 0.0F;
        } else {
            float four[4] = {};
            if (inside) gpu::load_pack(p, four);
#pragma unroll
            for (int e = 0; e < 4; ++e) v[r * width + e] = four[e];
        }
        p += down * a.row_stride;
    }
}

// The largest magnitudes of the thread's columns over all groups, as bits.
template <Reading reading>
static __device__ __forceinline__ void find_tops(const float (&v)[values],
                                                 const Share<reading>& share,
                                                 gpu::Shared<std::uint32_t> tops,
                                                 std::uint32_t (&top)[Share<reading>::width]) {
    constexpr int width = Share<reading>::width;
#pragma unroll
    for (int e = 0; e < width; ++e) {
        top[e] = 0;
#pragma unroll
        for (int i = e; i < values; i += width)
            top[e] = top[e] > bits_of_size(v[i]) ? top[e] : bits_of_size(v[i]);
        tops[share.group * out_cols + share.column + e] = top[e];
    }
    __syncthreads();
#pragma unroll 1
    for (int group = 0; group < Share<reading>::groups; ++group)
#pragma unroll
        for (int e = 0; e < width; ++e) {
            const std::uint32_t other = tops[group * out_cols + share.column + e];
            top[e] = top[e] > other ? top[e] : other;
        }
}

// Integers of 24 bits as bytes of three slices, four rows a word; weights[2 c], [2 c + 1]: two
// powers of two whose product is the weight of the unit of column c, the first NaN where the column
// is not finite.
template <Reading reading>
static __device__ __forceinline__ void quantize(const float (&v)[values],
                                                const Share<reading>& share,
                                                const std::uint32_t (&top)[Share<reading>::width],
                                                int exponent, gpu::Shared<std::uint32_t> data,
                                                gpu::Shared<float> weights) {
    constexpr int width = Share<reading>::width;
#pragma unroll
    for (int e = 0; e < width; ++e) {
        const bool finite = top[e] < 0x7F800000U;
        const int raised = static_cast<int>((top[e] + 0x10101U) >> 23);
        const int unit = finite ? (raised > 1 ? raised : 1) - 127 : 0, up = fraction_bits - unit;
        const int first = up < 100 ? up : 100;
        const float scale = power_of_two(first), rest = power_of_two(up - first);
        const int column = share.column + e;
#pragma unroll
        for (int i = 0; i < Share<reading>::rows; i += 4) {
            std::uint32_t slice[slices] = {};
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                const float x = finite ? v[(i + r) * width + e] : 0.0F;
                const int q = gpu::round_to_int(x * scale * rest);
                const std::uint32_t three = (static_cast<std::uint32_t>(q) + 0x808080U) ^ 0x808080U;
#pragma unroll
                for (int s = 0; s < slices; ++s)
                    slice[s] |= (three >> (16 - 8 * s) & 0xFFU) << (8 * r);
            }
            const int word = (share.group * Share<reading>::rows + i) / 4;
#pragma unroll
            for (int s = 0; s < slices; ++s)
                data[(s * out_cols + column) * column_stride + word] = slice[s];
        }
        if (share.group == 0) {
            const int whole = unit + exponent - fraction_bits, most = clamped(whole, -100, 127);
            weights[2 * column] = finite ? power_of_two(most) : float_of_bits(0x7fc00000);
            weights[2 * column + 1] = power_of_two(clamped(whole - most, -126, 127));
        }
    }
}

// Four bits as four bytes: 1, or -1 for a bit that is set.
GPU_INLINE std::uint32_t four_signs(std::uint32_t bits) {
    return ((bits & 0xFU) * 0x00204081U & 0x01010101U) * 0xFEU ^ 0x01010101U;
}

// sum += the block's terms of 16 rows of a warp and 16 columns from n0 on. Inner indices may be
// permuted alike in both operands: lane t of a group takes 16 in a row of every 64, for two
// products.
static __device__ __forceinline__ void add_products(gpu::Shared<std::uint32_t> signs,
                                                    gpu::Shared<std::uint32_t> data,
                                                    gpu::Shared<float> weights, int thread, int n0,
                                                    float (*sum)[4]) {
    const int lane = thread % 32, group = lane / 4, t = lane % 4, row = thread / 32 * 16 + group;
    int total[2][slices][4] = {};
#pragma unroll 1
    for (int p = 0; p < block_rows / 64; ++p) {
        const int at = row * Signs::stride + 2 * p + t / 2;
        const std::uint32_t low = static_cast<std::uint32_t>(signs[at]) >> (t % 2 * 16);
        const std::uint32_t high =
            static_cast<std::uint32_t>(signs[at + 8 * Signs::stride]) >> (t % 2 * 16);
        std::uint32_t a[2][4];
#pragma unroll
        for (int u = 0; u < 2; ++u) {
            a[u][0] = four_signs(low >> (8 * u));
            a[u][1] = four_signs(high >> (8 * u));
            a[u][2] = four_signs(low >> (8 * u + 4));
            a[u][3] = four_signs(high >> (8 * u + 4));
        }
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int s = 0; s < slices; ++s) {
                const int column = s * out_cols + n0 + n * 8 + group;
                std::uint32_t b[4];
                gpu::load_shared(data, column * column_stride + 16 * p + 4 * t, b);
                gpu::mma_s8(total[n][s], a[0], {b[0], b[1]});
                gpu::mma_s8(total[n][s], a[1], {b[2], b[3]});
            }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int column = n0 + n * 8 + 2 * t + i % 2;
            const int whole = 65536 * total[n][0][i] + 256 * total[n][1][i] + total[n][2][i];
            const float term = static_cast<float>(whole) * static_cast<float>(weights[2 * column]) *
                               static_cast<float>(weights[2 * column + 1]);
            sum[n][i] = sum[n][i] + term;
        }
}

// Ideal bytes: A once for up to 128 rows of out, again (met in L2) for every further 128; out once.
template <bool adjoint, Reading reading>
__global__ void __launch_bounds__(square_threads, 2) fixed_kernel(FixedArguments g) {
    GPU_DYNAMIC_SHARED(std::uint32_t, data, 0, data_count);
    GPU_DYNAMIC_SHARED(std::uint32_t, signs, signs_at, Signs::count);
    GPU_DYNAMIC_SHARED(std::uint32_t, tops, tops_at, top_count);
    GPU_DYNAMIC_SHARED(float, weights, weights_at, 2 * out_cols);
    const int thread = static_cast<int>(threadIdx.x);
    const auto share = Share<reading>::of(thread);
    const index_t j0 = static_cast<index_t>(blockIdx.x) * out_cols;
    const index_t i0 = static_cast<index_t>(blockIdx.y) * out_rows -
                       (adjoint ? static_cast<index_t>(g.outer_start % 32) : 0);
    const std::uint64_t outer = g.outer_start + static_cast<std::uint64_t>(i0);
    float sum[out_cols / 8][4] = {};
    for (index_t k0 = -static_cast<index_t>(g.inner_start % block_rows); k0 < g.a.rows;
         k0 += block_rows) {
        float v[values];
        std::uint32_t top[Share<reading>::width];
        load_values<reading>(g.a, k0, j0, share, v);
        find_tops<reading>(v, share, tops, top);
        quantize<reading>(v, share, top, g.exponent, data, weights);
        Signs::make<adjoint>(g.key, outer, g.inner_start + static_cast<std::uint64_t>(k0), thread,
                             signs, [](std::uint32_t word) { return word; });
        __syncthreads();
#pragma unroll
        for (int n = 0; n < out_cols / 8; n += 2)
            add_products(signs, data, weights, thread, 8 * n, sum + n);
        __syncthreads();
    }
    const int lane = thread % 32, row = thread / 32 * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < out_cols / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const index_t r = i0 + row + i / 2 * 8, c = j0 + 8 * n + 2 * (lane % 4) + i % 2;
            if (r >= 0 && r < g.out.rows && c < g.out.cols)
                gpu::store(g.out.data + r * g.out.row_stride + c * g.out.col_stride,
                           g.factor * sum[n][i]);
        }
}

template <bool adjoint>
void launch_fixed(const FixedArguments& g, StreamHandle stream) {
    const index_t skipped = adjoint ? static_cast<index_t>(g.outer_start % 32) : 0;
    const dim3 grid(blocks_of(g.out.cols, out_cols), blocks_of(g.out.rows + skipped, out_rows));
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, square_threads, bytes, static_cast<gpu::Stream>(stream), g);
    };
    switch (reading_of(transposed(g.a), static_cast<index_t>(g.inner_start % square))) {
        case Reading::along_columns:  // of the transpose: rows of a are contiguous
            return run(fixed_kernel<adjoint, Reading::along_rows>);
        case Reading::along_rows:
            return run(fixed_kernel<adjoint, Reading::along_columns>);
        case Reading::entries:
            return run(fixed_kernel<adjoint, Reading::entries>);
    }
}

}  // namespace

void apply_sign_map(const DenseMap& map, bool adjoint, Matrix<const float> a, Matrix<float> out,
                    StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    const auto scale = static_cast<float>(map.scale);
    const bool sound = scale != 0 && std::isfinite(scale);
    const int exponent = sound ? std::ilogb(scale) : 0;
    const FixedArguments g{a,
                           out,
                           stream_key(map.seed, map.stream, map.kind, 32),
                           adjoint ? map.row_start : map.col_start,
                           adjoint ? map.col_start : map.row_start,
                           exponent,
                           std::scalbn(scale, -exponent)};
    adjoint ? launch_fixed<true>(g, stream) : launch_fixed<false>(g, stream);
}

}  // namespace randnla::cuda
