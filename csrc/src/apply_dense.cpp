// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "dense_panels.hpp"
#include "randnla/blas.hpp"
#include "randnla/sketch_dense.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

// out = P a with P = S or S^T, P generated in panels of `out_step` rows by `inner_step` columns.
//
// The generator costs about half a nanosecond a number and thread, the product 2 n flops a number.
// Three ways to share the work:
//   rows   each member makes and multiplies its own rows of P: no barrier, but a's panel is packed
//   by
//          every member, for so many rows only;
//   cols   the members make a panel together and multiply it with their own columns of a: one
//          barrier a panel, which two alternating buffers suffice for;
//   inner  each member sums its own stretch of the inner dimension: for few and short rows.
namespace randnla {
namespace {

enum class Split { rows, cols, inner };

constexpr index_t team_bytes = index_t{16} << 20;        // panels of all members together
constexpr index_t partial_bytes = index_t{8} << 20;      // partial sums of all members together
constexpr index_t products_per_call = index_t{1} << 30;  // a BLAS call of about ten milliseconds
constexpr index_t cols_per_call = 4096;

struct Plan {
    Split split;
    index_t out_step, inner_step;
};

template <class T>
Plan make_plan(index_t rows, index_t inner, index_t cols, int size) {
    constexpr auto width = static_cast<index_t>(sizeof(T));
    Split split = Split::rows;
    if (size > 1) {
        if (cols >= 64 * size && rows < 384 * size)
            split = Split::cols;
        else if (rows < 16 * size && rows * cols * size * width <= partial_bytes)
            split = Split::inner;
    }
    // Where the generator decides, panels stay in the second cache. Where the product does, they
    // are as long as the sums that the BLAS packs at a time: for 1000 rows and columns on Zen 5
    // that reaches 97 % of the product alone, panels of 8 MB and long sums 93 %, few rows 89 %.
    const index_t panel_bytes = cols < 64 ? index_t{1} << 18 : index_t{2} << 20;
    const index_t longest = cols < 64 ? 1024 : 2048 / width;
    const index_t limit =
        std::min(panel_bytes, team_bytes / (split == Split::cols ? 2 : index_t{size})) / width;
    const index_t inner_step = std::clamp<index_t>(limit / 64, 64, longest);
    const index_t out_step = std::max<index_t>(16, limit / std::min(inner_step, inner));
    return {split, std::min(out_step, rows), std::min(inner_step, inner)};
}

// The part [i0, i1) x [k0, k1) of P = S or S^T.
struct Panel {
    index_t i0, i1, k0, k1;
};

template <class T>
class DenseProduct {
  public:
    DenseProduct(const DenseMap& map, bool adjoint, MatrixView<const T> a, MatrixView<T> out)
        : generator_(map), adjoint_(adjoint), a_(a), out_(out) {}

    void run(int size) {
        const Plan plan = make_plan<T>(out_.rows, a_.rows, out_.cols, size);
        if (plan.split == Split::rows)
            parallel_team([&](Team& team) { split_rows(team, plan); }, size);
        else if (plan.split == Split::cols)
            split_cols(plan, size);
        else
            split_inner(plan, size);
    }

  private:
    // The panel as a matrix in `buffer`, in the layout its rows are generated in.
    MatrixView<T> panel_view(const Panel& p, T* buffer) const {
        if (!adjoint_) return row_major_view(buffer, p.i1 - p.i0, p.k1 - p.k0);
        return row_major_view(buffer, p.k1 - p.k0, p.i1 - p.i0).transposed();
    }

    // This member's share of a panel: some of the rows of S in it, or where these are few a run of
    // columns.
    void generate(const Panel& p, MatrixView<T> view, Team::Range rows, Team::Range cols) const {
        const MatrixView<T> s = adjoint_ ? view.transposed() : view;
        const index_t row0 = adjoint_ ? p.k0 : p.i0, col0 = adjoint_ ? p.i0 : p.k0;
        for (index_t r = rows.begin; r < rows.end; ++r)
            generator_.row(row0 + r, col0 + cols.begin, cols.end - cols.begin, &s(r, cols.begin));
    }

    void generate_all(const Panel& p, MatrixView<T> view) const {
        const MatrixView<T> s = adjoint_ ? view.transposed() : view;
        generate(p, view, {0, s.rows}, {0, s.cols});
    }

    void generate_share(const Panel& p, MatrixView<T> view, const Team& team) const {
        const MatrixView<T> s = adjoint_ ? view.transposed() : view;
        if (s.rows >= 8 * team.size())
            generate(p, view, team.share(s.rows), {0, s.cols});
        else
            generate(p, view, {0, s.rows}, team.share(s.cols, words_per_block));
    }

    // out(rows of the panel, [j0, j1)) += panel * a, or = for the first panel of a sum.
    void multiply(Team& team, const Panel& p, MatrixView<const T> panel, bool first, index_t j0,
                  index_t j1, MatrixView<T> out) const {
        const index_t step =
            std::clamp<index_t>(products_per_call / (panel.rows * panel.cols), 16, cols_per_call);
        for (index_t j = j0; j < j1; j += step) {
            const index_t end = std::min(j1, j + step);
            team.checkpoint();
            blas::gemm<T>(T(1), panel, a_.block(p.k0, p.k1, j, end), first ? T(0) : T(1),
                          out.block(p.i0, p.i1, j, end));
        }
    }

    // One member alone: rows [i0, i1), inner [k0, k1), into a matrix with the rows of out.
    void alone(Team& team, const Plan& plan, Team::Range rows, Team::Range inner,
               MatrixView<T> out) const {
        if (rows.begin == rows.end) return;
        const Scratch<T> buffer(plan.out_step * plan.inner_step);
        for (index_t i = rows.begin; i < rows.end; i += plan.out_step)
            for (index_t k = inner.begin; k < inner.end; k = next_inner(k, plan, inner.end)) {
                const Panel p{i, std::min(rows.end, i + plan.out_step), k,
                              next_inner(k, plan, inner.end)};
                team.checkpoint();
                const MatrixView<T> view = panel_view(p, buffer.data());
                generate_all(p, view);
                multiply(team, p, view, k == inner.begin, 0, out.cols, out);
            }
    }

    // Panels end at multiples of their length in the columns of the whole map, so that no block of
    // numbers is generated twice. The rows of S have no such grid.
    index_t next_inner(index_t k, const Plan& plan, index_t end) const {
        index_t step = plan.inner_step;
        if (!adjoint_ && step > words_per_block) {
            step = step / words_per_block * words_per_block;
            step = generator_.to_boundary(k, step);
        }
        return std::min(end, k + step);
    }

    void split_rows(Team& team, const Plan& plan) const {
        alone(team, plan, team.share(out_.rows, 8), {0, a_.rows}, out_);
    }

    void split_cols(const Plan& plan, int size) const {
        const index_t panel_size = plan.out_step * plan.inner_step;
        const Scratch<T> buffers(2 * panel_size);
        parallel_team(
            [&](Team& team) {
                const auto [j0, j1] = team.share(out_.cols, 16);
                index_t turn = 0;
                for (index_t i = 0; i < out_.rows; i += plan.out_step)
                    for (index_t k = 0; k < a_.rows; k = next_inner(k, plan, a_.rows), turn ^= 1) {
                        const Panel p{i, std::min(out_.rows, i + plan.out_step), k,
                                      next_inner(k, plan, a_.rows)};
                        const auto view = panel_view(p, buffers.data() + turn * panel_size);
                        generate_share(p, view, team);
                        team.barrier();
                        multiply(team, p, view, k == 0, j0, j1, out_);
                    }
            },
            size);
    }

    void split_inner(const Plan& plan, int size) const {
        const index_t count = out_.rows * out_.cols;
        const Scratch<T> partial(count * size);
        parallel_team(
            [&](Team& team) {
                const auto sum =
                    row_major_view(partial.data() + team.rank() * count, out_.rows, out_.cols);
                std::fill(sum.data, sum.data + count, T(0));
                alone(team, plan, {0, out_.rows}, team.share(a_.rows, words_per_block), sum);
                team.barrier();
                if (team.rank() != 0) return;
                for (index_t i = 0; i < out_.rows; ++i)
                    for (index_t j = 0; j < out_.cols; ++j) {
                        T total = sum(i, j);
                        for (int r = 1; r < team.size(); ++r)
                            total += partial[r * count + i * out_.cols + j];
                        out_(i, j) = total;
                    }
            },
            size);
    }

    PanelGenerator<T> generator_;
    bool adjoint_;
    MatrixView<const T> a_;
    MatrixView<T> out_;
};

template <class T>
void apply(const DenseMap& map, bool adjoint, MatrixView<const T> a, MatrixView<T> out) {
    require(a.cols == out.cols, "dense map: A and out must have as many columns");
    DenseProduct<T> product(map, adjoint, a, out);
    if (out.empty()) return;
    if (a.rows == 0) {
        for (index_t i = 0; i < out.rows; ++i)
            for (index_t j = 0; j < out.cols; ++j) out(i, j) = T(0);
        return;
    }
    blas::use_one_thread();
    // A product of a few microseconds is not worth a team.
    const bool tiny = a.rows <= 8192 / out.rows;
    product.run(tiny ? 1 : num_threads());
}

}  // namespace

template <class T>
void apply_dense_map(const DenseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    apply(map, false, a, out);
}

template <class T>
void apply_dense_map_adjoint(const DenseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    apply(map, true, a, out);
}

#define RANDNLA_INSTANTIATE(T)                                                             \
    template void apply_dense_map<T>(const DenseMap&, MatrixView<const T>, MatrixView<T>); \
    template void apply_dense_map_adjoint<T>(const DenseMap&, MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
