// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"
#include "randnla/philox.hpp"

// Draws of an index by given weights: sum trees, which change in O(log n), and alias tables
// (Walker, 1977; Vose, 1991), which are read in O(1). Draw i of a stream is position i of a counter
// row.
namespace randnla {

// A sum tree of `length` weights: level 0 are the weights, an entry of level l + 1 is the sum, in
// order, of eight neighbours of level l; each level is padded by zeros to a multiple of eight, and
// the highest has eight entries. A node, eight entries, is a cache line where the tree is aligned.
constexpr index_t tree_fan = 8;

struct TreeLevels {
    index_t start[22];  // of the levels, from the start of the tree
    int top;
    index_t size;  // entries of all levels

    explicit TreeLevels(index_t length) : start{}, top(0), size(0) {
        index_t entries = padded(length);
        for (;; ++top) {
            start[top] = size;
            size += entries;
            if (entries <= tree_fan) break;
            entries = padded(entries / tree_fan);
        }
    }
    static index_t padded(index_t n) {
        return n <= tree_fan ? tree_fan : (n + tree_fan - 1) / tree_fan * tree_fan;
    }
};

// Trees in one array: tree t begins at offsets[t] and has lengths[t] weights.
struct Forest {
    const double* arena;
    const index_t* offsets;
    const index_t* lengths;
};

// Of a cell that was reached: itself with the chance threshold / 2^64, else the alias.
struct AliasCell {
    std::uint64_t threshold;
    std::int64_t alias;
};

struct DrawRange {
    Key key;
    std::uint64_t row, first;
    index_t count;
};

// Indices of weight zero are never drawn; -1 where all weights are zero.
struct WeightedDrawKernels {
    void (*tree)(const double* tree, index_t length, DrawRange range, index_t* out);
    // Draw i is from tree trees[i].
    void (*forest)(Forest forest, const index_t* trees, DrawRange range, index_t* out);
    void (*alias)(const AliasCell* cells, index_t length, DrawRange range, index_t* out);
};
RANDNLA_DECLARE_KERNELS(WeightedDrawKernels, weighted_draw_kernels)

// Sets the sums above the weights, of trees first .. first + count - 1 of the forest.
void build_trees(double* arena, const index_t* offsets, const index_t* lengths, index_t count);

// The sum of all weights of each tree.
void tree_totals(Forest forest, index_t count, double* out);

// Weight leaves[i] of tree trees[i] becomes weights[i], one after the other. The sums are those of
// build_trees for the new weights: nothing drifts.
void update_trees(double* arena, const index_t* offsets, const index_t* lengths,
                  const index_t* trees, const index_t* leaves, const double* weights,
                  index_t count);

// An alias table of weights that are non-negative and not all zero.
void build_alias(const double* weights, index_t length, AliasCell* cells);

// Many draws, shared by the team; the same indices for any team.
void draw_tree(const double* tree, index_t length, DrawRange range, index_t* out);
void draw_forest(Forest forest, const index_t* trees, DrawRange range, index_t* out);
void draw_alias(const AliasCell* cells, index_t length, DrawRange range, index_t* out);

}  // namespace randnla
