# `make up` and `make test` are all that a newcomer needs; each installs what it lacks.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ETCD   := .cache/etcd/etcd

.DEFAULT_GOAL := help
.PHONY: help install up down test check lint types imports protos generate golden bench compose clean

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/installed $(ETCD)  ## .venv with everything, and a real etcd

$(VENV)/runs: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=compat --editable .
	@touch $@

# Tools and the clients that tests run; a cluster needs none of them.
$(VENV)/installed: $(VENV)/runs
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--config-settings editable_mode=compat --editable '.[dev,clients]'
	@touch $@

$(ETCD): scripts/get_etcd.py
	$(PYTHON) scripts/get_etcd.py
	@touch -c $@

up: $(VENV)/runs $(ETCD)  ## start a three-node cluster in the foreground; Ctrl-C ends it
	@$(BIN)/orrery up

down: $(VENV)/runs  ## end a cluster that runs in the background
	@$(BIN)/orrery down

test: install  ## all tests; those of compose only where a Docker engine runs
	$(BIN)/pytest -n 2 --dist loadfile tests

check: install lint types imports protos  ## fast checks, no Docker, no etcd: format, lint, types, imports, unit and golden tests
	$(BIN)/pytest -n 2 -m 'not slow' tests/unit tests/golden

lint: install
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports --verbose > /dev/null || $(BIN)/lint-imports

protos: install
	$(BIN)/buf lint protos
	$(BIN)/python scripts/gen_protos.py --check
	$(BIN)/python scripts/gen_types.py --check

generate: install  ## write services/pb and the typed objects again
	$(BIN)/python scripts/gen_protos.py
	$(BIN)/python scripts/gen_types.py

golden: install  ## rewrite the golden files that the tests own
	ORRERY_UPDATE_GOLDEN=1 $(BIN)/pytest -q tests/golden tests/unit

bench: install  ## measure: start, deployments, API, idle
	$(BIN)/python -m bench

compose:  ## the same cluster as containers
	docker compose up --build

clean:  ## remove what make install brought
	rm -rf $(VENV) .cache build dist *.egg-info
