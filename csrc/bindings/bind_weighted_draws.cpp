// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <limits>

#include "arrays.hpp"
#include "randnla/weighted_draws.hpp"
#include "register.hpp"

namespace randnla::bindings {
namespace {

constexpr index_t longest = index_t{1} << 48;  // far beyond memory, no sum of sizes wraps

struct Arrays {
    VectorView<const double> arena;
    VectorView<const index_t> offsets, lengths;

    Arrays(const py::array& a, const py::array& o, const py::array& l)
        : arena(input_vector<double>(a, "arena")),
          offsets(input_vector<index_t>(o, "offsets")),
          lengths(input_vector<index_t>(l, "lengths")) {
        if (offsets.size != lengths.size) refuse("offsets", "expected one for each tree");
    }
    Forest forest() const { return {arena.data, offsets.data, lengths.data}; }
    void check(index_t tree) const {
        if (tree < 0 || tree >= offsets.size) refuse("trees", "index out of range");
        const index_t begin = offsets.data[tree], length = lengths.data[tree];
        if (begin < 0 || length < 0 || begin > arena.size || length > longest ||
            TreeLevels(length).size > arena.size - begin)
            refuse("arena", "a tree lies outside");
    }
    void check_all() const {
        for (index_t t = 0; t < offsets.size; ++t) check(t);
    }
    void check_each(VectorView<const index_t> trees) const {
        for (index_t i = 0; i < trees.size; ++i)
            if (i == 0 || trees.data[i] != trees.data[i - 1]) check(trees.data[i]);
    }
};

DrawRange draw_range(std::uint64_t seed, std::uint64_t stream, std::uint64_t row,
                     std::uint64_t first, index_t count) {
    constexpr auto last = static_cast<std::uint64_t>(std::numeric_limits<index_t>::max());
    if (first > last || static_cast<std::uint64_t>(count) > last - first)
        refuse("first", "positions must stay below 2**63");
    return {stream_key(seed, stream, StreamKind::entries, 32), row, first, count};
}

index_t tree_size(index_t length) {
    if (length < 0 || length > longest) refuse("length", "out of range");
    return TreeLevels(length).size;
}

void build(py::array& arena, const py::array& offsets, const py::array& lengths) {
    const Arrays arrays(arena, offsets, lengths);
    const auto out = output_vector<double>(arena, "arena");
    const ReleaseGil release;
    arrays.check_all();
    build_trees(out.data, arrays.offsets.data, arrays.lengths.data, arrays.offsets.size);
}

void totals(const py::array& arena, const py::array& offsets, const py::array& lengths,
            py::array& out) {
    const Arrays arrays(arena, offsets, lengths);
    const auto to = output_vector<double>(out, "out");
    if (to.size != arrays.offsets.size) refuse("out", "expected one for each tree");
    const ReleaseGil release;
    arrays.check_all();
    tree_totals(arrays.forest(), to.size, to.data);
}

void update(py::array& arena, const py::array& offsets, const py::array& lengths,
            const py::array& trees, const py::array& leaves, const py::array& weights) {
    const Arrays arrays(arena, offsets, lengths);
    const auto out = output_vector<double>(arena, "arena");
    const auto tv = input_vector<index_t>(trees, "trees"),
               lv = input_vector<index_t>(leaves, "leaves");
    const auto wv = input_vector<double>(weights, "weights");
    if (tv.size != lv.size || tv.size != wv.size) refuse("leaves", "expected one for each weight");
    const ReleaseGil release;
    arrays.check_each(tv);
    for (index_t i = 0; i < lv.size; ++i)
        if (lv.data[i] < 0 || lv.data[i] >= arrays.lengths.data[tv.data[i]])
            refuse("leaves", "index out of range");
    update_trees(out.data, arrays.offsets.data, arrays.lengths.data, tv.data, lv.data, wv.data,
                 tv.size);
}

// Of one tree, where `trees` has one element; else one draw of each.
void draw(const py::array& arena, const py::array& offsets, const py::array& lengths,
          const py::array& trees, std::uint64_t seed, std::uint64_t stream, std::uint64_t row,
          std::uint64_t first, py::array& out) {
    const Arrays arrays(arena, offsets, lengths);
    const auto tv = input_vector<index_t>(trees, "trees");
    const auto to = output_vector<index_t>(out, "out");
    if (tv.size != 1 && tv.size != to.size) refuse("trees", "expected one, or one for each draw");
    const DrawRange range = draw_range(seed, stream, row, first, to.size);
    const ReleaseGil release;
    arrays.check_each(tv);
    if (tv.size == 1)
        draw_tree(arrays.arena.data + arrays.offsets.data[tv.data[0]],
                  arrays.lengths.data[tv.data[0]], range, to.data);
    else
        draw_forest(arrays.forest(), tv.data, range, to.data);
}

// A cell is a row of two numbers of 64 bits.
MatrixView<const std::uint64_t> alias_cells(const py::array& cells) {
    const auto view = input_matrix<std::uint64_t>(cells, "cells");
    if (view.cols != 2 || (cells.flags() & py::array::c_style) == 0)
        refuse("cells", "expected contiguous rows of two");
    return view;
}

void alias_build(const py::array& weights, py::array& cells) {
    const auto from = input_vector<double>(weights, "weights");
    const auto view = alias_cells(cells);
    if (!cells.writeable()) refuse("cells", "array is read-only");
    if (view.rows != from.size) refuse("cells", "expected one for each weight");
    auto* to = static_cast<AliasCell*>(cells.mutable_data());
    const ReleaseGil release;
    build_alias(from.data, from.size, to);
}

void alias_draw(const py::array& cells, std::uint64_t seed, std::uint64_t stream, std::uint64_t row,
                std::uint64_t first, py::array& out) {
    const auto view = alias_cells(cells);
    const auto to = output_vector<index_t>(out, "out");
    if (view.rows == 0 && to.size > 0) refuse("cells", "expected at least one");
    const DrawRange range = draw_range(seed, stream, row, first, to.size);
    const auto* from = reinterpret_cast<const AliasCell*>(view.data);
    const ReleaseGil release;
    draw_alias(from, view.rows, range, to.data);
}

}  // namespace

void register_weighted_draws(py::module_& m) {
    m.def("tree_size", &tree_size, py::arg("length"), "Entries of a sum tree.");
    m.def("build_trees", &build, py::arg("arena").noconvert(), py::arg("offsets").noconvert(),
          py::arg("lengths").noconvert(), "Sets the sums above the weights of all trees.");
    m.def("tree_totals", &totals, py::arg("arena").noconvert(), py::arg("offsets").noconvert(),
          py::arg("lengths").noconvert(), py::arg("out").noconvert(), "The sum of each tree.");
    m.def("update_trees", &update, py::arg("arena").noconvert(), py::arg("offsets").noconvert(),
          py::arg("lengths").noconvert(), py::arg("trees").noconvert(),
          py::arg("leaves").noconvert(), py::arg("weights").noconvert(),
          "Sets weights, one after the other, and the sums above.");
    m.def("draw_trees", &draw, py::arg("arena").noconvert(), py::arg("offsets").noconvert(),
          py::arg("lengths").noconvert(), py::arg("trees").noconvert(), py::arg("seed"),
          py::arg("stream"), py::arg("row"), py::arg("first"), py::arg("out").noconvert(),
          "Indices by weight from one tree, or from one tree each.");
    m.def("build_alias", &alias_build, py::arg("weights").noconvert(), py::arg("cells").noconvert(),
          "The alias table of weights.");
    m.def("draw_alias", &alias_draw, py::arg("cells").noconvert(), py::arg("seed"),
          py::arg("stream"), py::arg("row"), py::arg("first"), py::arg("out").noconvert(),
          "Indices by weight from an alias table.");
}

}  // namespace randnla::bindings
