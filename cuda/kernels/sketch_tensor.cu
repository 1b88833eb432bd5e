// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "sign_tiles.cuh"
#include "tensor_cores.cuh"

// Sign maps on tensor cores: y = a S^T, or a S, of an A of bfloat16, or of float32 as the sum of
// two numbers of TF32. Signs are exact in both. A block makes 128 x 64 of y, 128 columns of A at a
// time; each of its eight warps has 16 rows.
namespace randnla::cuda {
namespace {

constexpr int y_rows = 128, y_cols = 64, depth = 128;
using Signs = SignTile<y_cols, depth / 32>;

// A row's words lie side by side; its stride puts the loads of a quarter of a warp into all banks.
template <class S>
struct Share {
    static constexpr int per = 4 / sizeof(S);  // numbers a word
    static constexpr int words = depth / per, stride = words + 16, count = y_rows * stride;
    static constexpr std::size_t signs_at = 4 * count, bytes = signs_at + 4 * Signs::count;
};

template <class S>
struct TensorArguments {
    Matrix<const S> a;
    Matrix<float> y;
    Key key;
    std::uint64_t row_start, col_start;
    float scale;
};

// A at (i0, k0) into shared memory, zeros outside of it.
template <class S, bool packed>
static __device__ __forceinline__ void load_words(const Matrix<const S>& a, index_t i0, index_t k0,
                                                  int thread, gpu::Shared<std::uint32_t> tile) {
    using Shape = Share<S>;
    constexpr int per = Shape::per;
    constexpr int width = packed ? 4 : 1;  // words
#pragma unroll 4
    for (int q = thread; q < y_rows * Shape::words / width; q += square_threads) {
        const int r = q / (Shape::words / width), w = q % (Shape::words / width) * width;
        const index_t i = i0 + r, k = k0 + w * per;
        const S* const p = a.data + i * a.row_stride + k * a.col_stride;
        if constexpr (packed) {
            std::uint32_t v[4] = {};
            if (i < a.rows && k >= 0 && k < a.cols) load_bits(p, v);
            gpu::store_shared(tile, r * Shape::stride + w, v);
        } else {
            std::uint32_t word = 0;
            for (int e = 0; e < per; ++e)
                if (i < a.rows && k + e >= 0 && k + e < a.cols)
                    word |= load_bits(p + e * a.col_stride) << (16 * e);
            tile[r * Shape::stride + w] = word;
        }
    }
}

// Four words of a row, for two products: the numbers of sixteen bits of a word are four apart, and
// so their signs are sixteen bits apart.
template <class S>
static __device__ __forceinline__ void pair_up(std::uint32_t (&w)[4]) {
    if constexpr (sizeof(S) == 2) {
        const std::uint32_t x[4] = {w[0], w[1], w[2], w[3]};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            w[2 * i] = (x[i] & 0xFFFFU) | x[i + 2] << 16;
            w[2 * i + 1] = x[i] >> 16 | (x[i + 2] & 0xFFFF0000U);
        }
    }
}
// The even groups of four bits in the lower half, the odd ones in the upper.
template <class S>
GPU_INLINE std::uint32_t arranged(std::uint32_t bits) {
    if constexpr (sizeof(S) == 4) return bits;
    std::uint32_t halves[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        std::uint32_t x = bits >> 4 * h & 0x0F0F0F0FU;
        x = (x | x >> 4) & 0x00FF00FFU;
        halves[h] = (x | x >> 8) & 0xFFFFU;
    }
    return halves[0] | halves[1] << 16;
}
// Signs of word e of lane t of a group, as numbers; k is the first column of the group's.
template <class S>
GPU_INLINE std::uint32_t signs_of(std::uint32_t bits, int k, int t, int e) {
    if constexpr (sizeof(S) == 4)
        return (bits >> (k % 32 + 4 * t) << (31 - e) & 0x80000000U) | 0x3F800000U;
    return (bits << (12 - 4 * t) << (3 - e) & 0x80008000U) | 0x3F803F80U;
}

// Lane t of a group takes four words of a row of A for two products; inner indices are permuted
// alike in both operands.
template <class S>
static __device__ __forceinline__ void add_products(gpu::Shared<std::uint32_t> tile,
                                                    gpu::Shared<std::uint32_t> signs, int thread,
                                                    float (&sum)[y_cols / 8][4]) {
    using Shape = Share<S>;
    const int lane = thread % 32, group = lane / 4, t = lane % 4, row = thread / 32 * 16 + group;
#pragma unroll 1
    for (int k = 0; k < depth; k += 16 * Shape::per) {
        std::uint32_t low[4], high[4];
        const int at = row * Shape::stride + k / Shape::per + 4 * t;
        gpu::load_shared(tile, at, low);
        gpu::load_shared(tile, at + 8 * Shape::stride, high);
        pair_up<S>(low);
        pair_up<S>(high);
        const Operand<S> first({low[0], high[0], low[1], high[1]});
        const Operand<S> second({low[2], high[2], low[3], high[3]});
#pragma unroll
        for (int n = 0; n < y_cols / 8; ++n) {
            const std::uint32_t bits = signs[(8 * n + group) * Signs::stride + k / 32];
            first.multiply_exact(sum[n], {signs_of<S>(bits, k, t, 0), signs_of<S>(bits, k, t, 1)});
            second.multiply_exact(sum[n], {signs_of<S>(bits, k, t, 2), signs_of<S>(bits, k, t, 3)});
        }
    }
}

// Ideal bytes: A once for up to 64 columns of y, again (met in L2) for every further 64; y once.
template <class S, bool adjoint, bool packed>
__global__ void __launch_bounds__(square_threads, 2) tensor_kernel(TensorArguments<S> g) {
    GPU_DYNAMIC_SHARED(std::uint32_t, tile, 0, Share<S>::count);
    GPU_DYNAMIC_SHARED(std::uint32_t, signs, Share<S>::signs_at, Signs::count);
    const int thread = static_cast<int>(threadIdx.x);
    // The columns of y are rows of S, or columns if adjoint; words of its bits begin at 32.
    const std::uint64_t outer_start = adjoint ? g.col_start : g.row_start;
    const std::uint64_t inner_start = adjoint ? g.row_start : g.col_start;
    const index_t i0 = static_cast<index_t>(blockIdx.y) * y_rows;
    const index_t c0 = static_cast<index_t>(blockIdx.x) * y_cols -
                       (adjoint ? static_cast<index_t>(outer_start % 32) : 0);
    float sum[y_cols / 8][4] = {};
    for (index_t k0 = -static_cast<index_t>(inner_start % 32); k0 < g.a.cols; k0 += depth) {
        load_words<S, packed>(g.a, i0, k0, thread, tile);
        Signs::make<adjoint>(g.key, outer_start + static_cast<std::uint64_t>(c0),
                             inner_start + static_cast<std::uint64_t>(k0), thread, signs,
                             [](std::uint32_t word) { return arranged<S>(word); });
        __syncthreads();
        add_products<S>(tile, signs, thread, sum);
        __syncthreads();
    }
    const int lane = thread % 32, row = thread / 32 * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < y_cols / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const index_t r = i0 + row + i / 2 * 8, c = c0 + 8 * n + 2 * (lane % 4) + i % 2;
            if (r < g.y.rows && c >= 0 && c < g.y.cols)
                gpu::store(g.y.data + r * g.y.row_stride + c * g.y.col_stride, g.scale * sum[n][i]);
        }
}

}  // namespace

template <class S>
void apply_sign_map_tensor(const DenseMap& map, bool adjoint, Matrix<const S> a, Matrix<float> y,
                           StreamHandle stream) {
    if (y.rows == 0 || y.cols == 0) return;
    const TensorArguments<S> g{a,
                               y,
                               stream_key(map.seed, map.stream, map.kind, 32),
                               map.row_start,
                               map.col_start,
                               static_cast<float>(map.scale)};
    const std::uint64_t outer = adjoint ? map.col_start : map.row_start;
    const std::uint64_t inner = adjoint ? map.row_start : map.col_start;
    const index_t skipped = adjoint ? static_cast<index_t>(outer % 32) : 0;
    const dim3 grid(blocks_of(y.cols + skipped, y_cols), blocks_of(a.rows, y_rows));
    const bool packed = reading_of(a, static_cast<index_t>(inner % square)) == Reading::along_rows;
    const auto run = [&](auto kernel) {
        gpu::launch(kernel, grid, square_threads, Share<S>::bytes, static_cast<gpu::Stream>(stream),
                    g);
    };
    if (packed)
        adjoint ? run(tensor_kernel<S, true, true>) : run(tensor_kernel<S, false, true>);
    else
        adjoint ? run(tensor_kernel<S, true, false>) : run(tensor_kernel<S, false, false>);
}

template void apply_sign_map_tensor<float>(const DenseMap&, bool, Matrix<const float>,
                                           Matrix<float>, StreamHandle);
template void apply_sign_map_tensor<Brain>(const DenseMap&, bool, Matrix<const Brain>,
                                           Matrix<float>, StreamHandle);

}  // namespace randnla::cuda
