# Two commands: `make demo` and `make test`. Both make their own virtual environment, .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: install demo test check format clean

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

test: install check

# One thread a process: two test processes of two threads each would wait for each other on two cores.
# The poorest locale: a file read or written without saying its encoding fails here, not on a hospital's machine.
check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $(BIN)/pytest -n 2 -m "not slow and not gpu" --cov --cov-report=term

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .coverage*
