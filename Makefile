# Thin: each target is a script. Settings: see scripts/environment.sh.
.PHONY: help setup demo test check chaos bench bench-claims image clean-engine clean

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## set everything up for work on assay itself
	@scripts/setup.sh test

demo: ## set up what is missing, and take the example ticket all the way (DECISIONS=FILE, DOCKER=no-install)
	@scripts/demo.sh $(if $(DECISIONS),--decisions '$(DECISIONS)')

test: ## set up what is missing, and run every check and every test, with real Docker
	@scripts/test.sh

check: ## the checks that need no engine: lint, format, types, imports, lengths
	@scripts/check.sh

chaos: ## only the tests that kill the program at every point
	@scripts/setup.sh test && .venv/bin/pytest -m chaos

bench: ## the benchmarks, each of which prints a table
	@scripts/bench.sh

bench-claims: ## assay-bench: who accepts false claims and turns true ones away (SAMPLE=100, OPTIONS='--levels C')
	@scripts/bench_claims.sh $(if $(SAMPLE),--sample $(SAMPLE)) $(OPTIONS)

image: ## build the sandbox image anew
	@scripts/setup.sh image

clean-engine: ## stop the Docker engine that make started, and no other
	@scripts/clean-engine.sh

clean: ## remove what was built here: the virtual environment and caches
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
