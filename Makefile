# Two commands do everything on a fresh machine: `make eval` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A process for each core, of one thread each: small models gain nothing from more.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

# Real corpora are read from SEQMEM_DATA; a shared/data folder beside the checkout is used when there is one.
ifneq ($(wildcard ../shared/data),)
export SEQMEM_DATA ?= $(abspath ../shared/data)
endif

.PHONY: eval test test-slow check ci regression lint lint-page types hooks benchmarks board docs findings clean

eval: $(STAMP)  ## train two models on the smoke suite and print the board
	$(BIN)/seqmem eval lstm tcn --suite smoke

test: $(STAMP)  ## every test but the slow ones; under ten minutes on two cores
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)  ## the tests that train for real, or kill machines
	$(PYTEST) -m slow

check: lint types docs test test-slow  ## what a change must pass

ci: check regression  ## what continuous integration runs

regression: $(STAMP)  ## whether every baseline still learns what it did; a few minutes
	OMP_NUM_THREADS=1 $(BIN)/seqmem check --suite smoke --jobs 2

lint: lint-page  ## style, spelling, and the layers of architecture: a room imports only those below it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/codespell

lint-page: $(STAMP)  ## the script of the page, as one text
	mkdir -p build
	$(BIN)/python -c 'from seqmem.leaderboard.page.document import script; print(script())' > build/page.js
	$(BIN)/oxlint --no-ignore --format unix build/page.js

types: $(STAMP)
	$(BIN)/mypy
	cd benchmarks && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache *.py

hooks: $(STAMP)  ## run the quick checks before each commit (needs git)
	$(BIN)/pre-commit install

benchmarks: $(STAMP)  ## the figures of docs/performance.md; about two hours, and needs the corpora
	for name in coverage cost exact_mode growth training; do $(BIN)/python benchmarks/$$name.py || exit 1; done

board: $(STAMP)  ## write the generated parts of README.md and docs/ again, from the committed records
	$(BIN)/python docs/generate.py

docs: $(STAMP)  ## build the documentation in build/site; a warning, such as a dead link, is an error
	$(BIN)/python docs/site.py

findings: $(STAMP)  ## write docs/findings.md and its charts again, from the committed records
	$(BIN)/python docs/findings.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("seqmem needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + ": run make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) results build *.egg-info .mypy_cache .ruff_cache .pytest_cache
