# Every target installs what it needs; on a fresh machine `make demo` or `make test` is enough.
# `make PYTHON=/path/to/python3.12 test` chooses the interpreter of a new environment.

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
UV    ?= uv
N     ?= 3
ARGS  ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test core check bench bench-governor sim soak ci lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## sync a sample book into a pretend Zoho, with trouble on the way (ends by itself)
	$(BIN)/zohosync demo $(ARGS)

test: $(READY) ## run every test but the simulator's long ones (ARGS="-k lease" chooses some)
	$(BIN)/python -m pytest -n $(N) --dist loadfile --no-loadscope-reorder -m "not sim" $(ARGS)

core: $(READY) ## run the tests of the decisions only: pure, a few seconds
	$(BIN)/python -m pytest tests/core $(ARGS)

check: $(READY) ## lint, format, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## measure, each figure beside its baseline
	$(BIN)/python -m benchmarks $(ARGS)

bench-governor: $(READY) $(VENV)/.bench ## spend a small quota beside what people use today (3 to 6 minutes)
	$(BIN)/python -m benchmarks.governor --plots docs/images $(ARGS)

sim: $(READY) ## simulated bad days, every crash point, and each guard switched off (2 to 4 minutes)
	$(BIN)/python -m pytest tests/sim -n $(N) -m "sim and not slow" $(ARGS)

soak: $(READY) ## simulate for as long as asked (ARGS="--minutes 60 --days 5"), over all profiles
	$(BIN)/python tests/sim/soak.py $(ARGS)

ci: check test ## what .ci/run calls: check, every test, and of the simulator's all but the crash points
	$(MAKE) sim ARGS="-k 'not crash'"

lock: ## rewrite the hashed requirement files (needs uv; ARGS=--upgrade moves versions)
	@command -v $(UV) >/dev/null || { echo "lock needs uv: pip install uv"; exit 1; }
	$(UV) pip compile pyproject.toml --group dev $(ARGS) -o requirements-dev.txt $(LOCK)
	$(UV) pip compile pyproject.toml -c requirements-dev.txt $(ARGS) -o requirements.txt $(LOCK)
	$(UV) pip compile --group bench -c requirements-dev.txt $(ARGS) -o requirements-bench.txt $(LOCK)

LOCK = --quiet --universal --python-version 3.11 --generate-hashes \
       --no-header --no-emit-index-url --no-emit-find-links >/dev/null

clean: ## remove the environment, caches and builds (a data directory stays)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
	  .hypothesis .coverage
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: hashed wheels first, then this tree on top of them, asking no registry again.
$(READY): requirements-dev.txt pyproject.toml
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  chosen=; \
	  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then chosen=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$chosen" ]; then \
	    echo "zohosync needs Python 3.11 or newer; none was found."; \
	    echo "Install one (Debian 12: apt-get install python3 python3-venv) or say"; \
	    echo "make PYTHON=/path/to/python3.12 ..."; exit 1; \
	  fi; \
	  if ! $$chosen -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$chosen cannot make a virtual environment: its venv or ensurepip is missing."; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; \
	  fi; \
	  $$chosen -m venv $(VENV); \
	fi; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	pip="$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input"; \
	$$pip --require-hashes -r requirements-dev.txt; \
	$$pip --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	  --require-hashes -r requirements-bench.txt
	@touch $@
