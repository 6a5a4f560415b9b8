# `make run` and `make test` do everything on a fresh Debian or Ubuntu; both are safe to run again.

SHELL := /bin/bash
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup run test lint types load docs clean

help:  ## Say what there is.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' Makefile

setup:  ## Install the system packages that are missing, and .venv with the conductor command.
	@tools/setup.sh

run: setup  ## Serve the examples behind a real Caddy, until Ctrl-C.
	@caddy=--caddy; \
	command -v caddy >/dev/null || { caddy=; echo "Caddy is not installed: serving on Conductor's own listener."; }; \
	exec .venv/bin/conductor function serve examples/*/ $$caddy

test: setup lint types  ## Run lint, types and all tests.
	$(PYTHON) -m pytest

lint: setup  ## Check style and format.
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

types: setup  ## Check types.
	$(PYTHON) -m mypy

load: setup  ## Compare Conductor with plain Caddy and with fcgiwrap under load; about four minutes.
	$(PYTHON) -m tests.load

docs: setup  ## Make the reference pages from the code anew.
	$(PYTHON) tools/reference.py

clean:  ## Remove all that setup, tests and load tests made here.
	rm -rf .venv build dist load-report *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
