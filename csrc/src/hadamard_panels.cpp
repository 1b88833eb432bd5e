// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "hadamard.hpp"
#include "randnla/workspace.hpp"

// Transforms down the columns of a matrix of any layout, panel by panel of a few cache lines.
namespace randnla::hadamard {
namespace {

constexpr index_t line_bytes = 64;
constexpr index_t max_lines = 4;
constexpr index_t expansion_bytes = index_t{2} << 20;  // of a panel of the adjoint
constexpr index_t streamed_bytes = index_t{16} << 20;  // an output that no cache would keep
constexpr index_t sample_bytes = index_t{1} << 20;     // for the sampled rows of a panel's parts
constexpr index_t most_bytes = index_t{16} << 20;      // that a member may hold of panels

// The panels of a matrix lie on the lines of its memory: the first is narrower by what its first
// row starts behind the beginning of a line. (A row stride that is no multiple of a line spoils
// this for the other rows.)
template <class T>
struct Panels {
    index_t columns, width, shift, count;

    Panels(const T* data, index_t total, index_t wide)
        : columns(total),
          width(wide),
          shift(static_cast<index_t>(reinterpret_cast<std::uintptr_t>(data) % line_bytes /
                                     sizeof(T))),
          count((total + shift + wide - 1) / wide) {}

    index_t begin(index_t p) const { return std::max<index_t>(0, p * width - shift); }
    index_t cols(index_t p) const { return std::min(columns, (p + 1) * width - shift) - begin(p); }

    // body(team, first panel, last panel + 1): the share of each thread
    template <class Body>
    void share(const Body& body) const {
        parallel_team(
            [&](Team& team) {
                const auto [first, last] = team.share(count);
                if (first < last) body(team, first, last);
            },
            static_cast<int>(std::min<index_t>(count, num_threads())));
    }
};

template <class T>
index_t whole_lines(index_t cols) {
    constexpr index_t line = line_bytes / static_cast<index_t>(sizeof(T));
    return (cols + line - 1) / line * line;
}

// Rows of a panel that stay in L1.
template <class T>
index_t panel_chunk_rows(index_t rows, index_t width) {
    return std::min(rows, chunk_bytes / (width * static_cast<index_t>(sizeof(T))));
}

// A panel is transformed in parts of 2^k rows that stay in L2; the sampled rows of the parts are
// summed up the tree of the remaining levels. Wide panels, which memory serves faster, thus
// need no larger cache, as long as the sample is small.
struct PanelPlan {
    index_t width, part_rows;
    int levels;  // above the parts

    bool fits(index_t sampled, index_t element_bytes) const {
        return (part_rows + levels * sampled) * width * element_bytes <= most_bytes;
    }
};

template <class T>
PanelPlan plan_panels(index_t order, index_t sampled) {
    constexpr index_t size = sizeof(T);
    PanelPlan narrowest{};
    for (index_t lines = max_lines; lines >= 1; lines /= 2) {
        const index_t part = std::min(order, block_bytes / (line_bytes * lines));
        const int levels = log2_ratio(order, part);
        // Sums above the second level are touched too rarely to count. A part that is sampled
        // nearly whole costs as much again as its transform.
        const index_t sums = std::min(levels, 2) * sampled * lines * line_bytes;
        const bool sparse = 4 * sampled <= 3 * part && sums <= sample_bytes;
        narrowest = {lines * line_bytes / size, part, levels};
        if (levels == 0 || sparse || (lines == 1 && sampled <= part)) return narrowest;
    }
    const PanelPlan whole{line_bytes / size, order, 0};
    return whole.fits(sampled, size) ? whole : narrowest;
}

// The sampled positions, grouped by their residue within the part as the last pass over it meets
// them.
class GroupedPicks {
  public:
    GroupedPicks(const std::vector<std::int32_t>& positions, index_t part_rows, index_t q)
        : starts_(static_cast<std::size_t>(q + 1)),
          slots_(positions.size()),
          parts_(positions.size()),
          rows_(positions.size()) {
        const auto groups = static_cast<std::int32_t>(q);
        const auto part = static_cast<std::int32_t>(part_rows);
        for (const auto p : positions) ++starts_[static_cast<std::size_t>(p % groups + 1)];
        for (std::size_t g = 1; g < starts_.size(); ++g) starts_[g] += starts_[g - 1];
        std::vector<std::int32_t> at(starts_.begin(), starts_.end());
        for (std::size_t i = 0; i < positions.size(); ++i) {
            const auto k =
                static_cast<std::size_t>(at[static_cast<std::size_t>(positions[i] % groups)]++);
            slots_[k] = positions[i] % part / groups;
            parts_[k] = positions[i] / part;
            rows_[k] = static_cast<std::int32_t>(i);
        }
    }
    PanelPicks view() const { return {starts_.data(), slots_.data(), parts_.data(), rows_.data()}; }

  private:
    std::vector<std::int32_t> starts_, slots_, parts_, rows_;
};

// The forward transform of one panel after another; owns what a thread needs for it.
template <class T>
class PanelSketch {
  public:
    PanelSketch(const Prepared<T>& map, const PanelPlan& plan, const GroupedPicks& picks,
                int finish_levels, MatrixView<const T> a, MatrixView<T> out)
        : map_(map),
          plan_(plan),
          picks_(picks.view()),
          finish_levels_(finish_levels),
          chunk_rows_(panel_chunk_rows<T>(plan.part_rows, plan.width)),
          direct_(a.col_stride == 1 || a.cols == 1),
          direct_out_(out.col_stride == 1 || out.cols == 1),
          a_(a),
          out_(out),
          x_(plan.part_rows * plan.width),
          packed_(direct_ ? 0 : chunk_rows_ * plan.width),
          result_(direct_out_ ? 0 : out.rows * plan.width),
          saved_(plan.levels * out.rows * plan.width) {}

    // Columns j0 .. j0 + cols; those from next_j0 on come next (-1: none).
    void run(Team& team, index_t j0, index_t cols, index_t next_j0) {
        width_ = whole_lines<T>(cols);
        const T* next = direct_ && next_j0 >= 0 ? a_.data + next_j0 : nullptr;
        // A binary counter of partial sums, saved l that of 2^l parts waiting for the 2^l on their
        // right. Parts beyond m are zero and are left out.
        for (index_t part = 0, row0 = 0;; ++part, row0 += plan_.part_rows) {
            const index_t row1 = row0 + plan_.part_rows;
            PanelSums<T> sums;
            sums.last = row1 >= map_.m;
            int level = 0;
            for (; part >> level & 1; ++level) add_left(sums, level);
            if (sums.last) {
                for (; level < plan_.levels; ++level)
                    if (part >> level & 1) add_left(sums, level);
                sums.to = direct_out_ ? out_.data + j0 : result_.data();
                sums.to_stride = direct_out_ ? out_.row_stride : plan_.width;
                sums.cols = cols;
                sums.scale = map_.scale;
            } else {
                sums.to = saved(level);
            }
            transform_part(team, row0, j0, cols, next);
            finish(sums, row1, j0, next);
            if (sums.last) break;
        }
        if (!direct_out_)
            for (index_t i = 0; i < out_.rows; ++i)
                for (index_t j = 0; j < cols; ++j) out_(i, j0 + j) = result_[i * plan_.width + j];
    }

  private:
    T* saved(int level) const { return saved_.data() + level * out_.rows * plan_.width; }

    void add_left(PanelSums<T>& sums, int level) const {
        sums.left[sums.count] = saved(level);
        sums.level[sums.count++] = level;
    }

    // The part's levels but the last few, from row0 on, into x_.
    void transform_part(Team& team, index_t row0, index_t j0, index_t cols, const T* next) {
        const index_t size = plan_.part_rows * width_, chunk = chunk_rows_ * width_;
        transform(team, x_.data(), size, chunk, size >> finish_levels_, [&](index_t c) {
            const index_t row = row0 + c / width_, rows = map_.m - row;
            if (rows <= 0) return void(std::fill_n(x_.data() + c, chunk, T(0)));
            PanelRows<T> source{a_.data + row * a_.row_stride + j0, a_.row_stride, rows, cols,
                                next};
            if (!direct_) {
                const index_t take = std::min(rows, chunk_rows_);
                pack(a_.block(row, row + take, j0, j0 + cols));
                source = {packed_.data(), width_, take, cols, nullptr};
            }
            panel_kernels<T>().panel_chunk(source, map_.signs().from(row), x_.data() + c,
                                           chunk_rows_, width_);
        });
    }

    // Rows of any layout, copied to contiguous ones.
    void pack(MatrixView<const T> rows) {
        for (index_t i = 0; i < rows.rows; ++i)
            for (index_t j = 0; j < rows.cols; ++j) packed_[i * width_ + j] = rows(i, j);
    }

    // The last levels of the part that ends at row1, for the sampled rows; what is read next is
    // fetched meanwhile: the rows from row1 on or the panel at `next`.
    void finish(const PanelSums<T>& sums, index_t row1, index_t j0, const T* next) {
        PanelRows<T> ahead{next, a_.row_stride, next != nullptr ? map_.m : 0, width_, nullptr};
        if (direct_ && !sums.last)
            ahead = {a_.data + row1 * a_.row_stride + j0, a_.row_stride, map_.m - row1, width_,
                     nullptr};
        panel_kernels<T>().finish(x_.data(), plan_.part_rows >> finish_levels_, finish_levels_,
                                  width_, picks_, sums, ahead);
    }

    const Prepared<T>& map_;
    const PanelPlan plan_;
    const PanelPicks picks_;
    const int finish_levels_;
    const index_t chunk_rows_;
    const bool direct_, direct_out_;
    const MatrixView<const T> a_;
    const MatrixView<T> out_;
    const Scratch<T> x_, packed_, result_, saved_;
    index_t width_ = 0;  // of the present panel, in whole lines
};

// The adjoint: a panel's nonzero rows are set out chunk by chunk, the last levels go to out.
template <class T>
class PanelExpansion {
  public:
    PanelExpansion(const Prepared<T>& map, const std::vector<std::int32_t>& sorted, index_t width,
                   MatrixView<const T> b, MatrixView<T> out)
        : map_(map),
          sorted_(sorted),
          chunk_rows_(panel_chunk_rows<T>(map.order, width)),
          finish_levels_(
              std::min(vector_kernels<T>().radix_levels, log2_ratio(map.order, chunk_rows_))),
          direct_out_(out.col_stride == 1 || out.cols == 1),
          streamed_(out.row_stride % whole_lines<T>(1) == 0 &&
                    map.m * out.cols * static_cast<index_t>(sizeof(T)) >= streamed_bytes),
          b_(b),
          out_(out),
          x_(map.order * width),
          result_(direct_out_ ? 0 : map.m * width) {}

    void run(Team& team, index_t j0, index_t cols) {
        const index_t width = whole_lines<T>(cols);
        auto next = sorted_.begin();
        transform(team, x_.data(), map_.order * width, chunk_rows_ * width,
                  map_.order * width >> finish_levels_, [&](index_t c) {
                      T* chunk = x_.data() + c;
                      std::fill_n(chunk, chunk_rows_ * width, T(0));
                      const index_t row0 = c / width;
                      for (; next != sorted_.end(); ++next) {
                          const index_t row = position(*next) - row0;
                          if (row >= chunk_rows_) break;
                          for (index_t j = 0; j < cols; ++j)
                              chunk[row * width + j] = b_(*next, j0 + j);
                      }
                      panel_kernels<T>().panel_chunk({chunk, width, chunk_rows_, width, nullptr},
                                                     {}, chunk, chunk_rows_, width);
                  });
        const PanelOut<T> to =
            direct_out_
                ? PanelOut<T>{out_.data + j0, out_.row_stride, map_.m, cols, map_.scale, streamed_}
                : PanelOut<T>{result_.data(), width, map_.m, cols, map_.scale, false};
        panel_kernels<T>().spread(x_.data(), map_.order >> finish_levels_, finish_levels_, width,
                                  map_.signs(), to);
        if (!direct_out_)
            for (index_t i = 0; i < map_.m; ++i)
                for (index_t j = 0; j < cols; ++j) out_(i, j0 + j) = result_[i * width + j];
    }

  private:
    index_t position(std::int32_t i) const { return map_.positions[static_cast<std::size_t>(i)]; }

    const Prepared<T>& map_;
    const std::vector<std::int32_t>& sorted_;
    const index_t chunk_rows_;
    const int finish_levels_;
    const bool direct_out_, streamed_;
    const MatrixView<const T> b_;
    const MatrixView<T> out_;
    const Scratch<T> x_, result_;
};

}  // namespace

template <class T>
bool forward_panels(const Prepared<T>& map, MatrixView<const T> a, MatrixView<T> out) {
    const PanelPlan plan = plan_panels<T>(map.order, out.rows);
    if (!plan.fits(out.rows, sizeof(T))) return false;
    const index_t chunk_rows = panel_chunk_rows<T>(plan.part_rows, plan.width);
    const int last =
        std::min(vector_kernels<T>().radix_levels, log2_ratio(plan.part_rows, chunk_rows));
    const GroupedPicks picks(map.positions, plan.part_rows, plan.part_rows >> last);
    const Panels<const T> panels(a.data, a.cols, plan.width);
    panels.share([&](Team& team, index_t first, index_t stop) {
        PanelSketch<T> sketch(map, plan, picks, last, a, out);
        for (index_t p = first; p < stop; ++p)
            sketch.run(team, panels.begin(p), panels.cols(p),
                       p + 1 < stop ? panels.begin(p + 1) : -1);
    });
    return true;
}

template <class T>
bool adjoint_panels(const Prepared<T>& map, MatrixView<const T> b, MatrixView<T> out) {
    if (line_bytes * map.order > most_bytes) return false;
    std::vector<std::int32_t> sorted(map.positions.size());
    std::iota(sorted.begin(), sorted.end(), 0);
    std::sort(sorted.begin(), sorted.end(), [&](std::int32_t i, std::int32_t j) {
        return map.positions[static_cast<std::size_t>(i)] <
               map.positions[static_cast<std::size_t>(j)];
    });
    const index_t lines =
        std::clamp<index_t>(expansion_bytes / (line_bytes * map.order), 1, max_lines);
    const Panels<T> panels(out.data, out.cols,
                           lines * line_bytes / static_cast<index_t>(sizeof(T)));
    panels.share([&](Team& team, index_t first, index_t stop) {
        PanelExpansion<T> expansion(map, sorted, panels.width, b, out);
        for (index_t p = first; p < stop; ++p) expansion.run(team, panels.begin(p), panels.cols(p));
    });
    return true;
}

#define RANDNLA_INSTANTIATE(T)                                                               \
    template bool forward_panels<T>(const Prepared<T>&, MatrixView<const T>, MatrixView<T>); \
    template bool adjoint_panels<T>(const Prepared<T>&, MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla::hadamard
