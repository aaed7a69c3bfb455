# `make help` says what there is. Every target sets up what it needs: only make and Python 3.11 or
# later have to be there (and their venv module, which Debian packages as python3-venv).

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo run test check lint bench requirements clean
.PHONY: test-unit test-properties test-state test-postgresql test-effects test-scenarios

VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
# Pins carry no index of their own: pip asks the one that the machine is set up for.
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --no-warn-script-location
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n 2
# The stories of kill -9, lost brokers and stops, told on both databases.
DURABILITY := $(addprefix tests/scenarios/test_,kill_after_the_reply.py broker_lost.py sigterm.py two_dispatchers.py)
step = @printf '\n== %s\n' "$(1)"

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/dev.stamp ## Run the whole system against a fake world of mail servers (DEMO_EXIT=1: then stop)
	@$(BIN)/python -m tests.demo

run: $(VENV)/base.stamp ## Run the stack for real use until Ctrl-C
	@exec $(MANAGE) up

test: test-unit test-properties test-state test-postgresql test-effects test-scenarios ## Run all tests, quickest first
	$(call step,make test: all tests passed)

test-unit: $(VENV)/dev.stamp
	$(call step,unit tests)
	@$(PYTEST) tests/unit

test-properties: $(VENV)/dev.stamp
	$(call step,properties)
	@$(PYTEST) tests/properties $(PARALLEL)

test-state: $(VENV)/dev.stamp
	$(call step,state tests on SQLite)
	@$(PYTEST) tests/state $(PARALLEL)

test-postgresql: $(VENV)/dev.stamp
	$(call step,state tests on PostgreSQL)
	@MAILMILL_TEST_BACKEND=postgresql $(PYTEST) tests/state $(PARALLEL)

test-effects: $(VENV)/dev.stamp
	$(call step,effects: real SMTP and Redis)
	@$(PYTEST) tests/effects $(PARALLEL)

test-scenarios: $(VENV)/dev.stamp
	$(call step,scenarios: the whole stack)
	@$(PYTEST) tests/scenarios
	$(call step,scenarios: durability on PostgreSQL)
	@MAILMILL_TEST_BACKEND=postgresql $(PYTEST) $(DURABILITY)

check: lint test ## Run exactly what CI runs: lint, types, imports, Django's checks, tests
	$(call step,make check: everything passed)

# The data folder of Django's checks is a throw-away one: a check leaves no trace in var/.
lint: $(VENV)/dev.stamp
	$(call step,ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(call step,mypy --strict)
	@$(BIN)/mypy .
	$(call step,import contracts)
	@$(BIN)/lint-imports
	$(call step,Django: migrations and deployment checks)
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; export MAILMILL_DATA_DIR="$$folder"; \
	$(MANAGE) makemigrations --check; \
	MAILMILL_HTTPS=1 $(MANAGE) check --deploy --fail-level WARNING
	$(call step,installed packages)
	@$(PIP) check

bench: $(VENV)/dev.stamp ## Measure speed, latency, backlog, slow receivers, tail, limits, fairness; one JSON line each
	@$(BIN)/python -m tests.bench

requirements: $(VENV)/dev.stamp ## Compile requirements/*.in to pinned .txt (UPGRADE=1: newest versions)
	@for name in base dev accelerate; do \
		printf 'compiling requirements/%s.txt\n' "$$name"; \
		$(BIN)/pip-compile --quiet --no-header --strip-extras --annotation-style=line \
			--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
			$(if $(UPGRADE),--upgrade) --output-file "requirements/$$name.txt" "requirements/$$name.in"; \
	done

clean: ## Remove what was built and the demo's data, but never var/ itself
	rm -rf $(VENV) var/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only when its installation succeeded, so an interrupted one is done again.
$(VENV)/dev.stamp: requirements/dev.txt $(BIN)/python | $(VENV)/accelerate.stamp
	@echo "installing what development needs (requirements/dev.txt), about a minute"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $(VENV)/base.stamp $@

$(VENV)/base.stamp: requirements/base.txt $(BIN)/python | $(VENV)/accelerate.stamp
	@echo "installing what Mailmill needs (requirements/base.txt), about a minute"
	@$(PIP_INSTALL) -r requirements/base.txt
	@touch $@

# Never a reason to fail: without it OpenSSL signs. No stamp is written then, so the next make tries again.
$(VENV)/accelerate.stamp: requirements/accelerate.txt $(BIN)/python
	@if [ "$(ACCELERATE)" = no ] || [ "$$(uname -sm)" != "Linux x86_64" ] \
			|| ! grep -qsw avx512ifma /proc/cpuinfo; then \
		exit 0; \
	fi; \
	echo "installing what makes signatures three times as fast (requirements/accelerate.txt)"; \
	if $(PIP_INSTALL) --retries 1 -r requirements/accelerate.txt; then \
		touch $@; \
	else \
		echo "that failed and is not needed: OpenSSL signs (ACCELERATE=no leaves it out)" >&2; \
	fi

$(BIN)/python:
	@for python in python3.11 python3 python3.12 python3.13; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); \
				echo "venv failed: install it (Debian: apt-get install python3-venv), run make again" >&2; \
				exit 1; }; \
			exit 0; \
		fi; \
	done; \
	echo "Mailmill needs Python 3.11 or later: install it and run make again" >&2; exit 1
