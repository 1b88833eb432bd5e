// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <type_traits>

#include "randnla/error.hpp"
#include "randnla/generator.hpp"
#include "randnla/sketch_dense.hpp"

namespace randnla {

// The rows of one dense map, ready to be generated: key, kernel and scale in the element type.
template <class T>
class PanelGenerator {
  public:
    explicit PanelGenerator(const DenseMap& map)
        : map_(map), key_(stream_key(map.seed, map.stream, map.kind, 8 * sizeof(T))) {
        require(map.kind == StreamKind::gaussian || map.kind == StreamKind::sign,
                "a dense map is of kind gaussian or sign");
        const GeneratorKernels& kernels = generator_kernels();
        if constexpr (std::is_same_v<T, float>)
            run_ = map.kind == StreamKind::gaussian ? kernels.gaussian_f32 : kernels.sign_f32;
        else
            run_ = map.kind == StreamKind::gaussian ? kernels.gaussian_f64 : kernels.sign_f64;
    }

    // Entries (i, j) .. (i, j + count - 1) of the block, scaled, to a contiguous run.
    void row(index_t i, index_t j, index_t count, T* out) const {
        run_(key_, map_.row_start + static_cast<std::uint64_t>(i),
             map_.col_start + static_cast<std::uint64_t>(j), count, static_cast<T>(map_.scale),
             out);
    }

    // Columns of a generator block: runs that start at a multiple of it waste nothing.
    index_t unit() const {
        return map_.kind == StreamKind::sign ? 32 * words_per_block
               : sizeof(T) == 4              ? words_per_block
                                             : words_per_block / 2;
    }

    // How many columns after j the next multiple of `step` (itself one of unit()) lies.
    index_t to_boundary(index_t j, index_t step) const {
        const auto absolute = map_.col_start + static_cast<std::uint64_t>(j);
        return step - static_cast<index_t>(absolute % static_cast<std::uint64_t>(step));
    }

  private:
    using Run = void (*)(Key, std::uint64_t, std::uint64_t, index_t, T, T*);
    DenseMap map_;
    Key key_;
    Run run_;
};

}  // namespace randnla
