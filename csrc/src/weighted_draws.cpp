// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/weighted_draws.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"

namespace randnla {
namespace {

double sum_of_node(const double* node) {
    double total = 0;
    for (index_t c = 0; c < tree_fan; ++c) total += node[c];
    return total;
}

void build_tree(double* tree, index_t length) {
    const TreeLevels levels(length);
    for (int l = 0; l < levels.top; ++l) {
        const double* from = tree + levels.start[l];
        double* to = tree + levels.start[l + 1];
        const index_t nodes = (levels.start[l + 1] - levels.start[l]) / tree_fan;
        parallel_for(nodes, 1 << 14, [&](index_t begin, index_t end) {
            for (index_t k = begin; k < end; ++k) to[k] = sum_of_node(from + tree_fan * k);
        });
    }
}

// Long loops of one thread, which answer the host now and then.
class AliasBuilder {
  public:
    AliasBuilder(const double* weights, index_t length, AliasCell* cells, Team& team)
        : weights_(weights), length_(length), cells_(cells), team_(team) {}

    void build() {
        measure();
        const auto n = static_cast<std::size_t>(length_);
        // Cells below the mean from the front, the others from the back.
        std::vector<index_t> order(n);
        std::vector<double> share(n);
        std::size_t small = 0, large = n;
        for (std::size_t i = 0; i < n; ++i) {
            answer(i);
            share[i] = weights_[i] * scale_;
            (share[i] < 1 ? order[small++] : order[--large]) = static_cast<index_t>(i);
        }
        // Vose: a small cell is filled up by a large one, which then may be small itself.
        std::size_t done = 0;
        while (done < small && large < n) {
            answer(done);
            const index_t i = order[done++], j = order[large];
            const auto from = static_cast<std::size_t>(i), to = static_cast<std::size_t>(j);
            put(i, share[from], j);
            share[to] = (share[to] + share[from]) - 1;
            if (share[to] < 1) {
                ++large;
                order[small++] = j;
            }
        }
        for (; large < n; ++large) put(order[large], 1, order[large]);
        // Left by rounding, so nearly full: but none of weight zero may come out.
        for (; done < small; ++done) {
            const index_t i = order[done];
            const bool empty = !(weights_[i] > 0);
            put(i, empty ? 0 : 1, empty ? largest_ : i);
        }
    }

  private:
    void answer(std::size_t i) {
        if (i % (1 << 16) == 0) team_.checkpoint();
    }

    void measure() {
        double total = 0;
        for (index_t begin = 0; begin < length_; begin += 1 << 12) {
            answer(static_cast<std::size_t>(begin));
            double part = 0;
            for (index_t i = begin; i < std::min<index_t>(length_, begin + (1 << 12)); ++i) {
                part += weights_[i];
                if (weights_[i] > weights_[largest_]) largest_ = i;
            }
            total += part;
        }
        scale_ = static_cast<double>(length_) / total;
        require(total > 0 && std::isfinite(scale_), "weights: expected a positive sum");
    }

    void put(index_t i, double chance, index_t alias) {
        const double cut = std::min(chance, 1.0) * 0x1p53;
        cells_[i].threshold =
            chance >= 1 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(cut) << 11;
        cells_[i].alias = alias;
    }

    const double* weights_;
    index_t length_, largest_ = 0;
    AliasCell* cells_;
    Team& team_;
    double scale_ = 0;
};

// Draws of one chunk: a multiple of all batches, some hundred microseconds.
constexpr index_t draw_grain = 1 << 13;

template <class Draw>
void share_draws(const DrawRange& range, const Draw& draw) {
    parallel_for(range.count, draw_grain, [&](index_t begin, index_t end) {
        DrawRange part = range;
        part.first += static_cast<std::uint64_t>(begin);
        part.count = end - begin;
        draw(part, begin);
    });
}

}  // namespace

void build_trees(double* arena, const index_t* offsets, const index_t* lengths, index_t count) {
    if (count == 1) {
        build_tree(arena + offsets[0], lengths[0]);
        return;
    }
    parallel_for(count, 8, [&](index_t begin, index_t end) {
        for (index_t t = begin; t < end; ++t) build_tree(arena + offsets[t], lengths[t]);
    });
}

void tree_totals(Forest forest, index_t count, double* out) {
    for (index_t t = 0; t < count; ++t) {
        const TreeLevels levels(forest.lengths[t]);
        out[t] = sum_of_node(forest.arena + forest.offsets[t] + levels.start[levels.top]);
    }
}

void update_trees(double* arena, const index_t* offsets, const index_t* lengths,
                  const index_t* trees, const index_t* leaves, const double* weights,
                  index_t count) {
    for (index_t i = 0; i < count; ++i) {
        double* tree = arena + offsets[trees[i]];
        const TreeLevels levels(lengths[trees[i]]);
        index_t at = leaves[i];
        tree[at] = weights[i];
        for (int l = 0; l < levels.top; ++l) {
            const index_t node = at / tree_fan;
            tree[levels.start[l + 1] + node] =
                sum_of_node(tree + levels.start[l] + tree_fan * node);
            at = node;
        }
    }
}

void build_alias(const double* weights, index_t length, AliasCell* cells) {
    parallel_team([&](Team& team) { AliasBuilder(weights, length, cells, team).build(); }, 1);
}

void draw_tree(const double* tree, index_t length, DrawRange range, index_t* out) {
    share_draws(range, [&](const DrawRange& part, index_t begin) {
        weighted_draw_kernels().tree(tree, length, part, out + begin);
    });
}

void draw_forest(Forest forest, const index_t* trees, DrawRange range, index_t* out) {
    share_draws(range, [&](const DrawRange& part, index_t begin) {
        weighted_draw_kernels().forest(forest, trees + begin, part, out + begin);
    });
}

void draw_alias(const AliasCell* cells, index_t length, DrawRange range, index_t* out) {
    share_draws(range, [&](const DrawRange& part, index_t begin) {
        weighted_draw_kernels().alias(cells, length, part, out + begin);
    });
}

}  // namespace randnla
