// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/sampled_product.hpp"
#include "randnla/sketch_csr.hpp"
#include "register.hpp"

// Products with sparse matrices in compressed rows.
namespace randnla::bindings {
namespace {

template <class I, class T>
CsrView<I, T> csr_view(const py::array& indptr, const py::array& indices, const py::array& data,
                       index_t rows, index_t cols) {
    const auto p = input_vector<I>(indptr, "indptr"), i = input_vector<I>(indices, "indices");
    const auto v = input_vector<T>(data, "data");
    require(rows >= 0 && cols >= 0, "shape: expected sizes of at least 0");
    require(p.size - 1 == rows, "indptr: expected one more value than the matrix has rows");
    require(i.size == v.size, "indices and data: expected equal lengths");
    return {p.data, i.data, v.data, rows, cols, i.size};
}

// f(CsrView) for 32- or 64-bit indices and the element type of the data.
template <class F>
void visit_csr(const py::array& indptr, const py::array& indices, const py::array& data,
               index_t rows, index_t cols, F&& f) {
    visit_real(data, "data", [&](auto tag) {
        using T = decltype(tag);
        if (has_dtype<std::int32_t>(indices))
            f(csr_view<std::int32_t, T>(indptr, indices, data, rows, cols));
        else if (has_dtype<std::int64_t>(indices))
            f(csr_view<std::int64_t, T>(indptr, indices, data, rows, cols));
        else
            refuse("indices", "expected dtype int32 or int64");
    });
}

template <bool transposed>
void matmul(const py::array& indptr, const py::array& indices, const py::array& data, index_t rows,
            index_t cols, const py::array& x, py::array& out) {
    visit_csr(indptr, indices, data, rows, cols, [&](auto a) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(a.data)>>;
        const auto xv = input_matrix<T>(x, "x");
        const auto cv = output_matrix<T>(out, "out");
        const ReleaseGil release;
        validate(a);
        if constexpr (transposed)
            csr_transposed_matmul(a, xv, cv);
        else
            csr_matmul(a, xv, cv);
    });
}

void sampled_product(const py::array& indptr, const py::array& indices, const py::array& l,
                     const py::array& r, py::array& out) {
    visit_csr(indptr, indices, out, indptr.size() - 1, r.ndim() == 2 ? r.shape(0) : 0,
              [&](auto pattern) {
                  using T = std::remove_const_t<std::remove_pointer_t<decltype(pattern.data)>>;
                  const auto lv = input_matrix<T>(l, "l"), rv = input_matrix<T>(r, "r");
                  const auto to = output_vector<T>(out, "out");
                  const ReleaseGil release;
                  validate(pattern);
                  csr_sampled_product(pattern, lv, rv, to.data);
              });
}

CsrAxis axis_of(int axis) {
    require(axis == 0 || axis == 1, "axis: expected 0 or 1");
    return axis == 0 ? CsrAxis::rows : CsrAxis::columns;
}

void sketch(const py::array& indptr, const py::array& indices, const py::array& data, index_t rows,
            index_t cols, py::array& out, const std::string& kind, std::uint64_t seed,
            std::uint64_t stream, index_t d, index_t nnz, index_t row_start, index_t col_start,
            double scale, int axis) {
    visit_csr(indptr, indices, data, rows, cols, [&](auto a) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(a.data)>>;
        const auto ov = output_matrix<T>(out, "out");
        const CsrAxis where = axis_of(axis);
        require(row_start >= 0 && col_start >= 0, "row_start and col_start: expected at least 0");
        const bool gaussian = kind == "gaussian", countsketch = kind == "countsketch";
        const bool dense = gaussian || kind == "sign";
        require(dense || countsketch || kind == "sparse_sign", "kind: unknown map");
        const ReleaseGil release;
        validate(a);
        if (dense) {
            const DenseMap map{gaussian ? StreamKind::gaussian : StreamKind::sign,
                               seed,
                               stream,
                               static_cast<std::uint64_t>(row_start),
                               static_cast<std::uint64_t>(col_start),
                               scale};
            return csr_sketch_dense(map, where, a, ov);
        }
        constexpr std::uint32_t bits = 8 * sizeof(T);
        const SparseMap map = countsketch ? countsketch_map(seed, stream, d, bits)
                                          : sparse_sign_map(seed, stream, d, nnz, bits);
        csr_sketch_sparse(map, where, row_start, col_start, static_cast<T>(scale), a, ov);
    });
}

}  // namespace

void register_sparse(py::module_& m) {
    m.def("csr_matmul", &matmul<false>, py::arg("indptr").noconvert(),
          py::arg("indices").noconvert(), py::arg("data").noconvert(), py::arg("rows"),
          py::arg("cols"), py::arg("x").noconvert(), py::arg("out").noconvert(),
          "out = A x for a CSR matrix A.");
    m.def("csr_transposed_matmul", &matmul<true>, py::arg("indptr").noconvert(),
          py::arg("indices").noconvert(), py::arg("data").noconvert(), py::arg("rows"),
          py::arg("cols"), py::arg("x").noconvert(), py::arg("out").noconvert(),
          "out = A^T x for a CSR matrix A.");
    m.def("csr_sampled_product", &sampled_product, py::arg("indptr").noconvert(),
          py::arg("indices").noconvert(), py::arg("l").noconvert(), py::arg("r").noconvert(),
          py::arg("out").noconvert(), "out[k] = (l r^T)(i, j) for the k-th stored entry (i, j).");
    m.def("csr_sketch", &sketch, py::arg("indptr").noconvert(), py::arg("indices").noconvert(),
          py::arg("data").noconvert(), py::arg("rows"), py::arg("cols"), py::arg("out").noconvert(),
          py::arg("kind"), py::arg("seed"), py::arg("stream"), py::arg("d"), py::arg("nnz"),
          py::arg("row_start"), py::arg("col_start"), py::arg("scale"), py::arg("axis"),
          "out = scale S A (axis 0) or scale S A^T (axis 1) for a random map S.");
}

}  // namespace randnla::bindings
