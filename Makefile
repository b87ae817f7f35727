# make demo   set up and run the main job on the scene that ships
# make test   set up and run the tests; what needs torch or Chromium skips with the reason
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test test-all lint viewer clean

$(VENV)/.core: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("im2dem needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.all: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train,browser,data,gee,dask,serve,video]'
	touch $@

demo: $(VENV)/.core
	$(BIN)/im2dem demo --out demo-output

test: $(VENV)/.test
	$(BIN)/python -m pytest -q

test-all: $(VENV)/.all
	$(BIN)/python -m pytest -q

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

viewer:
	cd viewer && npm ci --no-audit --no-fund && npm run build

clean:
	rm -rf $(VENV) demo-output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
