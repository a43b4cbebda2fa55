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

.PHONY: install demo test check browser coverage format clean

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

coverage: install
	$(PYTEST) --cov --cov-report=term

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .coverage*
