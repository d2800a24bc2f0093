# `make` lists what there is. Everything works in a fresh clone with Rust and Python 3; what else a target needs, it
# installs into an environment of its own (.venv-NAME).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Passed on to the program a target runs.
ARGS ?=
# `make run OTLP=1`: the local stack with the exporter of traces.
OTLP ?=
# Official OJS conformance suites; the levels below this folder.
SUITES ?= ../shared/ojs/conformance-suites
# Conformance level; all levels without it.
LEVEL ?=
# Profile of the benchmarks. The cost benchmark counts AWS calls: `PROFILE=dev` counts the same and compiles faster.
PROFILE ?= measure
# Sample event for `make invoke`, and the function it goes to.
EVENT ?= events/health.json
FUNCTION ?= api
# What the functions are built for.
ARCH ?= x86_64
# Where `make watch` serves.
export LAMBDA_PORT ?= 9000

# Packages that are deployed.
FUNCTIONS := ojs-api-main ojs-scheduler ojs-cron
# CI builds exactly what Cargo.lock says.
export LOCKED := $(if $(CI),--locked)

# --bin and not -p throughout: the features are then those of the whole workspace, and all targets share what is compiled.
run_bin = cargo run $(LOCKED) --bin
conformance = $(run_bin) ojs-conformance -- --suites

.PHONY: help
help: ## List the targets
	@echo "make TARGET [VARIABLE=value]"
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the local stack on :8080 (ARGS="--db FILE --port N ...", OTLP=1 for traces)
	$(run_bin) ojs-local $(if $(OTLP),--features ojs-local/otlp) -- $(ARGS)

.PHONY: dev
dev: ## Run the local stack and restart it when a source file changes (ARGS as for run)
	@exec python3 tools/dev_reload.py $(ARGS)

.PHONY: build
build: ## Build the functions for release
	cargo build $(LOCKED) --release $(addprefix -p ,$(FUNCTIONS))

.PHONY: test
test: test-tools ## Run all tests (ARGS go to the test runner)
	@if cargo nextest --version >/dev/null 2>&1; then \
	    cargo test $(LOCKED) --workspace --doc; \
	    cargo nextest run $(LOCKED) --workspace --no-fail-fast $(ARGS); \
	else \
	    cargo test $(LOCKED) --workspace --no-fail-fast $(ARGS); \
	fi

.PHONY: test-tools
test-tools: ## Run the tests of the scripts in tools/
	@python3 -m unittest discover --start-directory tools

.PHONY: lint
lint: fmt-check clippy ## Check formatting, and run clippy with warnings as errors

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check

.PHONY: clippy
clippy:
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: check
check: lint deny check-template check-contract check-permissions check-terraform check-conformance check-ministack ## All checks but the tests: lint, dependencies, template, Terraform, conformance, ministack

.PHONY: check-docs
check-docs: ## Check the documentation: links, length of the README, plain words
	@python3 tools/check_docs.py

.PHONY: deny
deny: ## Check licences, bans and sources of the dependencies (deny.toml)
	@if cargo deny --version >/dev/null 2>&1; then \
	    cargo deny --offline check licenses bans sources; \
	else \
	    python3 tools/check_dependencies.py; \
	fi

.PHONY: check-template
check-template: ## Check template.yaml: cfn-lint, sam validate, what it expands to, checkov
	@tools/check_template.sh

.PHONY: check-contract
check-contract: ## Check what the parts of a deployment promise each other and the code, in template.yaml and terraform/
	@tools/venv.sh deploy
	@.venv-deploy/bin/python tools/check_contract.py
	@.venv-deploy/bin/python -m unittest discover --start-directory tools --pattern test_check_contract.py

.PHONY: check-permissions
check-permissions: ## Check that each function is granted what its code calls, and nothing else
	@tools/venv.sh deploy
	@.venv-deploy/bin/python tools/check_permissions.py

.PHONY: check-terraform
check-terraform: ## Check terraform/ without an account, and that template.yaml makes the same
	@tools/check_terraform.sh

.PHONY: sam-build
sam-build: ## Build the functions as `sam deploy` wants them, into target/sam/build (ARCH=x86_64|arm64)
	@tools/sam_build.sh $(ARCH)

.PHONY: deploy-local
deploy-local: ## Rehearse the deployment: template and functions in ministack, then a smoke test (ARGS="--keep", "--conformance SUITES")
	@tools/deploy_local.sh $(ARGS)

.PHONY: check-examples
check-examples: ## Run the clients and workers of examples/ against a local stack
	cargo build $(LOCKED) --bin ojs-local --bin ojs-example-worker --bin ojs-example-client
	@tools/check_examples.sh

.PHONY: check-release
check-release: sam-build ## Rehearse the deployment with the functions as `make sam-build` builds them for x86_64; some minutes
	@tools/deploy_local.sh --zips target/sam/build

.PHONY: docker-up
docker-up: ## Run API and ticks on LocalStack in Docker, on :8080
	docker compose up --build --detach --wait

.PHONY: docker-down
docker-down: ## Stop what docker-up started, and forget its data
	docker compose down --volumes

.PHONY: check-conformance
check-conformance:
	@if [[ -d "$(SUITES)" ]]; then \
	    $(MAKE) conformance LEVEL=0; \
	    $(MAKE) conformance LEVEL=1; \
	    $(MAKE) conformance LEVEL=2; \
	    $(MAKE) conformance LEVEL=3; \
	    $(MAKE) conformance LEVEL=4; \
	else \
	    echo "No conformance suites at $(SUITES): skipped"; \
	fi

.PHONY: conformance
conformance: ## Run the official conformance suites (SUITES=path LEVEL=n ARGS="--url URL ...")
	@if [[ ! -d "$(SUITES)" ]]; then \
	    echo "No conformance suites at '$(SUITES)'. They are not part of this repository:" >&2; \
	    echo "clone https://github.com/openjobspec and run: make $@ SUITES=path/to/the/suites" >&2; \
	    exit 2; \
	fi
	$(conformance) "$(SUITES)" $(if $(LEVEL),--level $(LEVEL)) $(ARGS)

conformance-level-%: ## Run the official suite of one level: conformance-level-0 to -4
	@$(MAKE) conformance LEVEL=$*

.PHONY: conformance-own
conformance-own: ## Run this project's own conformance suites
	$(conformance) dev/conformance/suites $(ARGS)

.PHONY: soak
soak: ## Kill the API at random under load, then check that nothing was lost (SOAK_SECONDS=60 SOAK_MODE=plain|hard SOAK_SEED=n)
	cargo build $(LOCKED) --bin api --bin scheduler --bin cron --bin ojs-soak
	$(run_bin) ojs-soak -- $(ARGS)

.PHONY: bench
bench: bench-cost bench-speed bench-ticks bench-fanout ## Run all benchmarks (results in target/bench/)

.PHONY: bench-cost
bench-cost: ## Count the AWS calls and write units of each operation (PROFILE=dev compiles faster)
	cargo run $(LOCKED) --profile $(PROFILE) --bin ojs-bench -- cost $(ARGS)

.PHONY: bench-speed
bench-speed: ## Measure throughput and latency on the local stack
	cargo run $(LOCKED) --profile $(PROFILE) --bin ojs-bench -- speed $(ARGS)

.PHONY: bench-fanout
bench-fanout: ## Measure acks of a group of 1,000 jobs by 64 clients beside plain ones
	cargo run $(LOCKED) --profile $(PROFILE) --bin ojs-bench -- fanout $(ARGS)

.PHONY: bench-ticks
bench-ticks: ## Measure how late jobs and cron jobs start, and a burst of 100,000 due jobs
	cargo run $(LOCKED) --profile $(PROFILE) --bin ojs-bench -- ticks $(ARGS)

.PHONY: bench-cold
bench-cold: ## Measure the functions' cold start with a stand-in for Lambda's runtime API
	@dev/bench/cold_start.sh $(ARGS)

.PHONY: watch
watch: ## Run the functions on :9000 under cargo lambda watch, rebuilt at changes
	@exec tools/watch.sh $(ARGS)

.PHONY: invoke
invoke: ## Send a sample event to the function that `make watch` runs (EVENT=events/x.json FUNCTION=api|scheduler|cron)
	@tools/venv.sh lambda
	@PATH="$$PWD/.venv-lambda/bin:$$PATH" cargo lambda invoke $(FUNCTION) \
	    --invoke-address 127.0.0.1 --invoke-port $(LAMBDA_PORT) --data-file "$(EVENT)"

.PHONY: check-lambda
check-lambda: ## Smoke test of the functions under cargo lambda: sample events, ticks and HTTP requests
	@tools/check_lambda.sh

.PHONY: check-ministack
check-ministack: ## Check the API's core operations against another author's emulator of AWS
	@tools/check_ministack.sh

.PHONY: clean
clean: ## Remove everything that was built or installed here
	cargo clean
	rm -rf .venv-*
