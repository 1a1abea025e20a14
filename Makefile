# Run `make` to see what there is. The first `make demo` or `make test` sets up .venv; later ones
# reuse it, and install again when pyproject.toml or constraints.txt changed.

VENV := .venv
BIN := $(VENV)/bin
IS_3_11 := -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
# The first of these that is Python 3.11; another can be named: make PYTHON=/opt/bin/python3.11 test
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	"$$name" $(IS_3_11) && command -v "$$name" && break; done)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
PYTEST := $(BIN)/python -m pytest -q
# Two at a time, a file on one worker, since fixtures of a file are costly; torch alone on its core.
PAIR := OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile
FREE := not slow and not docs and not gpu and not device
BENCHMARKS := $(patsubst benchmarks/%.py,benchmarks.%,$(filter-out %/__init__.py %/interleaved.py %/plain.py,$(wildcard benchmarks/*.py)))

.NOTPARALLEL:
.PHONY: help demo test lint unit parity bare docs slow bench clean

help:
	@echo 'make demo    develop a capture, compile, check and measure the model; writes a page'
	@echo 'make test    everything that CI runs, in its order: lint unit parity bare docs'
	@echo 'make lint    ruff, mypy, import-linter'
	@echo 'make unit    the tests that need no hardware'
	@echo 'make parity  compiled and independent restatements against the networks'
	@echo 'make bare    the base install alone: imports, --help, develop'
	@echo "make docs    the documentation's commands, run as they stand"
	@echo 'make slow    the tests that take more than half a minute each'
	@echo 'make bench   the scripts in benchmarks/, each printing a table of docs/'
	@echo 'make clean   remove .venv and what the tools left'

demo: $(VENV)/demo
	$(BIN)/python tools/demo.py

test: lint unit parity bare docs

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/dev
	$(PAIR) -m '$(FREE)' --ignore=tests/parity

parity: $(VENV)/dev
	$(PAIR) -m 'not slow and not gpu and not device' tests/parity

bare: $(VENV)/dev
	$(BIN)/python tests/bare_install.py

docs: $(VENV)/dev
	$(PYTEST) -m docs tests/test_docs_commands.py

slow: $(VENV)/dev
	$(PYTEST) -m 'slow and not gpu and not device'

bench: $(VENV)/dev
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m "$$name"; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache demo_output

$(BIN)/python:
	@'$(PYTHON)' $(IS_3_11) || { echo 'error: no Python 3.11 here$(if $(PYTHON),: $(PYTHON) is another,' \
	'under the names python3.11 python3 python); install it, or name it: make PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear $(VENV) || { rm -rf $(VENV); echo 'error: $(PYTHON) cannot make a' \
	'virtual environment; on Debian and Ubuntu: apt-get install python3.11-venv' >&2; exit 1; }

# Enough to develop, compile and measure.
$(VENV)/demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into $(VENV) (torch and its libraries: about 5 GB, a few minutes)'
	$(INSTALL) '.[onnx,executorch]'
	@touch $@

# All of it, with the tools that the tests use.
$(VENV)/dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into $(VENV) (everything: about 7 GB, a few minutes)'
	$(INSTALL) '.[dev]'
	$(BIN)/python -m pip check
	@touch $(VENV)/demo $@
