# Every target installs what it needs first. `make` alone prints the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help install run demo token test test-browser histories check lint fmt types imports coverage bench bench-lists migration clean

help: ## print the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

install: $(VENV)/.installed ## install what is missing, from the lock file, into .venv

$(VENV)/.installed: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || ($(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet uv)
	$(UV) sync --frozen --inexact --compile-bytecode --python $(PYTHON)
	@$(BIN)/python -m compileall -qq src
	@touch $@

run: install ## start everything: PostgreSQL, Valkey, the API and a worker
	$(BIN)/stepwire serve

token: install ## print an access token for the embedded mode
	@$(BIN)/stepwire token

demo: install ## run the examples against a small HTTP service
	$(BIN)/python -m stepwire.examples.demo

test: install ## run the tests, on a real PostgreSQL and Valkey
	$(BIN)/python -m pytest

test-browser: install ## use the API from Chromium: a generated client, and Swagger UI
	@$(UV) sync --frozen --inexact --quiet --group browser --python $(PYTHON)
	@tests/browser/install.sh $(BIN)/python
	$(BIN)/python -m pytest tests/browser

histories: install ## record what runs of this version leave in the database, for later versions to read
	$(BIN)/python tests/histories/record.py

check: lint types imports ## lint, types, who imports whom

lint: install
	$(BIN)/ruff check src tests migrations
	$(BIN)/ruff format --check src tests migrations

fmt: install ## format
	$(BIN)/ruff format src tests migrations
	$(BIN)/ruff check --fix src tests migrations

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

coverage: install ## run the tests with their coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --quiet
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: install ## measure, beside what the machine can do
	$(BIN)/python tests/bench/run.py

bench-lists: install ## measure what reading costs with a thousand runs and with a million; show the plans
	$(BIN)/python tests/bench/lists.py

migration: install ## make a migration: make migration m="add run.colour"
	$(BIN)/alembic revision --autogenerate -m "$(m)"

clean: ## remove what was installed and made, data included
	rm -rf $(VENV) tests/browser/node_modules tests/browser/build .stepwire .pytest_cache .ruff_cache .mypy_cache .hypothesis
