# Everything runs in a virtual environment of its own, made on first use from a hash-checked list: requirements.txt has what
# Headgate needs, requirements-dev.txt also what its tests need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --upgrade
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
# Where Python may not keep its bytecode, every process compiles Prefect, MLflow and Great Expectations again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check lint types contracts proof bench bench-gates bench-coverage lock clean
help:            ## show the targets
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(READY)   ## install, then tell the whole story on real data
	@$(BIN)/headgate demo

test: $(DEV)   ## install, then run the tests
	@$(BIN)/python -m pytest

check: lint types contracts test  ## all that CI runs

lint: $(DEV)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(DEV)
	@$(BIN)/mypy

contracts: $(DEV)
	@$(BIN)/lint-imports

proof: $(DEV)  ## the longer proofs: simulations with more repetitions, more kill points
	@$(BIN)/python -m pytest -m proof --timeout 3600

proof-stores: $(DEV) .venv-rclone/.ready  ## `headgate store check` against rclone and Ceph (apt-get install radosgw ceph-mon ceph-osd)
	@infra/stores.sh rclone
	@infra/stores.sh ceph

bench: $(READY)  ## the figures that the README quotes
	@$(BIN)/python -m benchmarks.release --pairs 4

bench-gates: .venv-peers/.ready .venv-peers-older/.ready  ## the gates against what people use, in environments of their own
	@.venv-peers/bin/python -m benchmarks.gates $(ARGS)

bench-coverage: $(DEV)  ## how often each bound misses the truth, by simulation
	@$(BIN)/python -m benchmarks.coverage $(ARGS)

lock: $(DEV)     ## compile the lists of pinned packages from pyproject.toml again
	@$(COMPILE) --extra install pyproject.toml -o requirements.txt
	@$(COMPILE) --extra install --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@for peers in peers peers-older rclone; do $(COMPILE) benchmarks/$$peers.in -o benchmarks/requirements-$$peers.txt || exit 1; done

clean:           ## remove the environment; the records in .headgate stay
	rm -rf $(VENV)

# A list is checked by its hashes; the project itself is then installed in place, with nothing left to resolve.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes $(if $(wildcard $(DEV)),requirements-dev.txt,$<)
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
endef

$(READY): requirements.txt pyproject.toml
	$(install)

# The longer list holds the shorter one: whoever has it has both, and keeps it.
$(DEV): requirements-dev.txt requirements.txt pyproject.toml
	$(install)
	@touch $(READY)

.venv-%/.ready: benchmarks/requirements-%.txt
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install -q --disable-pip-version-check uv
	@.venv-$*/bin/uv pip sync -q --python .venv-$*/bin/python --require-hashes benchmarks/requirements-$*.txt
	@touch $@
