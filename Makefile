# Two commands: `make run` trains and writes a report, `make test` checks everything. Both set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=

.PHONY: run test full lint types contract docs unit trl-oldest job triton clean verl-test

run: .venv/run.done
	$(BIN)/entrostat run $(ARGS)

test: .venv/test.done
	@$(MAKE) --no-print-directory lint types contract docs unit trl-oldest job

# Everything there is, before a change is called done: every TRL release, verl and Triton too. More than an hour.
full: test trl-releases verl-test triton

# torch goes first and alone: every later package finds it installed and leaves it as it is.
.venv/run.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "entrostat needs Python 3.11 or newer; set PYTHON=..."; exit 2; }
	@echo "Setting up .venv (once; a few minutes)"
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable '.[run]'
	@touch $@

# reasoning-gym needs a C compiler; without one its two tests skip and say so.
.venv/test.done: .venv/run.done
	$(PIP) install --constraint constraints.txt --editable '.[run,dev,docs]'
	@$(PIP) install --constraint constraints.txt reasoning-gym || echo "reasoning-gym could not be built: its tests will skip"
	@touch $@

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/pyright

contract:
	$(BIN)/lint-imports

# The site, in site/: a dead link, an unlisted page or anything loaded from a network fails. `mkdocs serve` shows it.
docs:
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

unit:
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile $(PYTEST)

# The real command line, three steps of two recipes, in a directory of its own.
job:
	rm -rf .venv/job && $(BIN)/entrostat run --steps 3 --recipe none --recipe aent --out .venv/job
	$(BIN)/entrostat report .venv/job --out .venv/job/again.html
	$(BIN)/entrostat cite .venv/job

# The Triton kernels without a GPU: in Triton's interpreter, then compiled ahead of time. About 10 minutes.
triton: .venv/triton.done
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 .venv/triton/bin/python -m pytest tests/ops -k triton -p no:cacheprovider
	.venv/triton/bin/python -m pytest tests/ops/test_triton_compiles.py -p no:cacheprovider
	.venv/triton/bin/python benchmarks/triton_resources.py benchmarks/results/triton_resources.csv

.venv/triton.done: .venv/test.done
	$(PYTHON) -m venv .venv/triton
	.venv/triton/bin/python -m pip --quiet install --constraint constraints.txt torch
	.venv/triton/bin/python -m pip --quiet install --constraint constraints.txt --editable '.[run,dev]' triton==3.9.0
	@touch $@

# The tests of the TRL integration with every release line in range, each in an environment of its own (not in `test`).
# At most three lines are kept in range; today there are two.
TRL_RELEASES ?= 1.15 1.16

# The first of them is part of `test` too, but for its slow tests: laid over .venv, since what else it needs is the same.
trl-oldest: .venv/trl-oldest.done
	PYTHONPATH=$(CURDIR)/.venv/trl-oldest OMP_NUM_THREADS=1 \
		$(BIN)/pytest -n 2 --dist loadfile -p no:cacheprovider -m "not slow" tests/integrations/trl

.venv/trl-oldest.done: .venv/test.done
	rm -rf .venv/trl-oldest
	$(PIP) install --no-deps --target .venv/trl-oldest 'trl==$(firstword $(TRL_RELEASES)).*'
	@touch $@

trl-releases: $(TRL_RELEASES:%=.venv/trl-%.done)

.venv/trl-%.done: .venv/run.done
	rm -rf .venv/trl-$* && $(PYTHON) -m venv .venv/trl-$*
	grep -v '^trl==' constraints.txt > .venv/trl-$*/constraints.txt
	.venv/trl-$*/bin/python -m pip --disable-pip-version-check --quiet install --constraint .venv/trl-$*/constraints.txt \
		--editable '.[run]' 'trl==$*.*' pytest hypothesis peft pillow
	OMP_NUM_THREADS=1 .venv/trl-$*/bin/python -m pytest tests/integrations/trl
	.venv/trl-$*/bin/python docs/make_compatibility.py

# The verl plug-in against verl itself, in an environment of its own (not in `test`; docs/verl.md says why and how long).
verl-test: .venv/verl.done
	OMP_NUM_THREADS=1 .venv/verl/bin/python -m pytest tests/integrations/verl -p no:cacheprovider

.venv/verl.done: pyproject.toml constraints-verl.txt
	$(PYTHON) -m venv .venv/verl
	.venv/verl/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints-verl.txt torch
	.venv/verl/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints-verl.txt \
		--editable '.[verl]' pytest hypothesis
	@touch $@

clean:
	rm -rf .venv build dist site
