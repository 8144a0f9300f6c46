# Two commands are all a stranger needs: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.12 || command -v python3.11 || echo python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test ui lint check clean help
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(READY) ## materialise the whole graph on the local clouds and print the result
	@$(BIN)/mc-run

test: $(READY) ## run the tests
	@$(BIN)/pytest

ui: $(READY) ## open the graph in Dagster's UI on http://127.0.0.1:3000
	@. $(BIN)/activate && dg dev -h 127.0.0.1

lint: $(READY) ## ruff, types, and that the definitions load with nothing set
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@. $(BIN)/activate && env -i PATH="$$PATH" HOME="$$HOME" dg check defs

clean: ## stop the local clouds; delete the environment and all that was made
	@-[ -x $(BIN)/mc-local ] && $(BIN)/mc-local reset --yes
	@rm -rf .venv .local_cloud

# The environment, made again when what it is made from changes. A half-made one has no .ready.
$(READY): pyproject.toml constraints.txt
	@echo "Making the environment (.venv); the first time this downloads some gigabytes."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
	    { echo "Python 3.11 or 3.12 is needed; $(PYTHON) is `$(PYTHON) -V`. Set PYTHON=..."; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[local,dev]'
	@grep -qs '^DAGSTER_HOME=' .env || echo "DAGSTER_HOME=$(CURDIR)/.dagster" >> .env
	@touch $@
