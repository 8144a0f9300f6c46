# Two commands are all a stranger needs: `make run` and `make test`.
# The first of these that really is 3.11 or 3.12: version managers put commands on PATH that are not.
# Before 3.11.4, which Debian 12 has not, tarfile has no filter for what an archive may do.
SUITS := -c 'import sys; sys.exit(not (3, 11, 4) <= sys.version_info[:3] < (3, 13))'
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p $(SUITS) 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
# More than the cores of a small machine: the tests mostly wait. A file's tests share what it made.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: run test faults bench bench-full ui screenshots lint clean help
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(READY) ## materialise the whole graph on the local clouds and print the result
	@$(BIN)/mc-run

test: $(READY) ## run the tests
	@$(BIN)/pytest $(WORKERS)

faults: $(READY) ## repeat every fault as often as promised; the counts are printed at the end
	@$(BIN)/pytest tests/faults --faults full $(WORKERS)

bench: $(READY) ## measure beside the walkthrough's way; writes docs/performance.md
	@$(BIN)/python benchmarks/bench.py

bench-full: $(READY) ## the same with what takes long: more seeds, 20 times the data
	@$(BIN)/python benchmarks/bench.py --full

ui: $(READY) ## open the graph in Dagster's UI on http://127.0.0.1:3000
	@. $(BIN)/activate && dg dev -h 127.0.0.1

screenshots: $(READY) ## photograph the UI for the documents; needs Chromium
	@PYTHONPATH=tests $(BIN)/python tests/e2e/screenshots.py docs/images

lint: $(READY) ## ruff, types, and that the definitions load with nothing set
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@. $(BIN)/activate && env -i PATH="$$PATH" HOME="$$HOME" dg check defs

clean: ## stop the local clouds; delete what they keep, the history and the environment
	@-[ -x $(BIN)/mc-local ] && $(BIN)/mc-local reset --yes
	@rm -rf .venv .local_cloud .env && find .dagster -mindepth 1 ! -name dagster.yaml -delete

# The environment, made again when what it is made from changes. A half-made one has no .ready.
$(READY): pyproject.toml constraints.txt
	@echo "Making the environment (.venv); the first time this downloads some gigabytes."
	@[ -n "$(PYTHON)" ] && $(PYTHON) $(SUITS) || \
	    { echo "Python 3.11.4 or later, or 3.12, is needed: install one, or name it: make PYTHON=..."; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[local,dev]'
	@grep -qs '^DAGSTER_HOME=' .env || echo "DAGSTER_HOME=$(CURDIR)/.dagster" >> .env
	@touch $@
