# Two commands: `make demo` and `make test`. Both make their own virtual environment, .venv. As root, `make browser`
# installs the browser that the tests of pages need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
# One thread a process: two test processes of two threads each would wait for each other on two cores.
# The poorest locale: a file read or written without saying its encoding fails here, not on a hospital's machine.
POOR := LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0
PYTEST := OMP_NUM_THREADS=1 $(POOR) $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu"

.PHONY: install demo test check browser docs notebooks coverage format clean

install: $(VENV)/installed

# dynamic-network-architectures asks for timm and so for torchvision, which its U-Nets never import: hence --no-deps.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "modelsgenesis needs Python 3.11 or newer; run make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps dynamic-network-architectures
	touch $@

demo: install
	$(BIN)/genesis demo $(DEMO)
	@echo 'the command genesis is in $(VENV); to use it in this shell: . $(BIN)/activate'

test: install check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

# The tests of pages run in a real Chromium where there is one, and say that they skip where there is none.
browser:
	command -v chromium || { apt-get update && apt-get install --yes --no-install-recommends chromium; }

# A site in build/site, which loads nothing from elsewhere; a link that leads nowhere is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'open build/site/index.html; to search it too: $(BIN)/python -m http.server --directory build/site --bind 127.0.0.1'

# What Jupyter opens, of the scripts in docs/notebooks.
notebooks: install
	mkdir -p build/notebooks
	for one in docs/notebooks/*.py; do \
	    $(BIN)/jupytext --to ipynb --output build/notebooks/$$(basename $$one .py).ipynb $$one || exit 1; done

coverage: install
	$(PYTEST) --cov --cov-report=term

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .coverage*
