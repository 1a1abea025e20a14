# Run `make` to list the targets. The first `make demo` or `make test` creates .venv; later ones
# reuse it, and install again if pyproject.toml or constraints.txt changed.

VENV := .venv
BIN := $(VENV)/bin
IS_SUPPORTED := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
# The newest Python that runs everything: all extras that `dev` contains have wheels for 3.11 to 3.13,
# see docs/how-to/install.md. A version gets into these lists, and into .ci/run, once they all have.
# To use another: make PYTHON=/opt/python3.11 test
NAMES := python3.13 python3.12 python3.11 python3 python
PYTHON ?= $(shell for name in $(NAMES); do "$$name" $(IS_SUPPORTED) && command -v "$$name" && break; done)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
PYTEST := $(BIN)/python -m pytest -q
# Two workers with one torch thread each; one that runs out of tests takes over half of the other's.
PAIR := OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist worksteal
PLAIN := not gpu and not device
FAST := not slow and $(PLAIN)
# The pages first: they are the longest tests.
PAGES := tests/test_docs_commands.py
UNIT := tests/end_to_end tests/papers tests/unit
API := $(BIN)/python tools/api_page.py
BENCHMARKS := $(patsubst benchmarks/%.py,benchmarks.%,$(filter-out %/__init__.py %/interleaved.py %/plain.py,$(wildcard benchmarks/*.py)))

# One target after another, but for the two checks that `test` starts together on one core each.
ifndef TOGETHER
.NOTPARALLEL:
endif
.PHONY: help demo test lint unit parity bare docs slow runner bench android test-android clean

help:
	@echo 'make demo    develop a capture; compile, verify and measure the model; write a report page'
	@echo 'make test    run all checks that CI runs: lint, bare, and unit, parity and docs in one run'
	@echo 'make lint    run ruff, mypy and import-linter'
	@echo 'make unit    run the tests that require no GPU and no phone'
	@echo 'make parity  compare the networks with compiled programs and independent restatements'
	@echo 'make bare    test the base install without extras: imports, --help, develop'
	@echo 'make docs    run the commands of the documentation unchanged; write the API pages to docs/_build/api'
	@echo 'make slow    run the slow tests, and the random searches with all of their examples'
	@echo 'make runner  build edge_runner, which runs ONNX programs on phones and boards without Python'
	@echo 'make bench   run the scripts in benchmarks/; each prints a table of docs/'
	@echo 'make android       build and sign the Android app: android_demo/app/target/edge-pipeline.apk'
	@echo 'make test-android  run the tests of the Android app on this machine'
	@echo "make clean   remove .venv, and the tools' caches and output"

demo: $(VENV)/demo
	$(BIN)/python tools/demo.py

test: $(VENV)/dev
	$(MAKE) --jobs 2 TOGETHER=yes lint bare
	$(API)
	$(PAIR) -m '$(FAST)' $(PAGES) tests/parity $(UNIT)

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/dev
	$(PAIR) -m '$(FAST) and not docs' $(PAGES) $(UNIT)

parity: $(VENV)/dev
	$(PAIR) -m '$(FAST)' tests/parity

bare: $(VENV)/dev
	$(BIN)/python tests/bare_install.py

docs: $(VENV)/dev
	$(API)
	$(PAIR) -m docs $(PAGES)

slow: $(VENV)/dev
	$(PYTEST) -m 'slow and $(PLAIN)'
	$(PAIR) -m 'hypothesis and $(FAST)' --hypothesis-profile=thorough

# Only the standard library: CI builds it before the environment exists.
runner:
	'$(PYTHON)' -m tools.build_runner

bench: $(VENV)/dev
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m "$$name"; done

# Maven keeps what it has downloaded (0.7 GB) in ~/.m2. The APK contains the shipped networks, compiled
# for LiteRT.
android: $(VENV)/dev
	android_demo/tools/prepare_assets.sh $(BIN)/edge-pipeline
	cd android_demo && mvn -B -q -DskipTests -Dapk.skip=false package

test-android:
	cd android_demo && mvn -B -q -Dapk.skip=true test

clean:
	rm -rf android_demo/*/target android_demo/app/build
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache demo_output docs/_build

$(BIN)/python:
	@'$(PYTHON)' $(IS_SUPPORTED) || { echo 'error: Python 3.11, 3.12 or 3.13 not found: $(if $(PYTHON),$(PYTHON) is another' \
	'version,none of the commands $(NAMES) is one of these); install one, or give its path: make PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear $(VENV) || { rm -rf $(VENV); echo 'error: $(PYTHON) cannot create a virtual' \
	"environment; on Debian and Ubuntu: apt-get install python$$('$(PYTHON)' -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" >&2; exit 1; }

# The packages that developing, compiling and measuring require.
$(VENV)/demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into $(VENV) (torch and its libraries: about 5 GB, a few minutes)'
	$(INSTALL) '.[onnx,executorch]'
	@touch $@

# All packages, and the tools that the tests use.
$(VENV)/dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into $(VENV) (everything: about 7 GB, a few minutes)'
	$(INSTALL) '.[dev]'
	$(BIN)/python -m pip check
	@touch $(VENV)/demo $@
