// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_cholesky.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "qr_blocks.hpp"
#include "qr_sketch.hpp"
#include "randnla/blas.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The squares of float64 numbers within these bounds, and of numbers this far apart, neither
// overflow nor vanish, so Gram matrices of scaled matrices are scaled exactly.
constexpr double least_safe = 0x1p-480, most_safe = 0x1p480, widest_safe = 0x1p480;

template <class T>
struct Limits;
// `ill`: beyond this norm of R^{-1}, for columns of unit norm, Y R^{-1} may be far from orthonormal
// (float64: the Gram matrix has lost cond^2 eps; float32: the product loses cond eps).
// `reach`: exponents of column norms that may be folded into R^{-1}, whose entries below `nothing`
// are dropped so that none becomes denormal.
template <>
struct Limits<float> {
    static constexpr double ill = 2e4, nothing = 0x1p-60;
    static constexpr int reach = 50;
};
template <>
struct Limits<double> {
    static constexpr double ill = 3e6, nothing = 0x1p-200;
    static constexpr int reach = 600;
};

double frobenius_norm(MatrixView<const double> upper) {
    double sum = 0;
    for (index_t i = 0; i < upper.rows; ++i)
        for (index_t j = i; j < upper.cols; ++j) sum += upper(i, j) * upper(i, j);
    return std::sqrt(sum);
}

double distance_from_identity(MatrixView<const double> upper) {
    double sum = 0;
    for (index_t i = 0; i < upper.rows; ++i) {
        sum += (upper(i, i) - 1) * (upper(i, i) - 1);
        for (index_t j = i + 1; j < upper.cols; ++j) sum += 2 * upper(i, j) * upper(i, j);
    }
    return std::sqrt(sum);
}

// With v = 1^T |M|, |Y - fl(Y M) R| <= eps n v |R| column by column for Y with entries below 1:
// the growth of rounding errors that multiplying by an inverse may have and substitution has not.
double inverse_growth(MatrixView<const double> inverse, MatrixView<const double> r) {
    const index_t n = r.rows;
    double worst = 0;
    const Scratch<double> v(n);
    for (index_t j = 0; j < n; ++j) {
        v[j] = 0;
        for (index_t i = 0; i <= j; ++i) v[j] += std::abs(inverse(i, j));
    }
    for (index_t j = 0; j < n; ++j) {
        double w = 0;
        for (index_t i = 0; i <= j; ++i) w += v[i] * std::abs(r(i, j));
        worst = std::max(worst, w);
    }
    return worst;
}

template <class T>
class CholeskyQr {
  public:
    CholeskyQr(MatrixView<const T> y, MatrixView<T> q, MatrixView<T> r, std::uint64_t seed)
        : n_(y.cols),
          plan_(plan_slabs(y.rows, y.cols)),
          y_(y),
          q_(q),
          r_out_(r),
          seed_(seed),
          partials_(plan_.slabs * n_ * n_),
          square_(3 * n_ * n_),
          inverse_(n_ * n_),
          exponents_(n_),
          factors_(2 * n_),
          dead_(n_),
          extents_(plan_.slabs) {
        gram_ = row_major_view(partials_.data(), n_, n_);
        r_ = row_major_view(square_.data(), n_, n_);
        factor_ = row_major_view(square_.data() + n_ * n_, n_, n_);
        wide_inverse_ = row_major_view(square_.data() + 2 * n_ * n_, n_, n_);
    }

    CholeskyQrReport run() {
        using Route = CholeskyQrReport::Route;
        measure();
        if (precondition_by_gram() && polish())
            report_.route = Route::cholesky;
        else if (precondition_by_sketch() && polish())
            report_.route = Route::sketch;
        else
            return report_;
        for (index_t i = 0; i < n_; ++i)
            for (index_t j = 0; j < n_; ++j)
                r_out_(i, j) = j < i ? T(0) : static_cast<T>(std::ldexp(r_(i, j), exponents_[j]));
        return report_;
    }

  private:
    // gram_ = sum over the blocks of what `body` adds to the slab's share.
    template <class Body>
    void sum_over_blocks(Body&& body) {
        const index_t size = n_ * n_;
        std::fill(partials_.data(), partials_.data() + plan_.slabs * size, 0.0);
        for_each_block(plan_, [&](index_t slab, index_t begin, index_t end) {
            body(slab, begin, end, row_major_view(partials_.data() + slab * size, n_, n_));
        });
        sum_partials(partials_.data(), plan_.slabs, size);
    }

    Extent gram_of(const ScaledColumns<T>& source) {
        for (index_t s = 0; s < plan_.slabs; ++s) extents_[s] = {0, 0, infinity};
        sum_over_blocks([&](index_t slab, index_t begin, index_t end, MatrixView<double> sum) {
            const Scratch<double> buffer((end - begin) * n_);
            const auto block = source.template load<double>(begin, end, buffer.data());
            if constexpr (std::is_same_v<T, double>) look_at(block, extents_[slab]);
            add_gram<double>(block, plan_.panel, sum);
        });
        for (index_t s = 1; s < plan_.slabs; ++s) join(extents_[s], extents_[0]);
        return extents_[0];
    }

    static void join(const Extent& part, Extent& all) {
        all.sum_squares += part.sum_squares;
        all.largest = std::max(all.largest, part.largest);
        all.smallest = std::min(all.smallest, part.smallest);
    }

    static void look_at(MatrixView<const double> block, Extent& all) {
        const auto& kernels = reduction_kernels();
        if (block.row_stride == block.cols)
            return join(kernels.extent_f64(block.data, block.rows * block.cols, 1.0), all);
        for (index_t i = 0; i < block.rows; ++i)
            join(kernels.extent_f64(&block(i, 0), block.cols, 1.0), all);
    }

    // Column exponents, and in gram_ the Gram matrix of the columns scaled by them: norms in [1,
    // 2). Scaling by powers of two is exact, so it costs nothing and takes all grading of the
    // columns out of the condition that the Cholesky factor sees.
    void measure() {
        ScaledColumns<T> source = y_;
        const Extent seen = gram_of(source);
        bool finite = !std::isnan(seen.sum_squares) && std::isfinite(seen.largest), safe = true;
        if constexpr (std::is_same_v<T, double>)
            safe = !(seen.largest > most_safe) && !(seen.smallest < least_safe) &&
                   (seen.largest == 0 || seen.largest <= seen.smallest * widest_safe);
        else
            for (index_t j = 0; j < n_; ++j) finite = finite && std::isfinite(gram_(j, j));
        if (!finite) throw Error(ErrorKind::non_finite, "Y holds NaN or infinite entries");
        std::fill(exponents_.data(), exponents_.data() + n_, 0);
        if (!safe) {
            largest_exponents(source);
            source.scale_by(exponents_.data(), factors_.data());
            gram_of(source);
        }
        bool fold = safe;
        for (index_t j = 0; j < n_; ++j) {
            const double norm = std::sqrt(gram_(j, j));
            const int shift = norm > 0 ? std::ilogb(norm) : 0;
            exponents_[j] += shift;
            fold = fold && std::abs(exponents_[j]) <= Limits<T>::reach;
            for (index_t i = 0; i <= j; ++i) gram_(i, j) = std::ldexp(gram_(i, j), -shift);
            for (index_t k = j; k < n_; ++k) gram_(j, k) = std::ldexp(gram_(j, k), -shift);
        }
        // The columns are scaled as they are read, or with R^{-1} where its range allows.
        scaled_ = source;
        scaled_.scale_by(exponents_.data(), factors_.data());
        folded_ = fold;
    }

    void largest_exponents(const ScaledColumns<T>& source) {
        const Scratch<double> largest(plan_.slabs * n_);
        std::fill(largest.data(), largest.data() + plan_.slabs * n_, 0.0);
        for_each_block(plan_, [&](index_t slab, index_t begin, index_t end) {
            const Scratch<double> buffer((end - begin) * n_);
            const auto block = source.template load<double>(begin, end, buffer.data());
            double* mine = largest.data() + slab * n_;
            for (index_t i = 0; i < block.rows; ++i)
                for (index_t j = 0; j < n_; ++j) mine[j] = std::max(mine[j], std::abs(block(i, j)));
        });
        for (index_t j = 0; j < n_; ++j) {
            double most = 0;
            for (index_t s = 0; s < plan_.slabs; ++s) most = std::max(most, largest[s * n_ + j]);
            exponents_[j] = most > 0 ? std::ilogb(most) : 0;
        }
    }

    // factor_ = R of gram_ = R^T R, wide_inverse_ = R^{-1}; false if there is none.
    bool factorize() {
        for (index_t i = 0; i < n_; ++i)
            for (index_t j = 0; j < n_; ++j) factor_(i, j) = j >= i ? gram_(i, j) : 0;
        if (lapack::potrf_upper<double>(factor_) != 0) return false;
        for (index_t i = 0; i < n_; ++i)
            for (index_t j = 0; j < n_; ++j) wide_inverse_(i, j) = factor_(i, j);
        ++report_.passes;
        return lapack::trtri_upper<double>(wide_inverse_) == 0;
    }

    // inverse_ = R^{-1} in the precision of Q, its rows scaled by the columns' powers of two.
    void store_inverse(bool with_scaling) {
        for (index_t i = 0; i < n_; ++i)
            for (index_t j = 0; j < n_; ++j) {
                const double x = wide_inverse_(i, j);
                const double kept = j < i || std::abs(x) < Limits<T>::nothing ? 0.0 : x;
                inverse_[i * n_ + j] =
                    static_cast<T>(with_scaling ? std::ldexp(kept, -exponents_[i]) : kept);
            }
    }

    // Q = Y R^{-1} and gram_ = Q^T Q, block by block. False if Y is too ill-conditioned for it.
    bool precondition_by_gram() {
        for (index_t j = 0; j < n_; ++j)
            if (!(gram_(j, j) > 0)) return false;
        if (!factorize() || !(frobenius_norm(wide_inverse_) <= Limits<T>::ill) ||
            !(inverse_growth(wide_inverse_, factor_) <= 64 * static_cast<double>(n_)))
            return false;
        std::copy(factor_.data, factor_.data + n_ * n_, r_.data);
        store_inverse(folded_);
        const ScaledColumns<T>& source = folded_ ? y_ : scaled_;
        const auto inverse = row_major_view<const T>(inverse_.data(), n_, n_);
        sum_over_blocks([&](index_t, index_t begin, index_t end, MatrixView<double> sum) {
            const Scratch<T> buffer((end - begin) * n_);
            const auto block = source.template load<T>(begin, end, buffer.data());
            const auto out = q_.block(begin, end, 0, n_);
            multiply_upper<T>(block, inverse, plan_.panel, out);
            add_gram_wide<T>(out, plan_.panel, sum);
        });
        return distance_from_identity(gram_) <= 0.5;
    }

    // The same with R of a sketch and by substitution, in float64, which is backward stable row by
    // row: y = q (R + dR) with dR small, however ill-conditioned R.
    bool precondition_by_sketch() {
        std::fill(dead_.data(), dead_.data() + n_, false);
        SketchedTriangle triangle{r_, dead_.data()};
        if (!sketch_triangle<T>(scaled_, plan_, seed_, triangle)) return false;
        report_.deflated = triangle.dead_count;
        sum_over_blocks([&](index_t, index_t begin, index_t end, MatrixView<double> sum) {
            const Scratch<double> buffer((end - begin) * n_);
            const auto block = load_revived<T>(scaled_, begin, end, seed_, triangle, buffer.data());
            blas::trsm_right_upper<double>(r_, block);
            for (index_t i = 0; i < block.rows; ++i)
                for (index_t j = 0; j < n_; ++j) q_(begin + i, j) = static_cast<T>(block(i, j));
            add_gram<double>(block, plan_.panel, sum);
        });
        return true;
    }

    // Cholesky passes on Q, whose Gram matrix is known, until it is orthonormal.
    bool polish() {
        constexpr int most_passes = 4;
        const double settled = 8 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                               std::sqrt(static_cast<double>(n_));
        for (int pass = 0; pass < most_passes; ++pass) {
            if (distance_from_identity(gram_) <= settled) return express_dead();
            if (!factorize()) return false;
            const double condition =
                frobenius_norm(factor_) * frobenius_norm(wide_inverse_) / static_cast<double>(n_);
            if (!(condition < infinity)) return false;
            accumulate_factor();
            store_inverse(false);
            // A pass leaves about eps cond^2: nothing to check where Q was nearly orthonormal.
            const bool last = condition <= 1.5;
            multiply_q(last);
            if (last) return express_dead();
        }
        return false;
    }

    // r_ = factor_ r_
    void accumulate_factor() {
        for (index_t i = 0; i < n_; ++i) {
            double* row = partials_.data();  // gram_ is done with by now
            std::fill(row, row + n_, 0.0);
            for (index_t k = i; k < n_; ++k)
                for (index_t j = k; j < n_; ++j) row[j] += factor_(i, k) * r_(k, j);
            // Row i of the product needs rows i, i+1, ... of r_ only: it can take row i's place.
            std::copy(row, row + n_, &r_(i, 0));
        }
    }

    void multiply_q(bool last) {
        const auto inverse = row_major_view<const T>(inverse_.data(), n_, n_);
        sum_over_blocks([&](index_t, index_t begin, index_t end, MatrixView<double> sum) {
            const Scratch<T> buffer((end - begin) * n_);
            const auto out = q_.block(begin, end, 0, n_);
            const auto before = row_major_view(buffer.data(), end - begin, n_);
            for (index_t i = 0; i < out.rows; ++i)
                std::copy(&out(i, 0), &out(i, 0) + n_, &before(i, 0));
            multiply_upper<T>(before, inverse, plan_.panel, out);
            if (!last) add_gram_wide<T>(out, plan_.panel, sum);
        });
    }

    // The dead columns of Y in the basis: R(:, j) = Q^T y_j, nothing on the diagonal.
    bool express_dead() {
        if (report_.deflated == 0) return true;
        sum_over_blocks([&](index_t, index_t begin, index_t end, MatrixView<double> sum) {
            const Scratch<double> buffer((end - begin) * n_), wide_q((end - begin) * n_);
            const auto block = scaled_.template load<double>(begin, end, buffer.data());
            const auto basis =
                ScaledColumns<T>(q_).template load<double>(begin, end, wide_q.data());
            blas::gemm<double>(1.0, basis.transposed(), block, 1.0, sum);
        });
        for (index_t j = 0; j < n_; ++j)
            if (dead_[j])
                for (index_t i = 0; i <= j; ++i) r_(i, j) = i < j ? gram_(i, j) : 0.0;
        return true;
    }

    const index_t n_;
    const SlabPlan plan_;
    ScaledColumns<T> y_, scaled_{y_};
    const MatrixView<T> q_, r_out_;
    const std::uint64_t seed_;
    const Scratch<double> partials_, square_;
    const Scratch<T> inverse_;
    const Scratch<int> exponents_;
    const Scratch<double> factors_;
    const Scratch<bool> dead_;
    const Scratch<Extent> extents_;
    MatrixView<double> gram_, r_, factor_, wide_inverse_;
    bool folded_ = false;
    CholeskyQrReport report_;
};

}  // namespace

template <class T>
CholeskyQrReport cholesky_qr(MatrixView<const T> y, MatrixView<T> q, MatrixView<T> r,
                             std::uint64_t seed) {
    require(y.rows >= y.cols, "cholesky_qr: Y must not have more columns than rows");
    if (y.empty()) return {CholeskyQrReport::Route::cholesky, 0, 0};
    blas::use_one_thread();
    return CholeskyQr<T>(y, q, r, seed).run();
}

template CholeskyQrReport cholesky_qr<float>(MatrixView<const float>, MatrixView<float>,
                                             MatrixView<float>, std::uint64_t);
template CholeskyQrReport cholesky_qr<double>(MatrixView<const double>, MatrixView<double>,
                                              MatrixView<double>, std::uint64_t);

}  // namespace randnla
