# Everything runs in a virtual environment of its own, made on first use from the hash-checked requirements.txt.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Where Python may not keep its bytecode, every process compiles Prefect, MLflow and Great Expectations again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check lint types contracts proof bench bench-gates bench-coverage lock clean
help:            ## show the targets
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(READY)   ## install, then tell the whole story on real data
	@$(BIN)/headgate demo

test: $(READY)   ## install, then run the tests
	@$(BIN)/python -m pytest

check: lint types contracts test  ## all that CI runs

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)
	@$(BIN)/mypy

contracts: $(READY)
	@$(BIN)/lint-imports

proof: $(READY)  ## the longer proofs: simulations with more repetitions, more kill points
	@$(BIN)/python -m pytest -m proof --timeout 3600

proof-stores: $(READY) .venv-rclone/.ready  ## `headgate store check` against rclone and Ceph (apt-get install radosgw ceph-mon ceph-osd)
	@infra/stores.sh rclone
	@infra/stores.sh ceph

bench: $(READY)  ## the figures that the README quotes
	@$(BIN)/python -m benchmarks.release --pairs 4

bench-gates: .venv-peers/.ready .venv-peers-older/.ready  ## the gates against what people use, in environments of their own
	@.venv-peers/bin/python -m benchmarks.gates $(ARGS)

bench-coverage: $(READY)  ## how often each bound misses the truth, by simulation
	@$(BIN)/python -m benchmarks.coverage $(ARGS)

lock: $(READY)   ## compile requirements.txt from pyproject.toml again
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --extra dev --upgrade \
	  pyproject.toml -o requirements.txt
	@for peers in peers peers-older rclone; do $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
	  --upgrade benchmarks/$$peers.in -o benchmarks/requirements-$$peers.txt || exit 1; done

clean:           ## remove the environment; the records in .headgate stay
	rm -rf $(VENV)

# The list is checked by its hashes; the project itself is then installed in place, with nothing left to resolve.
$(READY): requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv-%/.ready: benchmarks/requirements-%.txt
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install -q --disable-pip-version-check uv
	@.venv-$*/bin/uv pip sync -q --python .venv-$*/bin/python --require-hashes benchmarks/requirements-$*.txt
	@touch $@
