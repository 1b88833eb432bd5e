// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "randnla/sorted_sums.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

// Sparse maps with several nonzeros a column. Chunks of rows of A are copied, whole rows at a time,
// into panels that stay in the last cache: whole rows stream from memory at twice the rate of
// pieces of them. The sums of all panels stay there too.
namespace randnla {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

constexpr index_t table_codes = index_t{1} << 19;
constexpr index_t sums_bytes = index_t{6} << 20;
constexpr index_t group_panels = 64;  // a tile of 4 MB
constexpr index_t pair_bytes = sorted_lines * panel_bytes;

template <class T>
constexpr index_t pair = sorted_lines * line<T>;

// The sorted chunks of a table of codes.
class SortedTable {
  public:
    SortedTable(index_t chunks, index_t nnz, index_t d)
        : nnz_(nnz),
          d_(d),
          batches_(sorted_batches(sorted_inputs * nnz)),
          row_count_(sorted_rows(sorted_inputs * nnz, d)),
          chunks_(chunks),
          codes_(chunks * batches_ * batch_size),
          signs_(chunks * batches_),
          rows_(chunks * row_count_) {}

    // The members sort the chunks of codes of `columns` columns together.
    void sort(Team& team, const u32* codes, index_t columns) {
        const auto [begin, end] = team.share((columns + sorted_inputs - 1) / sorted_inputs);
        const Scratch<u32> scratch(4 * d_);
        for (index_t c = begin; c < end; ++c) {
            team.checkpoint();
            const index_t first = c * sorted_inputs;
            SortedChunk& chunk = chunks_[c];
            chunk.codes = codes_.data() + c * batches_ * batch_size;
            chunk.signs = signs_.data() + c * batches_;
            chunk.rows = rows_.data() + c * row_count_;
            sort_chunk(codes + first * nnz_, std::min(sorted_inputs, columns - first), nnz_, d_,
                       scratch.data(), chunk);
        }
        team.barrier();
    }
    const SortedChunk& operator[](index_t c) const { return chunks_[c]; }

  private:
    index_t nnz_, d_, batches_, row_count_;
    Scratch<SortedChunk> chunks_;
    Scratch<u16> codes_, signs_;
    Scratch<u32> rows_;
};

// The sums of a group of columns, in panels, and two tiles: one is filled while a member may still
// read the other.
template <class T>
class SortedGroup {
  public:
    SortedGroup(index_t d, index_t panels, int members)
        : d_(d),
          tiles_(members > 1 ? 2 : 1),
          sums_(panels * (d + 1) * pair<T>),
          tile_(tiles_ * panels * tile_stride),
          panels_(panels) {
        for (index_t p = 0; p < tiles_ * panels; ++p) {
            T* zeros = tile_.data() + p * tile_stride + sorted_inputs * pair<T>;
            std::fill(zeros, zeros + pair<T>, T(0));
        }
    }

    // sums += S A for the columns of `table`, from 0 or from out; to out, if asked for.
    void run(Team& team, const SortedTable& table, MatrixView<const T> a, MatrixView<T> out,
             bool clear, bool load, bool store, T scale) {
        const auto [j0, j1] = team.share(out.cols, pair<T>);
        const auto mine = sums().from(j0 / pair<T>);
        const index_t count = (j1 - j0 + pair<T> - 1) / pair<T>;
        if (clear) std::fill(mine.data, mine.data + count * mine.stride, T(0));
        if (load) pack<T>(out.block(0, d_, j0, j1), mine);
        for (index_t k = 0, c = 0; k < a.rows; k += sorted_inputs, ++c) {
            team.checkpoint();
            const auto tile = this->tile(c % tiles_);
            copy(team, a.block(k, std::min(a.rows, k + sorted_inputs), 0, a.cols), tile);
            team.barrier();
            for (index_t p = 0; p < count; ++p)
                sorted_sums_kernels<T>().add(table[c], tile.from(j0 / pair<T> + p).data,
                                             mine.from(p).data);
        }
        if (store) unpack(mine, scale, out.block(0, d_, j0, j1));
        team.barrier();
    }

  private:
    static constexpr index_t tile_stride = (sorted_inputs + 1) * pair<T>;

    Panels<T> sums() const { return {sums_.data(), sorted_lines, (d_ + 1) * pair<T>}; }
    Panels<T> tile(index_t i) const {
        return {tile_.data() + i * panels_ * tile_stride, sorted_lines, tile_stride};
    }

    // Members share the longer runs of memory.
    void copy(Team& team, MatrixView<const T> a, Panels<T> tile) {
        if (a.col_stride == 1) {
            const auto [begin, end] = team.share(a.rows);
            tile.data += begin * tile.row_stride();
            pack<T>(a.block(begin, end, 0, a.cols), tile);
        } else {
            const auto [begin, end] = team.share(a.cols, pair<T>);
            pack<T>(a.block(0, a.rows, begin, end), tile.from(begin / pair<T>));
        }
    }

    index_t d_, tiles_;
    Scratch<T> sums_, tile_;
    index_t panels_;
};

}  // namespace

bool sorting_pays(const SparseMap& map, index_t rows, index_t lines, bool contiguous_rows) {
    // Each row of sums should get a nonzero of a chunk, and the sort be shared by enough columns
    // (measured; columns are better streamed by the panels, which fetch ahead).
    return sorted_sums_table().f32.add != nullptr && map.nnz > 1 && map.nnz <= sorted_inputs &&
           rows <= 8 * sorted_inputs && rows <= sorted_inputs * map.nnz &&
           lines >= (contiguous_rows ? 24 : 48);
}

template <class T>
void apply_sorted(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                  MatrixView<const T> a, MatrixView<T> out) {
    const index_t d = out.rows, panels = (out.cols + pair<T> - 1) / pair<T>,
                  most = std::clamp<index_t>(sums_bytes / ((d + 1) * pair_bytes), 2, group_panels),
                  groups = (panels + most - 1) / most,
                  step =
                      std::min(a.rows, std::max<index_t>(1, table_codes / map.nnz / sorted_inputs) *
                                           sorted_inputs);
    const Scratch<u32> codes(step * map.nnz);
    SortedTable table((step + sorted_inputs - 1) / sorted_inputs, map.nnz, d);
    SortedGroup<T> sums(d, (panels + groups - 1) / groups, num_threads());
    parallel_team([&](Team& team) {
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            const bool first = k == 0, last = end == a.rows;
            draw_together(team, map, col_start + k, end - k, row_start, d, codes.data());
            table.sort(team, codes.data(), end - k);
            for (index_t g = 0; g < groups; ++g) {
                const index_t begin = panels * g / groups * pair<T>,
                              stop = std::min(out.cols, panels * (g + 1) / groups * pair<T>);
                sums.run(team, table, a.block(k, end, begin, stop), out.block(0, d, begin, stop),
                         first, !first && groups > 1, last || groups > 1, last ? scale : T(1));
            }
        }
    });
}

#define RANDNLA_INSTANTIATE(T)                                                             \
    template void apply_sorted(const SparseMap&, index_t, index_t, T, MatrixView<const T>, \
                               MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
