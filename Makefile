# Every verb of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --quiet

# Tests of each AREA at full counts; an area is a list of folders or files under tests/.
DEEP_store := tests/service/store tests/service/api tests/fhir_profiles tests/scenarios/test_crash.py
DEEP_search := tests/service/search tests/service/interactions
DEEP_access := tests/service/access tests/service/auth tests/scenarios/non_interference tests/scenarios/openid
DEEP_adt := tests/adt_listener tests/mappers tests/service/workflow tests/service/test_worker.py \
	tests/service/interactions/test_receive_hl7v2.py \
	$(wildcard tests/scenarios/test_adt_*.py) tests/scenarios/hl7_clients tests/scenarios/test_crash.py \
	tests/service/cli/test_files.py
DEEP_operations := tests/scenarios/operations tests/scenarios/test_lifecycle.py tests/scenarios/test_stories.py tests/service/cli tests/deploy tests/docs
DEEP_notify := tests/service/notify tests/scenarios/notify tests/service/operations/test_subscription_operations.py \
	tests/service/operations/test_own_notices.py $(wildcard tests/service/api/test_*socket*.py) \
	tests/service/cli/test_subscriptions.py tests/service/cli/test_notices.py
DEEP_referrals := $(wildcard tests/scenarios/test_referral_*.py) tests/scenarios/test_partner.py $(wildcard tests/service/workflow/test_referral*.py) \
	$(wildcard tests/service/workflow/test_chain*.py) $(wildcard tests/service/workflow/test_partner*.py) $(wildcard tests/service/workflow/test_calaim*.py) \
	$(wildcard tests/service/workflow/test_reply*.py) $(wildcard tests/service/workflow/test_measure*.py) tests/service/operations
DEEP_all := tests
AREA ?= all

# What the stamp of a set-up .venv says: locks, project file, uv and place (the scripts in .venv/bin name it).
stamp = $$(cat $(1) pyproject.toml Makefile | sha256sum | cut -c1-64)\ $(CURDIR)

# The verb as it was typed, for remedies.
TYPED := $(or $(firstword $(MAKECMDGOALS)),help)

# $(1): lock file, $(2): extra stamps that are as good. Makes .venv, installs exactly the lock, then the project itself.
# One make at a time: the lock is on this folder, so that it leaves no file and ends with its process.
define setup
	@ready() { [ -f .venv/.enlace-stamp ] && [[ "$$(cat .venv/.enlace-stamp)" == $(call stamp,$(1)) $(2) ]]; }; \
	unfetched() { echo "The packages could not be fetched." \
		"Behind a proxy or with an index of your own, set https_proxy or PIP_INDEX_URL." >&2; exit 1; }; \
	ready && exit 0; \
	set -euo pipefail; \
	if command -v flock >/dev/null; then \
		exec 9<.; \
		flock -n 9 || { echo "Another make is setting up .venv: waiting for it ..."; flock 9; }; \
		! ready || exit 0; \
	fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Enlace needs Python 3.11 or newer: say which one with 'make $(TYPED) PYTHON=/path/to/python3'." >&2; exit 1; }; \
	[ -f .venv/.enlace-stamp ] && echo "Bringing the packages in .venv up to date ..." || \
		echo "Installing the packages into .venv (once) ..."; \
	$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv || \
		{ echo "The venv module of Python is missing: install it (Debian: apt install python3-venv)." >&2; exit 1; }; \
	[[ "$$($(BIN)/uv --version 2>/dev/null)" == "uv $(UV_VERSION)"* ]] || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || unfetched; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(1) || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) || unfetched; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --reinstall-package enlace -e .; \
	printf '%s' $(call stamp,$(1)) > .venv/.enlace-stamp
endef

.PHONY: help setup setup-run lock run check test test-deep test-long bench openapi docs screenshots

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## Make .venv with all locked dependencies, developer tools included
	$(call setup,requirements-dev.lock)

setup-run:
	$(call setup,requirements.lock,|| "$$(cat .venv/.enlace-stamp)" == $(call stamp,requirements-dev.lock))

lock: ## Resolve the dependencies of pyproject.toml anew into both locks
	@[ -x $(BIN)/uv ] || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra build -o requirements.lock pyproject.toml $(LOCK_ARGS)
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra build --extra dev -c requirements.lock -o requirements-dev.lock \
		pyproject.toml $(LOCK_ARGS)

run: setup-run ## Start everything with a synthetic county: pages, API, worker, ADT feed
	@exec $(BIN)/enlace demo $(ARGS)

check: setup ## Lint, format, strict types, who imports whom, architecture tests
	@status=0; \
	for step in "ruff check ." "ruff format --check ." "mypy" "lint-imports --no-logo" "pytest -q -p no:xdist tests/architecture"; do \
		echo "== $$step"; $(BIN)/$$step || status=1; \
	done; \
	exit $$status

test: setup ## The whole test suite
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -rs \
		--durations 60 --durations-min 3 tests $(ARGS)

test-deep: setup ## Full counts of one AREA (store, search, access, adt, operations, notify, referrals), or of all
	@paths="$(wildcard $(DEEP_$(AREA)))"; \
	[ -n "$$paths" ] || { echo "AREA=$(AREA) has no tests: use one of store, search, access, adt, operations, notify, referrals, all." >&2; exit 2; }; \
	ENLACE_TEST_DEEP=1 $(BIN)/pytest -q --timeout 3600 -rs $$paths $(ARGS) && \
	case "$(AREA)" in operations|all) \
		echo "== every scenario on PostgreSQL with two API processes and two workers behind a proxy"; \
		ENLACE_TEST_TOPOLOGY=five $(BIN)/pytest -q -n 2 --dist loadfile --timeout 600 -rs -k postgresql tests/scenarios;; \
	esac

test-long: setup ## Mutation testing, fuzzing and million-message runs (tests marked long)
	ENLACE_TEST_DEEP=1 ENLACE_TEST_LONG=1 $(BIN)/pytest -q --timeout 0 -rs -m long tests $(ARGS)

bench: setup ## Repeatable measurements, as ratios inside one run
	$(BIN)/python -m bench $(ARGS)

openapi: setup ## Write openapi/openapi.yaml from the catalog
	$(BIN)/enlace openapi

screenshots: setup ## Write docs/screenshots/*.png from a demo of its own (needs Chromium)
	$(BIN)/python docs/make_screenshots.py $(ARGS)

docs: setup ## Write what of the documents comes from the code: docs/settings.md, openapi/openapi.yaml
	$(BIN)/enlace settings --markdown > docs/settings.md
	$(BIN)/enlace openapi
