# make help says what there is. Variables: PYTHON (default python3), VENV, TORCH_INDEX, PYTEST_ARGS.

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
BIN = $(VENV)/bin
DIGITS = examples/digits

# Modules are compiled once, not by each of the thousands of processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo docs test coverage lint test-wheel test-matrix test-long mutants torture interop bench experiments results clean
# Of make experiments: DATA, where the data set lies; EXPERIMENT, mnist or cifar10; STUDY, one of its studies.
EXPERIMENT ?= mnist
DATA ?=
STUDY ?=
# Of make torture: default all parts, short.
PART ?=
COUNT ?=
LONG ?=
SEED ?= 0
# Of make interop: where the frameworks' environments lie, about 8 GB.
ENVIRONMENTS ?= out/environments

help:  ## Say what there is.
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14
	@echo
	@echo "PYTHON=python3.12   the interpreter, 3.10 to 3.13 (default: python3)"
	@echo "TORCH_INDEX=URL     the package index to take torch from, for a CUDA build; else a CPU build, where it can be had"

setup:  ## Make the virtual environment, with all versions pinned; quick when it is there.
	@scripts/setup_env.sh "$(VENV)" "$(PYTHON)" "$(TORCH_INDEX)"

demo: setup  ## Compile the committed ensemble for Lava, run it on the held-out digits, print the report.
	$(BIN)/sne-compile $(DIGITS)/model.pt --target lava --teacher $(DIGITS)/teacher.onnx --out out/digits

docs: setup  ## Build the site into docs/_build/html: no warning passes, nothing is loaded from elsewhere.
	$(BIN)/python scripts/write_commands.py --check
	$(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

test: lint  ## Style, types, then the tests.
	$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: setup  ## The tests, and what of every file they do not reach; it takes half as long again.
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

lint: setup  ## Style and types alone.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# The types of NumPy 2.2, the last for Python 3.10, are less exact, and in places other, than NumPy 2.4's.
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then echo $(BIN)/mypy; $(BIN)/mypy; \
	else echo "mypy: left out on Python 3.10, whose NumPy has other type information"; fi

test-wheel: setup  ## Build the wheel and run the main job from it, outside the tree.
	@scripts/test_wheel.sh "$(VENV)"

test-matrix:  ## Run the tests on each Python of 3.10 to 3.13 that is found, one environment at a time.
	@scripts/test_matrix.sh "$(TORCH_INDEX)" $(PYTEST_ARGS)

test-long: mutants  ## The tests with ten times as many random networks, after the mutants.
	SNE_TEST_FACTOR=10 $(BIN)/python -m pytest $(PYTEST_ARGS)

torture: setup  ## Kills, full disks, bad files, odd places, sizes: a minute of it. PART, COUNT (or LONG=1), SEED.
	$(BIN)/python -m tests.torture $(PART) --seed $(SEED) $(if $(LONG),--long,$(if $(COUNT),--count $(COUNT)))

mutants: setup  ## Put named faults into copies of the code: the tests must notice each.
	$(BIN)/python -m tests.mutants

bench: setup  ## Measure the simulators on the same networks: loihi, Lava, netx, nengo-loihi, Norse, PyTorch.
	@mkdir -p out
	$(BIN)/python -m benchmarks --out out/performance.json --page out/performance.md

interop: setup  ## Networks live from seven frameworks, each in its environment: writes the table of docs/frameworks.md.
	@mkdir -p $(ENVIRONMENTS) out/interop
	tests/interop/make_environments.sh $(ENVIRONMENTS)
	tests/interop/export.sh $(ENVIRONMENTS) out/interop --live
	$(BIN)/python -m tests.interop.live out/interop --page docs/frameworks.md

experiments: setup  ## Measure what docs/results.md shows: EXPERIMENT=mnist or cifar10, DATA=FOLDER, STUDY=NAME.
	$(BIN)/python -m experiments.$(EXPERIMENT) --out out/$(EXPERIMENT) $(if $(DATA),--data-folder $(DATA)) \
	    $(if $(STUDY),--only $(STUDY))

results: setup  ## Write docs/results.md and its plots from the rows in docs/results.
	$(BIN)/python -m experiments.results

clean:  ## Remove what these commands made, the virtual environments included.
	rm -rf .venv .venv-3.1[0-3] out build dist .coverage .coverage.* docs/_build .pytest_cache .ruff_cache .mypy_cache
	rm -rf .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
