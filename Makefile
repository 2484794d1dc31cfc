# make demo    fresh machine → everything installed, the permit story run, the exchange log verified
# make test    fresh machine → every check and every test
# make attack  the catalogue of attacks against a running hub, printed as a table
# make drills  adversary drills on the exchange log: what was done, who noticed, by what code
# make failures a cluster of PostgreSQL and four nodes, and whatever can happen to them, for MINUTES=10
# make install the set-up alone: .venv with locked, hash-checked dependencies and the gateway command
# make fuzz    look for inputs that break a rule, for MINUTES=10 altogether; see tests/README.md
.DEFAULT_GOAL := help
.PHONY: help install install-test demo test attack drills faults failures lint style types imports collect fuzz lock clean
PYTHON ?= python3
BIN := .venv/bin
# A variable that some images set: every start of the gateway would compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed -n '1,7s/^# //p' Makefile

.venv/bin/python:
	@deploy/prepare "$(PYTHON)"
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-test: .venv/installed requirements-test.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-test.lock
	@touch $@

.venv/installed-fuzz: .venv/installed-test requirements-fuzz.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-fuzz.lock
	@touch $@

install: .venv/installed

install-test: .venv/installed-test

demo: install
	$(BIN)/gateway demo

lint: style types imports

style: install-test
	$(BIN)/ruff check gateway tests
	$(BIN)/ruff format --check --quiet gateway tests

types: install-test
	$(BIN)/mypy

imports: install-test
	$(BIN)/lint-imports --no-logo

# Finds the tests, and compiles them once for all processes that run them.
collect: install-test
	@found=$$($(BIN)/pytest --collect-only -qq) || { echo "$$found"; exit 1; }

test: install-test
	@deploy/prepare --test "$(PYTHON)"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint collect
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 $(SHARED) --cov=gateway --cov-branch --cov-report= $(PYTEST) $(MEASURED)
	$(BIN)/coverage report --include='$(PURE)' --fail-under=90
	$(BIN)/pytest -n 5 $(SHARED) $(PYTEST) $(MEASURED:%=--ignore=%)

MINUTES ?= 10
fuzz: .venv/installed-fuzz
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(TARGETS)

# Every attack of the catalogue against a running hub, as a table.
attack: install-test
	$(BIN)/python -m tests.attacks

drills: install-test
	$(BIN)/python -m tests.drills

# A failing disk, a full one, and a sudden end at every system call of the store; some minutes.
faults: install-test
	@deploy/prepare --test "$(PYTHON)"
	$(BIN)/python -m tests.faults

# Troubles of the database, the network and the nodes in an order of chance; SEED=n repeats one.
failures: install-test
	@deploy/prepare --test "$(PYTHON)"
	$(BIN)/python -m tests.postgres --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# The tests of the pure middle measure its coverage; counting lines doubles the time of a test, and some do without.
MEASURED := tests/rules tests/path
# A file is one process's, for what its tests share; the longest begin first (tests/conftest.py).
SHARED := --dist loadfile --no-loadscope-reorder
PURE := gateway/soap/*,gateway/wss/*,gateway/agreement/*,gateway/exchangelog/*,gateway/identity/*,gateway/policy/*,gateway/broker/*,gateway/refusal.py,gateway/model.py

# Rewrite the lock files from pyproject.toml; needs uv. Extras stay in the test lock: pip 23 takes the newest
# coverage for pytest-cov's coverage[toml], whatever is pinned for coverage, and then refuses it for want of a hash.
lock:
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --extra build pyproject.toml -o requirements.lock
	uv pip compile -q --generate-hashes --universal --no-strip-extras --python-version 3.11 --no-header --extra build --extra test pyproject.toml -c requirements.lock -o requirements-test.lock
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --group fuzz -o requirements-fuzz.lock

clean:
	rm -rf .venv .node .foreign var .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
