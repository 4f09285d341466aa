# What people type. Every rule calls one script, so that each can be read and run alone.
.PHONY: help setup build run check test page release soak fuzz bench package container clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install the system packages that are missing
	@scripts/setup

build: setup ## build host, worker and plugins (debug)
	@scripts/build

run: build ## start the host on jobs.toml with everything embedded
	@scripts/run

check: build ## check jobs.toml as start and reload would
	@"$$(scripts/build --bin-path)/jobhost" check --config jobs.toml

page: build ## just the tests of the page, in headless Chromium
	@scripts/setup --test
	@scripts/browser

test: ## every test; what CI runs
	@scripts/setup --test
	@scripts/test

release: setup ## build for production
	@scripts/build -c release

soak: setup ## an hour of kills, reloads, floods and restarts, on one host, on several and on simulated ones; the ledger is checked
	@scripts/setup --test
	@scripts/build
	@scripts/soak

fuzz: setup ## a minute of made-up input for each parser and for the control socket
	@scripts/setup --test
	@scripts/build
	@scripts/fuzz

bench: setup ## measure, in release mode, beside a floor in plain C
	@scripts/setup --test
	@scripts/bench

package: setup ## build a .deb and try it on clean roots of Debian 12 and 13
	@scripts/setup --package
	@scripts/package
	@scripts/package-check

container: setup ## build a .deb and a container of it, and try that (podman)
	@scripts/setup --package
	@scripts/package
	@scripts/container-check

clean: ## remove what was built and the demo's state
	rm -rf .build var
