# `make demo` shows what Sealwire does; `make test` proves it. `make` alone lists everything.
.PHONY: help demo test lint lint-deploy bench fuzz canary servers-start servers-stop clients suites goal fips

SHELL := /bin/bash
TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16

demo: ## the story, on a private database; ONCE=1 ends by itself, PORT=3307 chooses the port
	@demo/demo.sh

test: ## unit and end-to-end tests on MariaDB 10.11, MySQL 9.7 and a KMS emulator, all started and stopped here
	cargo build --locked --tests --bins
	SEALWIRE_TEST_REQUIRE=1 tests/support/servers.sh run cargo $(TEST) --locked $(ARGS)
	cargo test --locked --doc

lint: ## formatting, clippy with warnings denied, dependencies' licences and sources
	.ci/lint

lint-deploy: ## cfn-lint over the CloudFormation template, and whether Terraform makes the same policies
	deploy/lint

bench: ## point selects and memory: direct, HAProxy in TCP mode, Sealwire
	benches/bench.sh

fuzz: ## every parser and the analyser against mutated input; SECONDS_EACH=20
	fuzz/run.sh $(TARGETS)

# For repeated runs while developing: start once, then run the tests with the variable it prints.
servers-start: ## start the test servers and leave them running
	tests/support/servers.sh start target/servers
	@echo "export SEALWIRE_TEST_SERVERS=$(CURDIR)/target/servers/servers.json"

servers-stop: ## stop them
	tests/support/servers.sh stop target/servers

canary: ## the leak oracle: a corpus of statements on protected tables against an unprotected twin; ARGS="--limit 1000"
	tests/canary/run.sh $(ARGS)

fips: ## build with the FIPS module of AWS-LC and run the unit tests of sealing and keys; needs minutes at first
	tests/support/fips.sh

goal: ## what share of the statements of Django, Laravel, WordPress and plain CRUD would be refused
	tests/goal/run.sh

clients: ## other people's drivers, directly and through the proxy, compared; ARGS="--server mysql php" runs some
	tests/clients/run.sh $(ARGS)

suites: ## other people's test suites, directly and through the proxy, test by test; ARGS="--server mysql dbd-mariadb" runs some
	tests/suites/run.sh $(ARGS)
