# The two commands of the README are `make run` and `make test`; each sets up what it needs.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
# Most tests wait for containers and agents, so more run at once than there are cores.
WORKERS ?= 4

.PHONY: run test lint types floors unit bench image cluster cluster-down clean

run: .venv/ready
	$(BIN)/minikubelet run --config config/kubelet-config.yaml

test: lint types floors unit

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy minikubelet tests $(if $(wildcard bench/*.py),bench)

floors: .venv/ready
	$(BIN)/lint-imports

unit: .venv/ready
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --cov --cov-report=term-missing:skip-covered --cov-fail-under=100

# A short set of benchmarks, a few minutes; all of them, and the bars, are in bench/README.md.
bench: .venv/ready
	$(BIN)/python -m bench step --events 10000 --runs 3
	$(BIN)/python -m bench journal --seconds 2
	$(BIN)/python -m bench merge --runs 3
	$(BIN)/python -m bench decode --runs 3
	$(BIN)/python -m bench watch --changes 20
	$(BIN)/python -m bench startup --runs 3
	$(BIN)/python -m bench memory --pods 0 --pods 110 --idle 10
	$(BIN)/python -m bench churn --runtime process --pods 10
	$(BIN)/python -m bench churn --pods 100 --rate 50 --seconds 10

# The agent in an image; with BASE=NAME on that base, else on one made of this machine's packages.
image: .venv/ready
	BASE=$(BASE) tools/image.sh

# A stub API server and three agents in containers on one Docker engine; cluster-down takes everything away,
# the image and its base too. tools/cluster.sh down keeps these, for a faster start.
cluster: image
	tools/cluster.sh up

cluster-down:
	tools/cluster.sh down
	BASE=$(BASE) tools/image.sh --remove

# An environment that works is kept and only brought up to date: making it anew over the old one with
# another Python would mix the two.
.venv/ready: pyproject.toml
	@$(BIN)/python -c 'import pip, ssl' 2>/dev/null || { \
		test -n "$(PYTHON)" || { echo "minikubelet needs Python 3.11 or later with venv; none was found on PATH" >&2; exit 1; }; \
		echo "making .venv with $(PYTHON)"; $(PYTHON) -m venv --clear .venv; }
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist
