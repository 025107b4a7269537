# Every target sets up what it needs; a second run of any of them does no set-up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DETECTRON2 := $(VENV)/.ready-detectron2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DETECTRON2_SOURCE := https://github.com/facebookresearch/detectron2.git
DETECTRON2 := detectron2 @ git+$(DETECTRON2_SOURCE)@02b5c4e295e990042a714712c21dc79b731e8833

# the demo's rows: NAME=CONFIG
DEMO := "Focal Loss=configs/torchvision/retinanet.py:shapes_focal" \
        "Cross-entropy=configs/torchvision/retinanet.py:shapes_cross_entropy" \
        "Sampling-Free=configs/torchvision/retinanet.py:shapes"
DEMO_FULL := "Focal Loss of torchvision=configs/torchvision/retinanet.py:shapes_baseline" \
        "Sampling-Free v1=configs/torchvision/retinanet.py:shapes_v1" \
        "Released code=configs/torchvision/retinanet.py:shapes_released" \
        "Bias initialisation only=configs/torchvision/retinanet.py:shapes_bias_only" \
        "Guided scaling only=configs/torchvision/retinanet.py:shapes_guided_only" \
        "Faster R-CNN biased=configs/torchvision/faster_rcnn.py:shapes_baseline" \
        "Faster R-CNN Sampling-Free=configs/torchvision/faster_rcnn.py:shapes"
# schedules are shares of the run, so they shrink with it
DEMO_SHORT := -- train.max_iter=700 train.eval_period=350
QUICK_DATA := settings='{size: 64, num_train: 64, num_val: 16}'
DEMO_QUICK := -- train.max_iter=30 train.eval_period=30 model.weights_backbone=null \
        $(foreach split,train test,dataloader.$(split).dataset.root=output/data/shapes-quick dataloader.$(split).dataset.$(QUICK_DATA))

.PHONY: help setup setup-detectron2 demo test test-gpu fuzz check format wheel-check docs bench clean
help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(READY) ## a virtual environment with the project, from the package index alone

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: Python 3.10 or newer is needed; say which with make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV): a download of about 3 GB, most of it torch; minutes, silent until done, once."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev]'
	@touch $@

setup-detectron2: $(READY_DETECTRON2) ## adds detectron2, built against the installed torch; needs git and a C++ compiler

# Built anew whenever constraints.txt changes: a build fits one torch only, so none is taken from pip's cache.
$(READY_DETECTRON2): constraints.txt | $(READY)
	@for tool in git $(CXX); do command -v $$tool >/dev/null || \
	  { echo "error: building detectron2 needs $$tool; install it" >&2; exit 1; }; done
	@echo "Building detectron2 from source: about two minutes, silent until done, once."
	$(PIP) wheel --editable '.[detectron2]'
	$(BIN)/python -m pip uninstall --quiet --quiet --yes detectron2
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) --no-cache-dir --no-build-isolation '$(DETECTRON2)'
	@touch $@

demo: $(READY) ## train RetinaNet three ways on generated images and compare; FULL=1 for more rows, QUICK=1 for a glance
ifdef QUICK
	$(BIN)/python -m sampling_free.commands.compare --output output/demo-quick \
	  "Sampling-Free=configs/torchvision/retinanet.py:shapes" $(DEMO_QUICK)
else ifdef FULL
	$(BIN)/python -m sampling_free.commands.compare --output output/demo-full $(DEMO) $(DEMO_FULL)
else
	$(BIN)/python -m sampling_free.commands.compare --output output/demo $(DEMO) $(DEMO_SHORT)
endif

test: $(READY) ## run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-gpu: $(READY) ## run what only a GPU can tell; a few minutes, skipped by name without one
	$(BIN)/python -m pytest tests/gpu

N ?= 10000
fuzz: $(READY) ## read N damaged files of each kind (default 10000), SEED=0; half an hour
	$(BIN)/python -X faulthandler -m tests.fuzz $(N) --seed $(or $(SEED),0)

check: $(READY) ## lint, format, types, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_house.py

format: $(READY) ## format and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## build the documentation's site into build/site; a broken link is an error
	$(BIN)/python tools/build_docs.py

wheel-check: $(READY) ## build the wheel and use it from an unrelated folder
	tools/check_wheel.sh $(BIN)/python

bench: $(READY) ## time losses and training steps beside what they replace; detectron2's too, where it is installed
	$(BIN)/python -m tools.bench --write docs/benchmarks.md

clean: ## remove the virtual environment and caches; what was trained, in output/, stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
