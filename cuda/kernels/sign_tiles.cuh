// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "entries.cuh"

namespace randnla::cuda {

// The signs of P = S, or S^T, for `rows` rows of P and 32 * words of its columns, in shared memory
// as bits along the columns: bit k of word w of row r is that of P(outer + r, inner + 32 w + k).
// inner is a multiple of 32, for S^T outer is. arrange(word) may permute the bits of a word.
template <int rows, int words>
struct SignTile {
    static constexpr int stride = words + 1, count = rows * stride;

    template <bool adjoint, class Arrange>
    static __device__ __forceinline__ void make(Key key, std::uint64_t outer, std::uint64_t inner,
                                                int thread, gpu::Shared<std::uint32_t> tile,
                                                const Arrange& arrange) {
        if constexpr (!adjoint) {
#pragma unroll 1
            for (int q = thread; q < rows * words; q += square_threads) {
                const int r = q / words, w = q % words;
                tile[r * stride + w] =
                    arrange(sign_word(inner + static_cast<std::uint64_t>(32 * w),
                                      outer + static_cast<std::uint64_t>(r), key));
            }
        } else {
            // A word has 32 columns of a row of S; 32 ballots turn those of 32 rows.
            const int lane = thread % 32;
#pragma unroll 1
            for (int q = thread / 32; q < words * (rows / 32); q += square_threads / 32) {
                const int w = q / (rows / 32), r = q % (rows / 32) * 32;
                const std::uint32_t bits =
                    sign_word(outer + static_cast<std::uint64_t>(r),
                              inner + static_cast<std::uint64_t>(32 * w + lane), key);
                std::uint32_t mine = 0;
                for (int b = 0; b < 32; ++b) {
                    const std::uint32_t turned = __ballot_sync(0xFFFFFFFFU, bits >> b & 1U);
                    if (lane == b) mine = turned;
                }
                tile[(r + lane) * stride + w] = arrange(mine);
            }
        }
    }
};

}  // namespace randnla::cuda
