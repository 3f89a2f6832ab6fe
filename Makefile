# Every target sets up what it needs; a second call finds it done. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
UV_VERSION = $(shell awk '/^name = "uv"$$/ { getline; gsub(/[^0-9.]/, ""); print }' uv.lock)
# A tool's own index settings must not redirect what the lock file pins.
SYNC := env -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u VIRTUAL_ENV $(UV) sync --quiet --frozen --inexact --compile-bytecode
# Without compiled files every start would compile a thousand modules again: three seconds instead of one.
unexport PYTHONDONTWRITEBYTECODE

WEB_SOURCES := $(shell find frontend \( -name node_modules -o -name coverage -o -name dist \) -prune -o -type f -print 2>/dev/null | grep -v ' ')
NPM := .ci/npm
PYTEST := $(BIN)/pytest

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- setting up ------------------------------------------------------------------------------------------------------

$(UV): uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Roost needs Python 3.11 or later; $(PYTHON) is older. Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "Python's venv module is missing; ask root for: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $(UV)

# Two stamps, so that running Roost does not wait for the tools that only its developers need.
.venv/.synced-run: pyproject.toml uv.lock | $(UV)
	@echo "Installing the Python packages ..."
	@$(SYNC) --no-dev --group run
	@touch $@

.venv/.synced-dev: pyproject.toml uv.lock | $(UV)
	@echo "Installing the Python packages and the development tools ..."
	@$(SYNC)
	@touch $@ .venv/.synced-run

frontend/node_modules/.installed: frontend/package.json frontend/package-lock.json | .venv/.synced-run
	@echo "Installing the web app's packages ..."
	@$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

roost/webapp/index.html: $(WEB_SOURCES) | frontend/node_modules/.installed
	@echo "Building the web app ..."
	@$(NPM) run --silent build
	@touch $@

.PHONY: setup
setup: .venv/.synced-dev web test-tools ## Prepare everything for developing: Python, web app, test programs

.PHONY: web
web: roost/webapp/index.html ## Build the web app into roost/webapp

.PHONY: test-tools
test-tools: ## See to it that Chromium, Mosquitto, pgbouncer and a C++ compiler are there
	@.ci/test-tools

.PHONY: hooks
hooks: .venv/.synced-dev ## Check every commit before it is made
	@$(BIN)/pre-commit install

# --- running ---------------------------------------------------------------------------------------------------------

.PHONY: run
run: .venv/.synced-run web ## Run Roost in the foreground
	@exec $(BIN)/roost run

.PHONY: api-start api-stop api-restart
api-start: .venv/.synced-run web ## Run Roost in the background (log and process id in the data folder)
	@deploy/background start

api-stop: ## Stop the Roost in the background
	@deploy/background stop

api-restart: .venv/.synced-run web ## Stop it and start it again; migrations run at start
	@deploy/background stop
	@deploy/background start

# --- database --------------------------------------------------------------------------------------------------------

.PHONY: db-migrate db-revision db-status
db-migrate: .venv/.synced-run ## Bring the database to the newest revision
	@$(BIN)/alembic upgrade head

db-revision: .venv/.synced-run ## Write a migration from what changed in the models: make db-revision MSG="Add rooms"
	@test -n "$(MSG)" || { echo 'Say what changed: make db-revision MSG="Add rooms"' >&2; exit 1; }
	@$(BIN)/alembic upgrade head
	@$(BIN)/alembic revision --autogenerate -m "$(MSG)"

db-status: .venv/.synced-run ## Show the database's revision, the newest one, and whether the models agree
	@$(BIN)/alembic current --verbose
	@$(BIN)/alembic heads
	@$(BIN)/alembic check

# --- checking --------------------------------------------------------------------------------------------------------

# What needs no server, two at a time; the types take longest.
LINTERS := lint-types lint-web lint-python
.PHONY: lint $(LINTERS) unit-test-web
lint: .venv/.synced-dev frontend/node_modules/.installed ## Formatting, lint, types, import walls, security, web app
	@$(MAKE) --no-print-directory --jobs 2 $(LINTERS)

lint-types:
	$(BIN)/mypy

lint-web:
	$(NPM) run --silent lint
	$(NPM) run --silent typecheck

lint-python:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml roost

unit-test-web:
	$(NPM) run --silent test

.PHONY: format
format: .venv/.synced-dev ## Format the Python code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Some tests wait for a disk or a database: on two cores four at a time end soonest.
WORKERS ?= 4

.PHONY: test
test: .venv/.synced-dev web test-tools ## What must hold before a commit lands, in five minutes; nine lines of ten reached by a test
	@$(MAKE) --no-print-directory --jobs 2 $(LINTERS) unit-test-web
	@rm -rf build/lines
	COUNT_LINES_IN=$(CURDIR)/build/lines $(PYTEST) -n $(WORKERS) --dist worksteal -m "not soak and not pages"
	@$(BIN)/slipcover --merge build/lines/*.json --out build/lines.json --skip-covered --fail-under 90

.PHONY: test-pages
test-pages: .venv/.synced-dev web test-tools ## Every page of the web app in a browser, as CI does after the rest
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "pages and not soak"

.PHONY: soak
soak: .venv/.synced-dev web test-tools ## The long fault and load runs; what they came to goes to benchmarks/results/soak.md
	@TMPDIR=$${TMPDIR:-/var/tmp} $(BIN)/python -m pytest -p tests.soak_record -m soak $(SOAK)

.PHONY: test-api test-auth
test-api: .venv/.synced-dev ## Check the system endpoints of a running server (ROOST_URL)
	@$(BIN)/python -m tests.running.check_api

test-auth: .venv/.synced-dev ## Check the sign-in flow of a running server (ROOST_URL)
	@$(BIN)/python -m tests.running.check_auth

.PHONY: bench
bench: .venv/.synced-dev web ## Measure speed and memory; results go to benchmarks/results
	@command -v cc >/dev/null || { echo "The load generator needs a C compiler; ask root for: apt-get install gcc libc6-dev" >&2; exit 1; }
	@$(MAKE) --silent -C benchmarks/loadgen
	@$(BIN)/python -m benchmarks $(BENCH)

# --- delivering ------------------------------------------------------------------------------------------------------

.PHONY: wheel
wheel: .venv/.synced-run web ## Build the wheel, web app included, into dist
	@env -u UV_INDEX_URL -u UV_DEFAULT_INDEX $(UV) build --quiet --wheel --out-dir dist
	@ls dist/*.whl
