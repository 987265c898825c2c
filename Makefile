# Everything a clone needs: Python 3.11 or later with pip, git and make.
# `make demo` shows the program at work with no key; `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BENCH ?=
# More than cores: most of a test's time is waiting.
JOBS ?= 4
SOAK ?=
SOURCE ?=
LIMIT ?=

.DEFAULT_GOAL := help
.PHONY: help demo test bench soak setup setup-dev model clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup model ## a model on this machine answers, and reads a law office's mail; SOURCE=PATH [LIMIT=N] for other mail
	@$(PY) tools/demo.py $(if $(SOURCE),--source $(SOURCE)) $(if $(LIMIT),--limit $(LIMIT))

test: setup-dev model ## lint, types and tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -rs -n $(JOBS) --dist loadfile

bench: setup-dev ## the race against other gateways; BENCH=--quick for a short one
	$(PY) -m bench.ensembles $(BENCH)
	$(PY) -m bench.routing $(BENCH)
	$(PY) -m bench.lawfirm $(BENCH)
	$(PY) -m bench.durable $(BENCH)
	$(PY) -m bench.waiting $(BENCH)
	$(PY) -m bench.install $(BENCH)
	$(PY) -m bench.startup $(BENCH)
	$(PY) -m bench.memory $(BENCH)
	$(PY) -m bench.batches $(BENCH)
	$(PY) -m bench.decision $(BENCH)
	$(PY) -m bench.run $(BENCH)

soak: setup-dev ## kill servers and workers 200 times on each database and look for what was lost; SOAK="--kills 50"
	$(PY) -m bench.soak $(SOAK)

setup: ## the environment .venv with all that `can` needs
	@$(PYTHON) tools/environment.py all

setup-dev:
	@$(PYTHON) tools/environment.py dev

model: ## the embedded model's file, fetched once into the user's cache
	@$(PY) -m chittycan.providers.model_files >/dev/null

clean: ## forget the environment and all that was built (not the model)
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist bench/envs
