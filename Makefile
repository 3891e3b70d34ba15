# What a person types. Each target is a thin call of a program in hack/; `make help` lists them.
SHELL := /bin/bash
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-long lint format bench cluster cluster-down images generate

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the pinned Python tools into .venv (all other targets do it by themselves)
	@hack/bootstrap

demo: setup ## from nothing to a gRPC prediction on a local Kubernetes
	@$(PYTHON) -m hack.demo

test: setup ## run every level of tests, the real cluster included
	@$(PYTHON) -m hack.test

test-unit: setup ## run unit, component, contract tests; the first run compiles Kubernetes
	@$(PYTHON) -m hack.test unit

test-long: setup ## run soak and fault tests; leaves its results in bench/results
	@$(PYTHON) -m hack.test long

lint: setup ## check format, types, imports and generated files
	@$(PYTHON) -m hack.test lint

format: setup ## rewrite Python and Rust in the project's format
	@.venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix . && cargo fmt --manifest-path serving/Cargo.toml --all

bench: setup ## measure and write tables and JSON to bench/results
	@$(PYTHON) -m bench

cluster: setup ## start the local cluster, or say that it runs
	@$(PYTHON) -m hack.cluster up

cluster-down: setup ## stop the local cluster and remove all it made
	@$(PYTHON) -m hack.cluster down

images: setup ## build the images and push them to the cluster's registry
	@$(PYTHON) -m hack.images

generate: setup ## write the CRD, RBAC rules, API pages and stubs anew from their sources
	@$(PYTHON) -m hack.generate
