# make demo | test | fuzz | lab | lint | check | docs: each sets itself up once in .venv and again when what is to be
# installed changes. make demo PYTHON=python3.12 chooses the Python;
# make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the much smaller CPU-only torch.

SHELL := bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
TORCH_INDEX ?=

# How long OpenMP's threads spin while they wait for each other; see poselib/ops/processor.py.
GOMP_SPINCOUNT ?= 1000
export GOMP_SPINCOUNT
# Threads of the demo: its network is too small for more than four.
THREADS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))

RUN := $(VENV)/bin/python
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
NOTEBOOK_KEYS := metadata.papermill metadata.language_info.version cell.metadata.papermill cell.metadata.execution

# An empty .installing inside the environment says that an installation has begun and not ended:
# what is there may be torn, so the next one starts from an empty environment.
define install
	@if [ -e $(VENV)/.installing ]; then echo "the last set-up was interrupted: starting afresh"; rm -rf $(VENV); fi
	@if [ ! -e $(VENV)/.created ]; then \
	  $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	    echo "poselib needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear $(VENV) || { \
	    echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu it needs the package python3-venv." >&2; exit 1; }; \
	  touch $(VENV)/.created; fi
	@echo "installing .[$(EXTRAS)] into $(VENV): some minutes and gigabytes the first time"
	@touch $(VENV)/.installing
	@set -o pipefail; PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 $(RUN) -m pip install --progress-bar off \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --constraint constraints.txt --editable '.[$(EXTRAS)]' \
	  | { grep --line-buffered -oE '^ *Downloading .*\([0-9]{2,}\.[0-9] [MG]B\)|^Installing collected packages' || true; }
	@rm -f $(VENV)/.installing
	@touch $@
endef

.PHONY: help demo test fuzz lab lint format check docs clean

help: ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 14

$(VENV)/.installed: EXTRAS := notebooks,test
$(VENV)/.installed: pyproject.toml constraints.txt
	$(install)

$(VENV)/.installed-dev: EXTRAS := notebooks,test,dev
$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(install)
	@touch $(VENV)/.installed

$(VENV)/.installed-docs: EXTRAS := notebooks,test,docs
$(VENV)/.installed-docs: pyproject.toml constraints.txt
	$(install)
	@touch $(VENV)/.installed

demo: $(VENV)/.installed ## train a model in five minutes on a CPU, evaluate it, draw figures
	@OMP_NUM_THREADS=$(THREADS) $(RUN) -m poselib.experiments.notebooks notebooks/01_quickstart.ipynb --preset demo \
	  --report AP AP50 AR train_seconds

# Tests of more than a second, trainings, notebooks and the browser are left out by: make test FAST=1
QUICK := $(if $(FAST),-m "not slow and not overfit and not notebooks and not browser")
# Each of some hundred processes would compile the library anew where no bytecode is to be written.
BYTECODE := PYTHONDONTWRITEBYTECODE=
CHROMIUM = $(shell command -v chromium chromium-browser google-chrome)

test: $(VENV)/.installed ## run the tests; JOBS=8 uses eight processes, FAST=1 leaves out long ones
	@$(if $(FAST)$(CHROMIUM),,echo "no Chromium is installed: the explorers are not tried in a browser")
	@$(BYTECODE) MPLBACKEND=Agg OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist worksteal $(QUICK)

SEED ?= 0
CASES ?= 100000

fuzz: $(VENV)/.installed ## hand 100,000 generated inputs to what reads files and options; CASES=2000 fewer, SEED=1 others
	@MPLBACKEND=Agg OMP_NUM_THREADS=1 nice $(RUN) -m tests.fuzz.driver --seed $(SEED) --cases $(CASES)

# In a container one is often root, which Jupyter wants to be told.
AS_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

lab: $(VENV)/.installed ## open the notebooks in JupyterLab
	@$(RUN) -m jupyterlab --notebook-dir=. $(AS_ROOT)

lint: $(VENV)/.installed-dev ## check style, types and that notebooks are stripped
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(if $(NOTEBOOKS),$(RUN) -m nbstripout --verify --extra-keys "$(NOTEBOOK_KEYS)" $(NOTEBOOKS))

format: $(VENV)/.installed-dev ## put code and notebooks into the agreed form
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .
	@$(if $(NOTEBOOKS),$(RUN) -m nbstripout --extra-keys "$(NOTEBOOK_KEYS)" $(NOTEBOOKS))

check: $(VENV)/.installed ## say how all figures stand; fail if one is dirty, missing or without a notebook
	@$(RUN) -m poselib.cli reproduce --check --fail-on dirty missing

docs: $(VENV)/.installed-docs ## build the documentation into docs/_build/html, without a warning
	@$(RUN) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean: ## remove the environment and the caches; runs/ and figures/ stay
	@rm -rf $(VENV) docs/_build docs/_api docs/_freshness.csv docs/notebooks .mypy_cache .pytest_cache .ruff_cache
