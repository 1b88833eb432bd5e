// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <vector>

#include "check.hpp"
#include "randnla/weighted_draws.hpp"

using namespace randnla;

namespace {

std::vector<double> some_weights(index_t n) {
    std::vector<double> w(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = i % 3 == 1 ? 0 : std::exp(std::sin(double(i)));
    return w;
}

struct OneTree {
    index_t offset = 0, length;
    std::vector<double> arena;

    explicit OneTree(const std::vector<double>& weights)
        : length(static_cast<index_t>(weights.size())),
          arena(static_cast<std::size_t>(TreeLevels(length).size)) {
        std::copy(weights.begin(), weights.end(), arena.begin());
        build_trees(arena.data(), &offset, &length, 1);
    }
};

}  // namespace

TEST(sum_trees_draw_what_has_weight_at_its_frequency) {
    for (const index_t n : {1, 8, 9, 100, 600}) {
        const auto w = some_weights(n);
        const OneTree tree(w);
        const DrawRange range{{1, 2}, 0, 5, 40000};
        std::vector<index_t> out(40000), again(40000), trees(40000, 0);
        draw_tree(tree.arena.data(), n, range, out.data());
        draw_forest({tree.arena.data(), &tree.offset, &tree.length}, trees.data(), range,
                    again.data());
        CHECK(out == again);
        double total = 0, squares = 0;
        for (const double x : w) total += x;
        std::vector<double> seen(w.size());
        for (const index_t i : out) seen[static_cast<std::size_t>(i)] += 1;
        for (std::size_t i = 0; i < w.size(); ++i) {
            if (w[i] == 0) CHECK(seen[i] == 0);
            const double expected = 40000 * w[i] / total;
            if (expected > 0) squares += (seen[i] - expected) * (seen[i] - expected) / expected;
        }
        CHECK(squares < double(n) + 8 * std::sqrt(2.0 * double(n)) + 30);
    }
}

TEST(updates_of_a_sum_tree_leave_that_of_the_new_weights) {
    auto w = some_weights(700);
    OneTree tree(w);
    for (index_t k = 0; k < 500; ++k) {
        const index_t leaf = (k * 37) % 700, which = 0;
        const double weight = k % 5 == 0 ? 0 : 1.0 / double(k + 1);
        w[static_cast<std::size_t>(leaf)] = weight;
        update_trees(tree.arena.data(), &tree.offset, &tree.length, &which, &leaf, &weight, 1);
    }
    CHECK(tree.arena == OneTree(w).arena);
}

TEST(alias_tables_never_give_what_has_no_weight) {
    const auto w = some_weights(1000);
    std::vector<AliasCell> cells(1000);
    build_alias(w.data(), 1000, cells.data());
    std::vector<index_t> out(30000);
    draw_alias(cells.data(), 1000, {{3, 4}, 1, 0, 30000}, out.data());
    for (const index_t i : out) CHECK(w[static_cast<std::size_t>(i)] > 0);
    std::vector<double> mass(1000);
    for (index_t i = 0; i < 1000; ++i) {
        const double own = double(cells[i].threshold) * 0x1p-64;
        mass[static_cast<std::size_t>(i)] += own;
        mass[static_cast<std::size_t>(cells[i].alias)] += 1 - own;
    }
    double total = 0, worst = 0;
    for (const double x : w) total += x;
    for (std::size_t i = 0; i < w.size(); ++i)
        worst = std::max(worst, std::abs(mass[i] - 1000 * w[i] / total));
    CHECK(worst < 1e-12);
}
