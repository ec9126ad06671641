# Needs python3 (3.11 or newer), make and git. `make` alone lists the targets.
# Pass more to a program with ARGS="...".

PYTHON ?= python3
SEEDS ?= 100
UV := uv==0.13.9
SCHEMATHESIS := schemathesis==4.32.5
BIN := .venv/bin
READY := .venv/.ready
COVERING := tests/unit tests/contract $(patsubst %,tests/integration/test_%.py,replica repair graph_ledger past)

.DEFAULT_GOAL := help
.PHONY: help demo serve test check fmt sim faults faults-long outside coverage bench storm idle hostile fuzz generate sdl lock clean bench-growth bench-finding bench-peers bench-rules bench-standing bench-metrics bench-segments

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Two branches and head office, offline and back, in one process
	$(BIN)/python examples/demo.py $(ARGS)

serve: $(READY) ## Run the server
	$(BIN)/regulars serve $(ARGS)

test: $(READY) ## Run the tests, a file on each core; ARGS="-n0 -x tests/unit" for one process
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(READY) ## Lint, format, types, import rules, breaking changes of the SDL; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python schema/compare_graphql.py

fmt: $(READY) ## Format, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

sim: $(READY) ## Simulate chains: SEED=7 replays one, SEEDS=1000 runs many
	PYTHONPATH=. $(BIN)/python tests/simulation/run.py $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

faults: $(READY) ## Real processes, sockets and disks, kill -9, minutes; ARGS="--seed 2 --engine postgres"
	PYTHONPATH=. $(BIN)/python tests/faults/run.py $(ARGS)

faults-long: $(READY) ## The same for a night: 48 runs with partitions of 100 to 300 s, then kills until stopped
	PYTHONPATH=. $(BIN)/python tests/faults/run.py --long $(ARGS)

sim-long: $(READY) ## Simulate in both lanes until stopped; each run adds a line to docs/PROOF.md
	PYTHONPATH=. $(BIN)/python tests/simulation/run.py --for-ever $(ARGS)

mutants: $(READY) ## Break sync, storage and rules one promise at a time: do the tests notice?
	PYTHONPATH=. $(BIN)/python tests/mutants.py $(ARGS)

outside: $(READY) ## Stock GraphQL clients and audits against a real server; needs node and npm
	PYTHONPATH=. $(BIN)/python tests/outside/run.py $(ARGS)

coverage: $(READY) ## Branch coverage of sync/; fails under 95 %
	PYTHONPATH=. $(BIN)/coverage run -m pytest -q $(COVERING) $(ARGS)
	$(BIN)/coverage report --include='sync/*' --fail-under=95

bench: $(READY) ## Measure
	PYTHONPATH=. $(BIN)/python bench/run.py $(ARGS)

storm: $(READY) ## 9:00: 2,000 tablets come back at once; ARGS="--tablets 200"
	PYTHONPATH=. $(BIN)/python bench/storm.py $(ARGS)

idle: $(READY) ## 10,000 tablets that only listen: memory of each, and how soon they are told
	PYTHONPATH=. $(BIN)/python bench/idle.py $(ARGS)

bench-standing: $(READY) ## Measure how soon a new interaction moves its customer; ARGS="--customers 20000 --sweeping"
	PYTHONPATH=. $(BIN)/python -m bench.standing $(ARGS)

bench-metrics: $(READY) ## Measure what keeping metrics adds to a push; a minute or two
	PYTHONPATH=. $(BIN)/python -m bench.metrics $(ARGS)

bench-rules: $(READY) ## Measure what the rules of one customer cost; seconds
	PYTHONPATH=. $(BIN)/python -m bench.rules $(ARGS)

bench-finding: $(READY) ## What rules cost a tablet of 50,000 customers; ARGS="--customers 5000"
	PYTHONPATH=. $(BIN)/python -m bench.finding $(ARGS)

bench-growth: $(READY) ## Measure chains of 10 k, 100 k and 1 M rows; some twenty minutes
	PYTHONPATH=. $(BIN)/python -m bench.growth $(ARGS)

bench-peers: $(READY) ## Measure PostGraphile, Kinto and PouchDB at the same work; needs node and npm
	PYTHONPATH=. $(BIN)/python -m bench.peers $(ARGS)

hostile: $(READY) ## Send a real server what is made to hurt; a table of what it cost
	PYTHONPATH=. $(BIN)/python -m bench.hostile $(ARGS)

fuzz: $(READY) ## Some 2,000 operations by schemathesis for each of three tokens; ARGS="--each 3"
	$(PYTHON) -m venv build/fuzz
	build/fuzz/bin/python -m pip install --quiet $(SCHEMATHESIS)
	PYTHONPATH=. $(BIN)/python tests/outside/fuzz.py $(ARGS)

generate: $(READY) ## Write what follows from the declared entities and the protocol
	$(BIN)/python schema/generate.py $(ARGS)
	PYTHONPATH=. $(BIN)/python tests/recorded/exchanges.py $(ARGS)

sdl: $(READY) ## Export the GraphQL schema, and docs/API_REFERENCE.md from it
	$(BIN)/python -m regulars_server.graph.export

lock: ## Pin every dependency in requirements.lock; ARGS=--upgrade for newer ones
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(UV)
	build/lock/bin/uv pip compile pyproject.toml --extra server --extra postgres --extra parquet --extra card --extra telemetry --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--quiet --output-file requirements.lock $(ARGS)

clean: ## Remove what was built, .venv too
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
