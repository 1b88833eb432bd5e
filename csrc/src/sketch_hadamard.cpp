// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_hadamard.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "randnla/error.hpp"
#include "randnla/sampling.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {

index_t hadamard_order(index_t m) {
    index_t order = 1;
    while (order < m) order *= 2;
    return order;
}

namespace {

// What a thread works on at a time: `chunk_bytes` stay in L1, `block_bytes` in L2.
constexpr index_t chunk_bytes = index_t{32} << 10, block_bytes = index_t{512} << 10;
constexpr index_t line_bytes = 64;
constexpr index_t max_lines = 8;
constexpr index_t sample_bytes = index_t{1} << 20;  // for the sampled rows of a panel's parts
constexpr int max_levels = 32;
constexpr index_t batch_bytes = index_t{256} << 10;  // of input, between two checkpoints
constexpr index_t max_order = index_t{1} << 30;

template <class T>
const HadamardKernels<T>& kernels() {
    if constexpr (sizeof(T) == 4)
        return hadamard_kernels().f32;
    else
        return hadamard_kernels().f64;
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

// The positions grouped by residue, as the last pass over a panel meets them.
class GroupedPicks {
  public:
    GroupedPicks(const std::vector<std::int32_t>& positions, index_t q)
        : starts_(static_cast<std::size_t>(q + 1)),
          slots_(positions.size()),
          rows_(positions.size()) {
        const auto groups = static_cast<std::int32_t>(q);
        for (const auto p : positions) ++starts_[static_cast<std::size_t>(p % groups + 1)];
        for (std::size_t g = 1; g < starts_.size(); ++g) starts_[g] += starts_[g - 1];
        std::vector<std::int32_t> at(starts_.begin(), starts_.end());
        for (std::size_t i = 0; i < positions.size(); ++i) {
            const auto k =
                static_cast<std::size_t>(at[static_cast<std::size_t>(positions[i] % groups)]++);
            slots_[k] = positions[i] / groups;
            rows_[k] = static_cast<std::int32_t>(i);
        }
    }
    PanelPicks view() const { return {starts_.data(), slots_.data(), rows_.data()}; }

  private:
    std::vector<std::int32_t> starts_, slots_, rows_;
};

int log2_ratio(index_t size, index_t stride) {
    int n = 0;
    while ((stride << n) < size) ++n;
    return n;
}

// The levels of stride `stride` .. size / 2 of x[0..size), in as few passes of nearly equal radix
// as the registers allow.
template <class T>
void run_levels(Team& team, T* x, index_t size, index_t stride) {
    const auto& k = kernels<T>();
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

// ---- vectors along the contiguous axis ----

// body(team, column) over all columns, in batches handed out dynamically.
template <class Body>
void for_columns(index_t columns, index_t column_bytes, const Body& body) {
    const index_t batch = std::max<index_t>(
        1, std::min<index_t>(64, batch_bytes / std::max<index_t>(1, column_bytes)));
    std::atomic<index_t> next{0};
    parallel_team(
        [&](Team& team) {
            for (index_t c = next.fetch_add(batch); c < columns; c = next.fetch_add(batch))
                body(team, c, std::min(columns, c + batch));
        },
        static_cast<int>(std::min<index_t>((columns + batch - 1) / batch, num_threads())));
}

template <class T>
void forward_vectors(const Prepared<T>& map, MatrixView<const T> a, MatrixView<T> out) {
    const auto& k = kernels<T>();
    const index_t size = map.order;
    const index_t chunk = std::min(size, chunk_bytes / static_cast<index_t>(sizeof(T)));
    for_columns(a.cols, size * static_cast<index_t>(sizeof(T)),
                [&](Team& team, index_t begin, index_t end) {
                    const Scratch<T> x(size);
                    for (index_t j = begin; j < end; ++j) {
                        const T* column = a.data + j * a.col_stride;
                        transform(team, x.data(), size, chunk, size, [&](index_t c) {
                            const index_t valid = std::min(chunk, map.m - c);
                            if (valid > 0)
                                k.vector_chunk(column + c, valid, map.signs().from(c), x.data() + c,
                                               chunk,
                                               j + 1 < a.cols ? column + a.col_stride : nullptr);
                            else
                                std::fill_n(x.data() + c, chunk, T(0));
                        });
                        k.pick(x.data(), map.positions.data(), out.rows, map.scale,
                               out.data + j * out.col_stride, out.row_stride);
                    }
                });
}

template <class T>
void adjoint_vectors(const Prepared<T>& map, MatrixView<const T> b, MatrixView<T> out) {
    const auto& k = kernels<T>();
    const index_t size = map.order;
    const index_t chunk = std::min(size, chunk_bytes / static_cast<index_t>(sizeof(T)));
    for_columns(b.cols, size * static_cast<index_t>(sizeof(T)),
                [&](Team& team, index_t begin, index_t end) {
                    const Scratch<T> x(size);
                    for (index_t j = begin; j < end; ++j) {
                        std::fill_n(x.data(), size, T(0));
                        for (index_t i = 0; i < b.rows; ++i)
                            x[map.positions[static_cast<std::size_t>(i)]] = b(i, j);
                        transform(team, x.data(), size, chunk, size, [&](index_t c) {
                            k.vector_chunk(x.data() + c, chunk, {}, x.data() + c, chunk, nullptr);
                        });
                        k.store_signed(x.data(), map.signs(), map.m, map.scale,
                                       out.data + j * out.col_stride);
                    }
                });
}

// ---- panels of a few cache lines of columns ----

template <class T>
index_t panel_width(index_t order) {
    const index_t lines = block_bytes / (line_bytes * order);
    return std::clamp<index_t>(lines, 1, max_lines) *
           (line_bytes / static_cast<index_t>(sizeof(T)));
}

// Rows of a panel that stay in L1.
template <class T>
index_t panel_chunk_rows(index_t rows, index_t width) {
    return std::min(rows, chunk_bytes / (width * static_cast<index_t>(sizeof(T))));
}

// body(team, first panel, last panel + 1): the share of each thread
template <class Body>
void for_panels(index_t columns, index_t width, const Body& body) {
    const index_t panels = (columns + width - 1) / width;
    parallel_team(
        [&](Team& team) {
            const auto [begin, end] = team.share(panels);
            if (begin < end) body(team, begin, end);
        },
        static_cast<int>(std::min<index_t>(panels, num_threads())));
}

// A panel of any layout, copied piece by piece to contiguous rows.
template <class T>
void pack(MatrixView<const T> a, T* to, index_t width) {
    for (index_t i = 0; i < a.rows; ++i)
        for (index_t j = 0; j < a.cols; ++j) to[i * width + j] = a(i, j);
}

// A panel is transformed in parts of 2^k rows that stay in L2; the sampled rows of the parts are
// then combined up the tree of the remaining levels. Wide panels, which memory serves faster, thus
// need no larger cache, as long as the sample is small.
struct PanelPlan {
    index_t width, part_rows;
    int levels;  // above the parts
};

template <class T>
PanelPlan plan_panels(index_t order, index_t sampled) {
    constexpr index_t size = sizeof(T);
    for (index_t lines = max_lines; lines > 1; lines /= 2) {
        const index_t part = std::min(order, block_bytes / (line_bytes * lines));
        const int levels = log2_ratio(order, part);
        if (levels == 0 || sampled * (levels + 1) * lines * line_bytes <= sample_bytes)
            return {lines * line_bytes / size, part, levels};
    }
    return {line_bytes / size, order, 0};
}

// The forward transform of one panel after another; owns what a thread needs for it.
template <class T>
class PanelSketch {
  public:
    PanelSketch(const Prepared<T>& map, const PanelPlan& plan, const GroupedPicks& picks,
                const std::int32_t* parts, int finish_levels, MatrixView<const T> a,
                MatrixView<T> out)
        : map_(map),
          plan_(plan),
          picks_(picks.view()),
          parts_(parts),
          finish_levels_(finish_levels),
          chunk_rows_(panel_chunk_rows<T>(plan.part_rows, plan.width)),
          direct_(a.col_stride == 1 || a.cols == 1),
          direct_out_(out.col_stride == 1 || out.cols == 1),
          a_(a),
          out_(out),
          x_(plan.part_rows * plan.width),
          packed_(direct_ ? 0 : chunk_rows_ * plan.width),
          result_(direct_out_ ? 0 : out.rows * plan.width),
          sampled_(plan.levels == 0 ? 0 : (plan.levels + 1) * out.rows * plan.width) {}

    void run(Team& team, index_t j0, index_t cols, index_t next_j0) {
        T* to = direct_out_ ? out_.data + j0 : result_.data();
        const index_t to_stride = direct_out_ ? out_.row_stride : plan_.width;
        const T* next = direct_ && next_j0 >= 0 ? a_.data + next_j0 : nullptr;
        if (plan_.levels == 0) {
            transform_part(team, 0, j0, cols, next);
            finish(map_.scale, to, to_stride, cols, next, map_.m);
        } else {
            const T* x = combined_parts(team, j0, cols, next);
            k_.store_rows(x, out_.rows, plan_.width, cols, map_.scale, to, to_stride);
        }
        if (!direct_out_)
            for (index_t i = 0; i < out_.rows; ++i)
                for (index_t j = 0; j < cols; ++j) out_(i, j0 + j) = result_[i * plan_.width + j];
    }

  private:
    // The part's levels but the last few, from row0 on, into x_.
    void transform_part(Team& team, index_t row0, index_t j0, index_t cols, const T* next) {
        const index_t size = plan_.part_rows * plan_.width, chunk = chunk_rows_ * plan_.width;
        transform(team, x_.data(), size, chunk, size >> finish_levels_, [&](index_t c) {
            const index_t row = row0 + c / plan_.width, rows = map_.m - row;
            if (rows <= 0) return void(std::fill_n(x_.data() + c, chunk, T(0)));
            PanelRows<T> source{a_.data + row * a_.row_stride + j0, a_.row_stride, rows, cols,
                                next};
            if (!direct_) {
                const index_t take = std::min(rows, chunk_rows_);
                pack(a_.block(row, row + take, j0, j0 + cols), packed_.data(), plan_.width);
                source = {packed_.data(), plan_.width, take, cols, nullptr};
            }
            k_.panel_chunk(source, map_.signs().from(row), x_.data() + c, chunk_rows_, plan_.width);
        });
    }

    // The last levels of the part, for the sampled rows; the rows at `next` are fetched meanwhile.
    void finish(T scale, T* to, index_t to_stride, index_t cols, const T* next, index_t rows) {
        const PanelRows<T> ahead{next, a_.row_stride, next != nullptr ? rows : 0, plan_.width,
                                 nullptr};
        k_.finish_panel(x_.data(), plan_.part_rows >> finish_levels_, finish_levels_, plan_.width,
                        picks_, scale, to, to_stride, cols, ahead);
    }

    // Sampled rows over all parts: a binary counter of partial results, saved[l] that of 2^l parts
    // waiting for the 2^l on their right. Parts beyond m are zero and are left out.
    const T* combined_parts(Team& team, index_t j0, index_t cols, const T* next) {
        const index_t size = out_.rows * plan_.width;
        T* current = sampled_.data();
        T* saved[max_levels] = {};
        for (int l = 0; l < plan_.levels; ++l) saved[l] = sampled_.data() + (l + 1) * size;
        for (index_t part = 0;; ++part) {
            const index_t row0 = part * plan_.part_rows, row1 = row0 + plan_.part_rows;
            const bool last = row1 >= map_.m;
            const T* after = !direct_ ? nullptr : last ? next : a_.data + row1 * a_.row_stride + j0;
            transform_part(team, row0, j0, cols, next);
            finish(T(1), current, plan_.width, plan_.width, after, last ? map_.m : map_.m - row1);
            int level = 0;
            for (; part >> level & 1; ++level)
                k_.combine(saved[level], current, parts_, level, out_.rows, plan_.width);
            if (!last) {
                std::swap(saved[level], current);
                continue;
            }
            for (; level < plan_.levels; ++level)
                if (part >> level & 1)
                    k_.combine(saved[level], current, parts_, level, out_.rows, plan_.width);
            return current;
        }
    }

    const HadamardKernels<T>& k_ = kernels<T>();
    const Prepared<T>& map_;
    const PanelPlan plan_;
    const PanelPicks picks_;
    const std::int32_t* parts_;
    const int finish_levels_;
    const index_t chunk_rows_;
    const bool direct_, direct_out_;
    const MatrixView<const T> a_;
    const MatrixView<T> out_;
    const Scratch<T> x_, packed_, result_, sampled_;
};

template <class T>
void forward_panels(const Prepared<T>& map, MatrixView<const T> a, MatrixView<T> out) {
    const PanelPlan plan = plan_panels<T>(map.order, out.rows);
    const index_t chunk_rows = panel_chunk_rows<T>(plan.part_rows, plan.width);
    const int last = std::min(kernels<T>().radix_levels, log2_ratio(plan.part_rows, chunk_rows));
    std::vector<std::int32_t> within(map.positions), parts(map.positions);
    for (auto& p : within) p %= static_cast<std::int32_t>(plan.part_rows);
    for (auto& p : parts) p /= static_cast<std::int32_t>(plan.part_rows);
    const GroupedPicks picks(within, plan.part_rows >> last);
    for_panels(a.cols, plan.width, [&](Team& team, index_t begin, index_t end) {
        PanelSketch<T> sketch(map, plan, picks, parts.data(), last, a, out);
        for (index_t p = begin; p < end; ++p) {
            const index_t j0 = p * plan.width;
            sketch.run(team, j0, std::min(plan.width, a.cols - j0),
                       p + 1 < end ? j0 + plan.width : -1);
        }
    });
}

template <class T>
void adjoint_panels(const Prepared<T>& map, MatrixView<const T> b, MatrixView<T> out) {
    const auto& k = kernels<T>();
    const index_t order = map.order, width = panel_width<T>(order);
    const index_t chunk_rows = panel_chunk_rows<T>(order, width);
    for_panels(b.cols, width, [&](Team& team, index_t begin, index_t end) {
        const Scratch<T> x(order * width);
        for (index_t p = begin; p < end; ++p) {
            const index_t j0 = p * width, cols = std::min(width, b.cols - j0);
            std::fill_n(x.data(), order * width, T(0));
            for (index_t i = 0; i < b.rows; ++i) {
                T* row = x.data() + map.positions[static_cast<std::size_t>(i)] * width;
                for (index_t j = 0; j < cols; ++j) row[j] = b(i, j0 + j);
            }
            transform(team, x.data(), order * width, chunk_rows * width, order * width,
                      [&](index_t c) {
                          k.panel_chunk({x.data() + c, width, chunk_rows, width, nullptr}, {},
                                        x.data() + c, chunk_rows, width);
                      });
            for (index_t i = 0; i < map.m; ++i) {
                const T factor = map.signed_scale(i);
                const T* row = x.data() + i * width;
                for (index_t j = 0; j < cols; ++j) out(i, j0 + j) = row[j] * factor + T(0);
            }
        }
    });
}

void check(const HadamardMap& map, index_t sampled, index_t full, index_t cols_a,
           index_t cols_out) {
    require(map.m >= 0 && map.d >= 1, "apply_hadamard: m must not be negative, d must be positive");
    require(full == map.m, "apply_hadamard: the transformed array must have m rows");
    require(cols_a == cols_out, "apply_hadamard: A and out must have the same number of columns");
    if (map.m > max_order)
        throw Error(ErrorKind::capacity, "apply_hadamard: m exceeds 2^30, the longest transform");
    require(map.d <= hadamard_order(map.m),
            "apply_hadamard: d exceeds the order of the Hadamard matrix");
    require(map.row_start >= 0 && map.row_start <= map.d - sampled,
            "apply_hadamard: rows row_start.. must lie within the d rows of the map");
}

}  // namespace

template <class T>
void apply_hadamard(const HadamardMap& map, MatrixView<const T> a, MatrixView<T> out) {
    check(map, out.rows, a.rows, a.cols, out.cols);
    if (out.empty()) return;
    const Prepared<T> prepared(map, out.rows);
    if (a.row_stride == 1 || a.rows <= 1)
        forward_vectors(prepared, a, out);
    else
        forward_panels(prepared, a, out);
}

template <class T>
void apply_hadamard_adjoint(const HadamardMap& map, MatrixView<const T> b, MatrixView<T> out) {
    check(map, b.rows, out.rows, b.cols, out.cols);
    if (out.empty()) return;
    const Prepared<T> prepared(map, b.rows);
    if (out.row_stride == 1 || out.rows <= 1)
        adjoint_vectors(prepared, b, out);
    else
        adjoint_panels(prepared, b, out);
}

#define RANDNLA_INSTANTIATE(T)                                                               \
    template void apply_hadamard<T>(const HadamardMap&, MatrixView<const T>, MatrixView<T>); \
    template void apply_hadamard_adjoint<T>(const HadamardMap&, MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
