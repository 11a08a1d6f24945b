# Two commands set everything up on a fresh machine: make run, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo certs test check lint types contracts rules stories fast processes long coverage bench bench-check certify lock clean help

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: $(VENV)/installed ## Start everything; Ctrl-C stops it
	@exec $(BIN)/python -m csms.local

demo: $(VENV)/installed ## Start everything with 20 virtual charge points
	@exec $(BIN)/python -m csms.local --demo 20

certs: $(VENV)/installed ## Make certificates for TLS under var/certs, which make run then uses
	@$(BIN)/python -m csms.development_certificates

test: $(VENV)/installed-dev ## All tests, in parts side by side
	@$(MAKE) --no-print-directory -j2 --output-sync=target processes long fast stories rules

check: $(VENV)/installed-dev lint types contracts ## Lint, types, contracts, and the fast tests side by side
	@$(MAKE) --no-print-directory -j2 --output-sync=target fast rules stories

rules: $(VENV)/installed-dev ## Tests of protocol and domain, which must cover every branch of them
	COVERAGE_FILE=.coverage.rules $(BIN)/python -m pytest -q tests/domain tests/protocol \
	  --cov=csms/domain --cov=csms/protocol --cov-report=
	COVERAGE_FILE=.coverage.rules $(BIN)/coverage report --fail-under=100

stories: $(VENV)/installed-dev ## Tests of the records, and of conversations that are cut off
	$(BIN)/python -m pytest -q -m "not e2e" tests/state tests/flows

fast: $(VENV)/installed-dev ## The other tests that start no processes
	$(BIN)/python -m pytest -q -m "not e2e" \
	  --ignore=tests/domain --ignore=tests/protocol --ignore=tests/state --ignore=tests/flows

processes: $(VENV)/installed-dev ## Tests that start the processes of the system, and kill them
	$(BIN)/python -m pytest -q tests/e2e

long: $(VENV)/installed-dev ## The other tests that open real sockets or take long
	$(BIN)/python -m pytest -q -m e2e --ignore=tests/e2e

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

contracts: $(VENV)/installed-dev
	$(BIN)/lint-imports

coverage: $(VENV)/installed-dev ## Branch coverage of everything by the fast tests
	$(BIN)/python -m pytest -q -m "not e2e" --cov --cov-report=term --cov-report=html

bench: $(VENV)/installed-dev ## Measure beside known servers; writes docs/performance.md
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.campaigns

bench-check: $(VENV)/installed-dev ## Measure, and fail when a ratio is missed
	$(BIN)/python -m bench.run --check

certify: $(VENV)/installed ## Run the conformance kit against a throw-away system; writes docs/conformance
	$(BIN)/python -m chargepoint.conformance.certify

lock: ## Compile requirements*.txt from requirements*.in (needs uv)
	uv pip compile -q requirements.in --python-version 3.11 --universal --generate-hashes --no-header -o requirements.txt
	uv pip compile -q requirements-dev.in --python-version 3.11 --universal --generate-hashes --no-header -o requirements-dev.txt

clean: ## Remove what the other targets made, but for the data under var/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python 3.11 or newer is missing. On Debian or Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another: make PYTHON=python3.11 run"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# --no-deps: the files list everything. Without it an old pip (23) looks beyond them for what is
# asked for with an extra, and refuses the newer version it finds there.
$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $@
