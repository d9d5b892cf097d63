# Everything runs in one virtual environment, .venv, which the first target makes.
#   make demo TORCH=torch==2.11.0     another PyTorch (remove .venv first)
#   make demo PYTHON=python3.12       another Python, 3.11 or newer
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
LABELED ?= 16
# Wheels at hand (a folder or an address that pip was told of) serve uv as well.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VIEWER := $(VENV)/.viewer
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

.PHONY: help install viewer demo lab test lint types check format clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: $(STAMP)  ## make .venv and install the project into it, when that is out of date

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "SSMIS Workbench needs Python 3.11 or newer; found no '$(PYTHON)'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(sys.version_info < (3, 11) and \
	  "SSMIS Workbench needs Python 3.11 or newer; $(PYTHON) is " + v + ": try make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python "$(TORCH)" -e '.[all,test]'
	@touch $@

viewer: $(VIEWER)  ## add napari, which `ssmis review` opens its window in

$(VIEWER): $(STAMP)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[viewer]'
	@touch $@

demo: $(STAMP)  ## train one method on synthetic scans and write a notebook with its figures: out.ipynb
	$(BIN)/papermill notebooks/02_ugmcl.ipynb out.ipynb -p labeled $(LABELED)
	@echo "Done. Open out.ipynb to see figures and tables: $(BIN)/jupyter lab out.ipynb"
	@echo "Its last lines name the run folder with weights, metrics of every case and predictions."

lab: $(STAMP)  ## open the notebooks in JupyterLab
	SSMIS_RUNS=$(CURDIR)/runs $(BIN)/jupyter lab notebooks

test: lint types  ## what every change must pass: lint, types, unit tests, every notebook on a small phantom
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(STAMP)  ## ruff, and no outputs in notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(NOTEBOOKS),$(BIN)/python -m nbstripout --verify --keep-id $(NOTEBOOKS))

types: $(STAMP)  ## mypy
	$(BIN)/mypy

check: test viewer  ## make test, then the slow tests: real presets, notebooks in a browser, napari on a screen
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 2 --dist worksteal -m slow
	$(BIN)/python -m pytest -m "browser or napari"

format: $(STAMP)  ## let ruff and nbstripout tidy the code and the notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(NOTEBOOKS),$(BIN)/python -m nbstripout --keep-id $(NOTEBOOKS))

clean:  ## remove caches (keeps .venv, data and runs)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find ssmis_core widgets tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
