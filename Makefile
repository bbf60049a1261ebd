# Every target works as the first command on a fresh clone: it needs Python 3.11 or later, pip's registry and make.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; done)
BIN := .venv/bin
UV := $(shell command -v uv || echo $(BIN)/uv)
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-crash test-hour check format bench bench-load pictures docs lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

run: .venv/runtime  ## Start it all: paper trading, Prefect server, backtest of the sample, dashboard; Ctrl-C ends it
	@$(BIN)/jarvis up

test: .venv/chromium  ## Check style and types, then run the test suite, browser tests included
	@$(BIN)/python -m flows.ahead & $(MAKE) --no-print-directory check; checked=$$?; \
	wait $$! && exit $$checked  # what is compiled ahead need not be by every test process
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow and not crash and not hour"

test-slow: .venv/chromium  ## Run the tests that take longer than the main job allows
	@$(BIN)/python -m pytest -m slow --timeout=3600

test-crash: .venv/development  ## Kill a live session at 500 points drawn by lot, while the exchange fails (an hour)
	@$(BIN)/python -m pytest -m crash --timeout=7200 tests/crash/test_live_crash.py

test-hour: .venv/development  ## Trade for an hour at speed while one call in ten fails
	@$(BIN)/python -m pytest -m hour --timeout=7200 tests/crash/test_live_endurance.py

check: .venv/development  ## Check style (ruff) and types (mypy)
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy --no-error-summary

format: .venv/development  ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: .venv/chromium  ## Measure the speed against peers, of the practice exchange, from a close to its order, of the dashboard
	@for benchmark in backtest sweep portfolio practice_exchange live dashboard; do \
		$(BIN)/python -m benchmarks.$$benchmark || exit; done

bench-load: .venv/chromium  ## Measure fifty visitors of the dashboard on a lake that is written to (twelve minutes)
	@$(BIN)/python -m benchmarks.dashboard_load

pictures: .venv/chromium  ## Take the pictures of every page of the dashboard, and those of the README
	@$(BIN)/python -m docs.pictures

docs: .venv/development  ## Write the pages that are made from the code: docs/lake.md, docs/metrics.md, docs/faults.md
	@$(BIN)/python -m data.handbook && $(BIN)/python -m tasks.evaluate.handbook
	@JARVIS_WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/server/test_every_fault.py

lock: .venv/development  ## Resolve the dependencies anew into the two lock files
	@options="--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet --upgrade"; \
	$(UV) pip compile $$options pyproject.toml -o requirements.lock && \
	$(UV) pip compile $$options pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock

clean:  ## Remove the environment; the lake stays
	rm -rf .venv

.venv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: install it, or say where it is: make PYTHON=..."; exit 1; }
	@echo "Creating the environment in .venv with $(PYTHON), and uv in it ..."
	@$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv

.venv/bin/python: | $(UV)
	@test -x $@ || { echo "Creating the environment in .venv ..."; \
	$(UV) venv --quiet --allow-existing $(if $(PYTHON),--python $(PYTHON)) .venv; }

.venv/runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what Jarvis needs from requirements.lock (a minute) ..."
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	@echo "Installing what the tests need from requirements-dev.lock ..."
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/chromium: .venv/development
	@if ! command -v chromium >/dev/null; then \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "Installing chromium for the browser tests ..."; \
			apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
		else echo "Browser tests are skipped: install chromium (sudo apt-get install chromium) to run them."; fi; fi
	@if command -v chromium >/dev/null; then touch $@; fi
