# Every target sets up what it needs; a second run of any of them does no set-up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DETECTRON2 := detectron2 @ git+https://github.com/facebookresearch/detectron2.git@02b5c4e295e990042a714712c21dc79b731e8833

.PHONY: help setup setup-detectron2 demo test check format bench clean
help: ## the targets and what they do
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(READY) ## a virtual environment with the project, from the package index alone

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

setup-detectron2: $(VENV)/.ready-detectron2 ## adds detectron2, built from source against the installed torch

$(VENV)/.ready-detectron2: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt wheel ninja
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation '$(DETECTRON2)'
	touch $@
