# The one interface for contributors and CI: `make help`.

PYTHON ?=
PRESET ?= laptop
SEEDS ?= 1
OUT ?= runs/$(PRESET)
PYTEST ?= --numprocesses=auto --dist=worksteal

VENV := .venv
BIN := $(VENV)/bin
# Stamp files, so that a set-up is not repeated until what it depends on changes.
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

# Without build isolation the build backend is the pinned one too.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EDITABLE := $(PIP) --no-build-isolation --editable
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# Tests and tools run one per core, so each keeps to one thread.
ONE_THREAD := OMP_NUM_THREADS=1

# Not ".": it has links to two of the packages.
CODE := lightning_stdim tests benchmarks studies
# What can be run and does not say that it is left out: for its hours, its GPU, another package.
SCRIPTS = $(shell grep -l __main__ benchmarks/*.py | xargs grep -L 'make benchmarks.* leaves it out')

.DEFAULT_GOAL := help
.PHONY: help install reproduce test lint typecheck benchmarks wheel clean

help:  ## print the targets
	@echo "usage: make TARGET [VARIABLE=value]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "variables: PRESET=$(PRESET) SEEDS=$(SEEDS) OUT=$(OUT), and PYTHON=... to choose the interpreter"

install: $(RUN)  ## create .venv and install the package with the versions that constraints.txt pins

reproduce: $(RUN)  ## the main job: Pong, four methods, the comparison table (PRESET, SEEDS, OUT)
	$(BIN)/python -m lightning_stdim benchmark --games pong --seeds $(SEEDS) --preset $(PRESET) --out $(OUT)

test: $(DEV)  ## every test
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST)

lint: $(DEV)  ## style and formatting
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

typecheck: $(DEV)  ## strict mypy
	$(BIN)/mypy
	set -e; for folder in benchmarks studies; do $(BIN)/mypy --allow-untyped-calls $$folder/*.py; done

benchmarks: $(DEV)  ## speed and memory: the scripts in benchmarks/ that take minutes and need nothing more
	set -e; for script in $(SCRIPTS); do $(BIN)/python $$script; done

wheel: $(DEV)  ## build dist/*.whl
	rm -rf build  # setuptools would pack what an earlier build left there
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove .venv and everything built; frames in data/ and results in runs/ stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if $$candidate -c "$(SUPPORTED)" 2>/dev/null; then \
	    echo "creating $(VENV) with $$($$candidate --version)"; \
	    exec $$candidate -m venv $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11, 3.12 or 3.13 with the venv module was found." \
	  "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
	exit 1

$(RUN): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) setuptools
	$(EDITABLE) .
	@touch $(RUN)

$(DEV): setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) setuptools
	$(EDITABLE) ".[dev]"
	@touch $(RUN) $(DEV)
