// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "randnla/sampling.hpp"
#include "randnla/sketch_hadamard.hpp"
#include "randnla/threads.hpp"

// What the transforms along both axes share.
namespace randnla::hadamard {

// What a thread works on at a time: `chunk_bytes` stay in L1, `block_bytes` in L2.
constexpr index_t chunk_bytes = index_t{32} << 10, block_bytes = index_t{512} << 10;
constexpr index_t batch_bytes = index_t{256} << 10;  // of input, between two checkpoints
constexpr index_t page_bytes = 4096;

template <class T>
const HadamardVectorKernels<T>& vector_kernels() {
    if constexpr (sizeof(T) == 4)
        return hadamard_vector_kernels().f32;
    else
        return hadamard_vector_kernels().f64;
}
template <class T>
const HadamardPanelKernels<T>& panel_kernels() {
    if constexpr (sizeof(T) == 4)
        return hadamard_panel_kernels().f32;
    else
        return hadamard_panel_kernels().f64;
}

// A map made ready: its signs and sampled positions.
template <class T>
class Prepared {
  public:
    using Word = typename SignWord<T>::type;

    Prepared(const HadamardMap& map, index_t count)
        : m(map.m),
          order(hadamard_order(map.m)),
          scale(static_cast<T>(std::sqrt(1.0 / static_cast<double>(map.d)))) {
        const auto blocks = static_cast<std::size_t>((m + signs_per_block - 1) / signs_per_block);
        bits_.resize(blocks * words_per_block);
        trig_sign_bits(map.seed, map.stream, m, bits_.data());
        words_.resize(32 * bits_.size());  // kernels read whole vectors past m
        for (std::size_t i = 0; i < words_.size(); ++i)
            words_[i] = static_cast<Word>(bits_[i / 32] >> i % 32 & 1U) << (8 * sizeof(T) - 1);
        std::vector<index_t> sample(static_cast<std::size_t>(map.row_start + count));
        sample_coordinates({map.seed, map.stream, StreamKind::trig_rows}, order,
                           map.row_start + count, sample.data());
        positions.assign(sample.begin() + map.row_start, sample.end());
    }

    Signs<T> signs() const { return {bits_.data(), words_.data()}; }
    T signed_scale(index_t i) const {
        return words_[static_cast<std::size_t>(i)] != 0 ? -scale : scale;
    }

    const index_t m, order;
    const T scale;
    std::vector<std::int32_t> positions;

  private:
    std::vector<std::uint32_t> bits_;
    std::vector<Word> words_;
};

inline int log2_ratio(index_t size, index_t stride) {
    int n = 0;
    while ((stride << n) < size) ++n;
    return n;
}

// The levels of stride `stride` .. size / 2 of x[0..size), in as few passes of nearly equal radix
// as the registers allow.
template <class T>
void run_levels(Team& team, T* x, index_t size, index_t stride) {
    const auto& k = vector_kernels<T>();
    for (int left = log2_ratio(size, stride); left > 0;) {
        const int passes = (left + k.radix_levels - 1) / k.radix_levels;
        const int n = (left + passes - 1) / passes;
        const index_t step = batch_bytes / static_cast<index_t>(sizeof(T)) >> n;
        for (index_t base = 0; base < size; base += stride << n)
            for (index_t j = 0; j < stride; j += step) {
                team.checkpoint();
                k.pass(x + base + j, stride, n, std::min(step, stride - j));
            }
        stride <<= n;
        left -= n;
    }
}

// Fills x[0..size) chunk by chunk with load(begin) and runs the levels up to `top`: within L1, then
// within L2, then over all.
template <class T, class Load>
void transform(Team& team, T* x, index_t size, index_t chunk, index_t top, const Load& load) {
    const index_t block =
        std::max(chunk, std::min(top, block_bytes / static_cast<index_t>(sizeof(T))));
    for (index_t b = 0; b < size; b += block) {
        for (index_t c = b; c < std::min(b + block, size); c += chunk) {
            team.checkpoint();
            load(c);
        }
        run_levels(team, x + b, std::min(block, size - b), chunk);
    }
    for (index_t b = 0; b < size; b += top) run_levels(team, x + b, top, std::min(block, top));
}

// Down the columns of matrices of any layout (hadamard_panels.cpp). False, and nothing is done,
// where a panel one line wide would take more memory than a member may hold.
template <class T>
bool forward_panels(const Prepared<T>& map, MatrixView<const T> a, MatrixView<T> out);
template <class T>
bool adjoint_panels(const Prepared<T>& map, MatrixView<const T> b, MatrixView<T> out);

}  // namespace randnla::hadamard
