// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/weighted_draws.hpp"

#include "philox_lanes.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

constexpr int lanes = lanes_per_block;
// Draws under way at a time: enough misses of the cache to hide each other.
constexpr int batch = 4 * lanes;

// Two numbers of 64 bits for each draw.
struct Numbers {
    std::uint64_t first[batch], second[batch];

    // Those of `count` draws from position `start` on; returns how many there are, up to the end of
    // the last of four blocks.
    int fill(Key key, std::uint64_t row, std::uint64_t start, index_t count) {
        const auto skip = static_cast<int>(start % lanes);
        int got = 0;
        for (int b = 0; b < batch / lanes && got < count; ++b) {
            alignas(64) std::uint32_t w[words_per_block];
            philox_block_lanes(start / lanes + static_cast<std::uint64_t>(b), row, key, w);
            for (int l = b == 0 ? skip : 0; l < lanes && got < count; ++l, ++got) {
                first[got] = std::uint64_t{w[l]} << 32 | w[lanes + l];
                second[got] = std::uint64_t{w[2 * lanes + l]} << 32 | w[3 * lanes + l];
            }
        }
        return got;
    }
};

double unit(std::uint64_t bits) {
    return static_cast<double>(static_cast<std::int64_t>(bits >> 11)) * 0x1p-53;
}

double sum(const double* node) {
    double total = 0;
    for (int c = 0; c < tree_fan; ++c) total += node[c];
    return total;
}

// The child of the node whose interval of the sums holds x, which becomes the distance from its
// lower end; -1 if there is none. Where rounding left x at the upper end of the last interval, the
// last child of positive weight.
int child(const double* node, double& x) {
    double end = 0, begin = 0;
    int k = 0;
    for (int c = 0; c < tree_fan; ++c) {
        end += node[c];
        const bool beyond = x >= end;
        k += beyond;
        begin = beyond ? end : begin;
    }
    if (k < tree_fan) {
        x -= begin;
        return k;
    }
    for (k = tree_fan - 1; k >= 0 && !(node[k] > 0);) --k;
    if (k >= 0) x = node[k];
    return k;
}

// Upper levels take their point from the first number of a draw, lower ones from the second: 53
// bits for each half of the tree.
int level_of_second(const TreeLevels& levels) {
    return levels.top == 0 ? -1 : levels.top / 2;
}

void tree_draws(const double* tree, index_t length, DrawRange range, index_t* out) {
    const TreeLevels levels(length);
    const int turn = level_of_second(levels);
    Numbers numbers;
    double x[batch];
    for (; range.count > 0;) {
        const int n = numbers.fill(range.key, range.row, range.first, range.count);
        const double total = sum(tree + levels.start[levels.top]);
        for (int i = 0; i < n; ++i) {
            x[i] = unit(numbers.first[i]) * total;
            out[i] = 0;
        }
        for (int l = levels.top; l >= 0; --l) {
            const double* level = tree + levels.start[l];
            for (int i = 0; i < n; ++i) {
                if (out[i] < 0) continue;
                const double* node = level + tree_fan * out[i];
                if (l == turn) x[i] = unit(numbers.second[i]) * sum(node);
                const int k = child(node, x[i]);
                out[i] = k < 0 ? -1 : tree_fan * out[i] + k;
                if (l > 0 && k >= 0)
                    __builtin_prefetch(tree + levels.start[l - 1] + tree_fan * out[i]);
            }
        }
        out += n;
        range.first += static_cast<std::uint64_t>(n);
        range.count -= n;
    }
}

index_t descend(const double* tree, const TreeLevels& levels, std::uint64_t first,
                std::uint64_t second) {
    const int turn = level_of_second(levels);
    double x = unit(first) * sum(tree + levels.start[levels.top]);
    index_t at = 0;
    for (int l = levels.top; l >= 0; --l) {
        const double* node = tree + levels.start[l] + tree_fan * at;
        if (l == turn) x = unit(second) * sum(node);
        const int k = child(node, x);
        if (k < 0) return -1;
        at = tree_fan * at + k;
    }
    return at;
}

void forest_draws(Forest forest, const index_t* trees, DrawRange range, index_t* out) {
    Numbers numbers;
    for (; range.count > 0;) {
        const int n = numbers.fill(range.key, range.row, range.first, range.count);
        for (int i = 0; i < n; ++i) {
            const index_t t = trees[i];
            out[i] = descend(forest.arena + forest.offsets[t], TreeLevels(forest.lengths[t]),
                             numbers.first[i], numbers.second[i]);
        }
        out += n;
        trees += n;
        range.first += static_cast<std::uint64_t>(n);
        range.count -= n;
    }
}

void alias_draws(const AliasCell* cells, index_t length, DrawRange range, index_t* out) {
    __extension__ using Wide = unsigned __int128;
    Numbers numbers;
    for (; range.count > 0;) {
        const int n = numbers.fill(range.key, range.row, range.first, range.count);
        for (int i = 0; i < n; ++i) {
            out[i] = static_cast<index_t>(
                static_cast<Wide>(numbers.first[i]) * static_cast<Wide>(length) >> 64);
            __builtin_prefetch(cells + out[i]);
        }
        for (int i = 0; i < n; ++i) {
            const AliasCell cell = cells[out[i]];
            out[i] = numbers.second[i] < cell.threshold ? out[i] : cell.alias;
        }
        out += n;
        range.first += static_cast<std::uint64_t>(n);
        range.count -= n;
    }
}

}  // namespace

extern const WeightedDrawKernels weighted_draw_kernels;
const WeightedDrawKernels weighted_draw_kernels = {tree_draws, forest_draws, alias_draws};

}  // namespace randnla::RANDNLA_ISA
