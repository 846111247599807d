# Every target installs what it needs first. `make` alone prints the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help install tools studio studio-link run demo token test test-studio browser test-browser screenshots faults histories check lint fmt types imports coverage bench bench-streams bench-lists migration clean

help: ## print the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

install: $(VENV)/.installed ## install what running it needs, from the lock file, into .venv

tools: $(VENV)/.tools ## install what working on it needs, too

$(VENV)/.installed: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || ($(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet uv)
	$(UV) sync --frozen --inexact --no-dev --compile-bytecode --python $(PYTHON)
	@$(BIN)/python -m compileall -qq src
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(UV) sync --frozen --inexact --compile-bytecode --python $(PYTHON)
	@touch $@

STUDIO := src/stepwire/studio/dist/index.html

studio: ## build the studio, where its sources are newer than what was built
	@$(MAKE) --no-print-directory $(STUDIO)

$(STUDIO): $(VENV)/.installed $(shell find src/studio -type f -not -path '*/node_modules*' -not -path '*/generated*') src/stepwire/clients/run-stream.ts
	@command -v npm >/dev/null 2>&1 || $(UV) sync --frozen --inexact --quiet --no-dev --group node --python $(PYTHON)
	@src/studio/run.sh $(BIN)/python build

studio-link: install ## print a link that signs in to the studio of the embedded mode
	@$(BIN)/stepwire studio

run: install ## start everything: PostgreSQL, Valkey, the API and a worker; builds the studio once
	@test -e $(STUDIO) || $(MAKE) --no-print-directory studio || echo "The studio could not be built; everything else works without." >&2
	$(BIN)/stepwire serve

token: install ## print an access token for the embedded mode
	@$(BIN)/stepwire token

demo: install ## run the examples against a small HTTP service
	$(BIN)/python -m stepwire.examples.demo

test: tools ## run the tests, on a real PostgreSQL and Valkey; make test EXAMPLES=1000 makes up more cases
	@$(BIN)/python -m compileall -qq src  # once for all the processes that they start
	STEPWIRE_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test-studio: $(STUDIO) ## check the studio's sources, and test what needs no browser
	@src/studio/run.sh $(BIN)/python check

browser: tools $(STUDIO)
	@$(UV) sync --frozen --inexact --quiet --group browser --python $(PYTHON)
	@tests/browser/install.sh $(BIN)/python

test-browser: browser ## use Chromium: the studio, a generated client, stream clients, Swagger UI
	$(BIN)/python -m pytest tests/browser

screenshots: browser ## take the README's pictures of the studio
	$(BIN)/python tests/browser/screenshots.py

faults: tools ## kill processes at random under the load of 10,000 runs; make faults RUNS=500 SEED=7
	STEPWIRE_FAULTS_RUNS=$(or $(RUNS),10000) STEPWIRE_FAULTS_SEED=$(SEED) $(BIN)/python -m pytest -s --timeout=0 tests/faults/test_points.py -k random

histories: tools ## record what runs of this version leave in the database, for later versions to read
	$(BIN)/python tests/histories/record.py

check: lint types imports ## lint, types, who imports whom

lint: tools
	$(BIN)/ruff check src tests migrations
	$(BIN)/ruff format --check src tests migrations

fmt: tools ## format
	$(BIN)/ruff format src tests migrations
	$(BIN)/ruff check --fix src tests migrations

types: tools
	$(BIN)/mypy

imports: tools
	$(BIN)/lint-imports

coverage: tools ## run the tests with their coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --quiet
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: install ## measure, beside what the machine can do
	$(BIN)/python tests/bench/run.py

bench-streams: install ## measure what watching costs: sockets, memory, latency
	$(BIN)/python tests/bench/streams.py

bench-lists: install ## measure what reading costs with a thousand runs and with a million; show the plans
	$(BIN)/python tests/bench/lists.py

migration: tools ## make a migration: make migration m="add run.colour"
	$(BIN)/alembic revision --autogenerate -m "$(m)"

clean: ## remove what was installed and made, data included
	rm -rf $(VENV) src/studio/node_modules src/studio/generated src/stepwire/studio/dist tests/browser/node_modules tests/browser/build .stepwire .pytest_cache .ruff_cache .mypy_cache .hypothesis
