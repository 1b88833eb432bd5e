# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Names of randnla.quantum_inspired -> the file that tests them."""

_SQ = "quantum_inspired/test_sq_{}.py".format
QUANTUM_INSPIRED: dict[str, str] = {
    **dict.fromkeys(("SQMatrix", "SQVector"), _SQ("access")),
    **dict.fromkeys(("SQCombination", "SQFactored", "combine", "outer", "product"), _SQ("closure")),
    **dict.fromkeys(("ProductResult", "approximate_product", "bilinear_form"), _SQ("closure")),
    **dict.fromkeys(("inner_product", "low_rank_svd"), _SQ("closure")),
    **dict.fromkeys(("EvenSVT", "OddSVT", "even_svt", "odd_svt", "pseudo_inverse"), _SQ("transform")),
    **dict.fromkeys(("ClusterResult", "DiscriminantResult", "Recommendation"), _SQ("applications")),
    **dict.fromkeys(("SDPResult", "SVMResult", "Recommender", "recommend", "pca"), _SQ("applications")),
    **dict.fromkeys(("discriminant", "regress", "simulate_hamiltonian", "svm"), _SQ("applications")),
    **dict.fromkeys(("solve_sdp", "supervised_cluster"), _SQ("applications")),
}
