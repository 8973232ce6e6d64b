# Endplate: `make` alone lists what there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help demo test check soak bench lock docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): pyproject.toml requirements.lock tools/setup.py
	@$(PYTHON) tools/setup.py $(VENV)
	@touch $@

demo: $(STAMP) ## screen fhir_examples/, print the findings, write the report
	@$(BIN)/endplate screen fhir_examples/patients --as-of bundle --out reports/demo

test: $(STAMP) ## run the tests; what needs more than Python runs where it is found, the rest is listed
	@$(BIN)/python -m pytest -n auto -rs tests

check: $(STAMP) ## ruff, mypy, import-linter, the rule checker, the docs
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/endplate rules check
	@$(BIN)/endplate rules docs --check
	@$(BIN)/endplate forms check
	@$(BIN)/python -m pytest -q tests/docs

soak: $(STAMP) ## the long forms of the random and endurance tests
	@ENDPLATE_SOAK=1 $(BIN)/python -m pytest -n auto -m soak tests

bench: $(STAMP) ## the figures, as ratios against a named rival or limit
	@for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

lock: ## pin what pyproject.toml asks for
	@$(BIN)/python -m uv pip compile pyproject.toml --group dev --universal --no-header --no-annotate --quiet \
		--output-file requirements.lock

clean: ## remove what the other targets made
	rm -rf $(VENV) reports build dist
