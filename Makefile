# make test: everything that is checked before a change goes in.
# make demo: simulate a dense movie, localize it, and write the results to demo-output.
#
# Each sets itself up in .venv first; it needs only Python >= 3.11 and a package index.
#   PYTHON=...     the interpreter (otherwise the first on PATH that will do)
#   PIP_ARGS=...   more for pip. On Linux the index's torch brings gigabytes of CUDA; for the CPU:
#                  PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   SMLM_SLOW=1    run the slow tests too

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PYTHON

# What an installation depends on; the version is read from the package.
INSTALLS := pyproject.toml constraints.txt src/napari_smlm_diffusion/__init__.py

.PHONY: test demo clean

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 NAPARI_STRICT_QT=1 tools/with-screen $(BIN)/python -m pytest -n auto --dist loadfile \
		$(if $(filter 1,$(SMLM_SLOW)),-m "")

demo: $(VENV)/installed
	rm -rf demo-output
	$(BIN)/smlm-diffusion demo --out demo-output

$(VENV)/installed: $(INSTALLS)
	tools/make-venv $(VENV)
	$(PIP) install -q $(PIP_ARGS) -c constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install -q $(PIP_ARGS) -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
