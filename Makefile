# `make` lists the targets. Everything runs in .venv, which the first target that needs it makes;
# a stamp file for each set of packages has it installed once, and again only when pyproject.toml
# changes. GNU make 3.81 (macOS) is enough. To start afresh: rm -rf .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Not one of the 18,000 modules is compiled here: Python compiles those that it imports.
INSTALL := $(BIN)/python -m pip install --no-compile
BASE := $(VENV)/.base-installed
LAB := $(VENV)/.lab-installed
DEV := $(VENV)/.dev-installed
BOOK := $(VENV)/.book-installed
STATIC := rcae_lite/widgets/static/*.js
TSC := npm_config_fetch_retries=0 npx --yes --package typescript@5.9.3 tsc

.DEFAULT_GOAL := help
.NOTPARALLEL:  # two pips must not write to one environment
.PHONY: help demo quick test test-full test-browser lab lint notebooks class book clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(BASE) ## train and evaluate on synthetic images, write runs/demo/report.html
	$(BIN)/rcae demo

quick: $(DEV) ## the unit tests that train next to nothing, tests/quick.txt (a minute on 2 idle cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal @tests/quick.txt

test: lint ## lint, then the tests (15 minutes at most on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 40

test-full: lint ## lint, then all tests, the long ones too
	$(BIN)/python -m pytest -m "" --timeout 3600 -s

test-browser: $(DEV) ## only the tests of the widgets in a real browser (needs Chromium)
	$(BIN)/python -m pytest -m browser tests/browser

# Lectures and exercises only: their sources, the solutions and what they leave behind are hidden. In
# a container one is root, which Jupyter has to be told.
HIDDEN := *.py solutions img predictions.json __pycache__
LAB_OPTIONS = $(foreach name,$(HIDDEN),--ContentsManager.hide_globs='$(name)') \
    $(if $(filter 0,$(shell id -u)),--allow-root)

lab: $(LAB) ## open JupyterLab on notebooks/00_start_here.ipynb
	$(BIN)/jupyter-lab $(LAB_OPTIONS) notebooks/00_start_here.ipynb

lint: $(DEV) ## check style, format, types, layers, the GitHub workflow, and JavaScript, its types too (with Node)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@if command -v node >/dev/null; then for file in $(STATIC); do \
	    node --input-type=module --check < $$file || { echo "$$file is not JavaScript" >&2; exit 1; }; \
	done; else echo "lint: no Node here, so $(STATIC) were not checked"; fi
	@if $(TSC) --version >/dev/null 2>&1; then $(TSC) -p tools/jsconfig.json; \
	else echo "lint: no npx, or no npm registry, so the types in $(STATIC) were not checked"; fi

notebooks: $(LAB) ## regenerate the notebooks and exercises from their sources
	$(BIN)/python tools/generate.py

OUT ?= build/class
class: $(LAB) ## write a student release and a teacher's pack into OUT
	$(BIN)/python tools/classroom.py $(OUT)

book: $(BOOK) ## write the course as a web site: build/book/index.html
	$(BIN)/sphinx-build -q -b html -c docs . build/book

clean: ## remove caches and build products; keeps .venv and runs/
	rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
	    .ruff_cache
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# Each set contains the ones before it, so installing it stamps those too.
$(BASE): pyproject.toml | $(BIN)/pip
	$(INSTALL) -e .
	@touch $(BASE)

$(LAB): pyproject.toml | $(BIN)/pip
	$(INSTALL) -e ".[lab]"
	@touch $(BASE) $(LAB)

$(DEV): pyproject.toml | $(BIN)/pip
	$(INSTALL) -e ".[lab,dev]"
	@touch $(BASE) $(LAB) $(DEV)

$(BOOK): pyproject.toml | $(BIN)/pip
	$(INSTALL) -e ".[lab,book,export]"
	@touch $(BASE) $(LAB) $(BOOK)

# An environment without pip is half made (Debian leaves one behind): it is taken away again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "$(PYTHON) is missing or older than Python 3.10; try make PYTHON=python3.12" >&2; \
	    exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$(PYTHON) cannot make a virtual environment; Debian, Ubuntu: apt install python3-venv" >&2; \
	    exit 1; }
