# Every target sets up what it needs: Debian packages (as root), Python environments and the lab's
# images, the latter two in $XDG_CACHE_HOME/dockerstorage. 'make' alone explains the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= /usr/bin/python3
ARGS ?=
# How many guests' tests run side by side: a guest keeps to one CPU.
LAB_WORKERS ?= 2
# Where 'make test' collects the counts of the runs; empty: no report is written.
REPORTS ?=

# In a recipe: $(call in,3008) names the environment of that Salt, made on first use.
in = $$($(PYTHON) tests/environments/prepare.py $(1))
# Seconds, then a command. It is interrupted like by Ctrl-C, so that fixtures clean up.
limit = timeout --foreground --signal=INT --kill-after=120 $(1)
# Seconds, name of the report, and the tests. One that stands still for long shows where.
pytest = $(call limit,$(1)) "$$venv/bin/python" -m pytest -o faulthandler_timeout=600 \
	$(if $(REPORTS),--junitxml=$(REPORTS)/$(2).xml) $(3) $(ARGS)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  ARGS='...' is handed to pytest, as in: make lab ARGS='-k prune -x'"
	@echo "  LAB_WORKERS=0 runs the lab's tests one after the other, with their output"
	@echo "  PYTHON=... makes the environments with another Python than $(PYTHON)"

.PHONY: check
check: lint types unit docs ## format, lint, types, unit tests, handbook: about a minute

.PHONY: lint
lint: packages
	@venv=$(call in,3008)
	"$$venv/bin/ruff" format --check .
	"$$venv/bin/ruff" check .

.PHONY: types
types: packages
	@venv=$(call in,3008)
	$(call limit,300) "$$venv/bin/mypy"

.PHONY: unit
unit: packages
	@venv=$(call in,3008)
	$(call pytest,300,unit,tests/unit -n 2 --dist worksteal)

.PHONY: docs
docs: packages ## the handbook, in build/site; its links are checked
	@venv=$(call in,3008)
	$(call limit,300) "$$venv/bin/sphinx-build" -q -W --keep-going -d build/doctrees docs build/site

.PHONY: browser
browser: packages ## the fleet's page in headless Chromium
	@venv=$(call in,3008)
	$(call pytest,300,browser,tests/browser)

.PHONY: test
test: packages ## everything: check, functional on Salt 3006 and 3008, lab
	@$(PYTHON) tests/environments/suite.py lint types unit docs \
		functional-3006+functional-3008+lab-images browser lab

.PHONY: test-3007
test-3007: functional-3007 ## the functional tests on Salt 3007 (best effort)

.PHONY: functional
functional: packages ## the extension in real minions of Salt 3006 and 3008, on this machine
	@$(PYTHON) tests/environments/suite.py functional-3006+functional-3008

.PHONY: functional-3006 functional-3007 functional-3008
functional-3006 functional-3007 functional-3008: functional-%: packages
	@venv=$(call in,$*)
	$(call pytest,1800,functional-$*,tests/functional)

.PHONY: lab
lab: packages lab-images ## the tests on a real devicemapper host, a guest of this machine
	@venv=$(call in,3008)
	$(call pytest,4600,lab,tests/lab -n $(LAB_WORKERS) --dist loadfile --no-loadscope-reorder)

.PHONY: lab-images
lab-images: packages
	@venv=$(call in,3008)
	$(call limit,1800) "$$venv/bin/python" -m tests.lab.build >/dev/null

.PHONY: demo
demo: packages lab-images ## see it work on a disposable devicemapper host
	@venv=$(call in,3008)
	$(call limit,1200) "$$venv/bin/python" -m tests.lab.demo

.PHONY: bench
bench: packages lab-images ## the benchmarks, one table
	@venv=$(call in,3008)
	PYTHONPATH=_utils $(call limit,5400) "$$venv/bin/python" -m benchmarks

.PHONY: packages
packages:
	@tests/environments/packages

.PHONY: clean
clean: ## remove what runs left in this directory
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: clean-cache
clean-cache: ## remove the Python environments and the lab's images as well
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/dockerstorage"
