// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/cuda/api.hpp"
#include "randnla/cuda/gpu.hpp"

namespace randnla::cuda {
namespace {

template <class T>
struct GatherArguments {
    const std::int64_t* rows;
    T scale;
    Matrix<const T> a;
    Matrix<T> out;
};

// A warp copies a row at a time. Ideal bytes: the rows of A once, out once, an index a row.
template <class T, int width>
__global__ void __launch_bounds__(256) gather_kernel(GatherArguments<T> g) {
    const index_t k = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (k >= g.out.rows) return;
    index_t row = threadIdx.x == 0 ? gpu::load(g.rows + k) : 0;
    row = __shfl_sync(0xFFFFFFFFU, row, 0);
    const T* from = g.a.data + row * g.a.row_stride;
    T* to = g.out.data + k * g.out.row_stride;
    for (index_t j = static_cast<index_t>(threadIdx.x) * width; j < g.out.cols; j += 32 * width) {
        if constexpr (width == 1) {
            gpu::store(to + j * g.out.col_stride, g.scale * gpu::load(from + j * g.a.col_stride));
        } else {
            T v[width];
            gpu::load_pack(from + j, v);
#pragma unroll
            for (int e = 0; e < width; ++e) v[e] *= g.scale;
            gpu::store_packs(to + j, v);
        }
    }
}

template <class T>
bool takes_packs(const T* data, index_t row_stride, index_t col_stride) {
    return col_stride == 1 && row_stride % static_cast<index_t>(16 / sizeof(T)) == 0 &&
           reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}

}  // namespace

template <class T>
void gather_rows(const std::int64_t* rows, T scale, Matrix<const T> a, Matrix<T> out,
                 StreamHandle stream) {
    if (out.rows == 0 || out.cols == 0) return;
    constexpr int width = 16 / sizeof(T);
    const bool packs = out.cols % width == 0 && takes_packs(a.data, a.row_stride, a.col_stride) &&
                       takes_packs<T>(out.data, out.row_stride, out.col_stride);
    const GatherArguments<T> g{rows, scale, a, out};
    gpu::launch(packs ? gather_kernel<T, width> : gather_kernel<T, 1>,
                static_cast<unsigned>((out.rows + 7) / 8), dim3(32, 8), 0,
                static_cast<gpu::Stream>(stream), g);
}

template void gather_rows<float>(const std::int64_t*, float, Matrix<const float>, Matrix<float>,
                                 StreamHandle);
template void gather_rows<double>(const std::int64_t*, double, Matrix<const double>, Matrix<double>,
                                  StreamHandle);

}  // namespace randnla::cuda
