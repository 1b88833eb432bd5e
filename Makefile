# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
#
# Everything happens in .venv, which is created at need: a C++ compiler, make and Python >= 3.11 suffice.
#
#   make demo    install, then run the main job on real data (figures in demo-output/)
#   make test    install with what the tests need, then run the whole suite
#   make bench   print the table of ratios against other libraries
#   make lint    static checks          make docs    build the documentation
#   make asan    the C++ tests under the address and undefined-behavior sanitizers
#   make cuda    compile the device kernels with nvcc, where it is found, and check what they use
#   make clean   remove what was built (make distclean: the environment too)
#
# PYTHON=/path/to/python chooses the interpreter, VENV=dir the environment.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
WHEELS := $(VENV)/.wheels
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
SOURCES := pyproject.toml CMakeLists.txt README.md LICENSE \
           $(shell find csrc cuda cmake python/randnla -type f ! -name '*.so' ! -name '*.pyc' 2>/dev/null)

# Nothing from the caller's shell may shadow the installed package.
unexport PYTHONPATH

.DELETE_ON_ERROR:
.PHONY: demo test bench lint docs asan cuda clean distclean

demo: $(STAMPS)/package $(STAMPS)/demo
	$(BIN)/randnla demo --out demo-output

test: $(STAMPS)/package $(STAMPS)/test $(STAMPS)/build
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not serial"
	RANDNLA_WHEEL="$$(ls $(WHEELS)/randnla-*.whl)" $(BIN)/python -m pytest -q -m serial || test $$? -eq 5  # 5: no test is marked so

bench: $(STAMPS)/package $(STAMPS)/bench
	$(BIN)/python asv_bench/ratios.py

lint: $(STAMPS)/package $(STAMPS)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	find csrc cuda \( -name '*.[ch]pp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | xargs -0 $(BIN)/clang-format --dry-run -Werror
	$(BIN)/python tools/check_tree.py

# NumPy's BLAS threads spin after a product, on the cores of our team, unless told to sleep soon.
docs: $(STAMPS)/package $(STAMPS)/docs
	OPENBLAS_THREAD_TIMEOUT=4 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

asan: $(STAMPS)/build
	$(BIN)/cmake --preset asan -DPython_EXECUTABLE="$(abspath $(BIN))/python" -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN))/ninja"
	$(BIN)/cmake --build build/asan
	build/asan/csrc/randnla_native_tests

cuda: $(STAMPS)/venv
	$(BIN)/python tools/check_cuda.py

clean:
	rm -rf build dist wheelhouse demo-output docs/_build docs/gallery/generated docs/reference/generated docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f $(STAMPS)/package
	find python -name '*.so' -delete
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# pip of a fresh environment may be too old for scikit-build-core's editable installs.
$(STAMPS)/venv:
	@python=; \
	for candidate in $(CANDIDATES); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if test -z "$$python"; then \
	    echo "make: no Python >= 3.11 among: $(CANDIDATES); install one or say make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear "$(VENV)" || { \
	    echo "make: $$python cannot create environments; install its venv module (python3-venv on Debian)" >&2; exit 1; }
	$(PIP) install --upgrade "pip>=24.1"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/package: $(STAMPS)/venv $(SOURCES)
	@command -v "$${CXX:-c++}" >/dev/null || { echo "make: no C++ compiler ($${CXX:-c++}) found" >&2; exit 1; }
	@echo "building and installing randnla (a minute or two when the C++ core changed)"
	rm -rf $(WHEELS)
	$(PIP) wheel --no-deps --wheel-dir $(WHEELS) .
	$(PIP) install --force-reinstall --no-deps $(WHEELS)/randnla-*.whl
	$(PIP) install $$($(BIN)/python tools/requirements.py run)
	@touch $@

# The requirements of one extra (or of the build), without the package itself.
$(STAMPS)/%: $(STAMPS)/venv pyproject.toml tools/requirements.py
	@echo "installing the requirements of: $*"
	$(BIN)/python tools/requirements.py $* > $(STAMPS)/$*.txt
	$(PIP) install --requirement $(STAMPS)/$*.txt
	@touch $@
