# What one does with this repository. Each target is a script or a cargo command that can be run by hand as well.

.DEFAULT_GOAL := help
.PHONY: help run test soak bench compare fmt

# Factor by which `make soak` repeats the randomised tests, and seconds for each fuzz target.
SOAK ?= 20
SOAK_FUZZ_SECONDS ?= 600

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Builds, starts, measures a campaign whose truth is known, prints the addresses, stays up
	@deploy/tools/install build
	@deploy/run

test: ## Every check: format, lints, licences, tests, browser, fuzz targets for seconds
	@deploy/tools/test

soak: ## The same with many more rounds: make soak SOAK=100 SOAK_FUZZ_SECONDS=3600
	@SIGHTLINE_SOAK=$(SOAK) FUZZ_SECONDS=$(SOAK_FUZZ_SECONDS) deploy/tools/test

bench: ## Micro-benchmarks (criterion); figures in benches/README.md
	@cargo bench -p benches --locked

compare: ## The beacon's road against nginx, alternating in one run; prints the table of benches/README.md
	@deploy/tools/install bench
	@benches/compare

fmt: ## Formats all Rust text
	@cargo fmt --all
	@cargo fmt --manifest-path fuzz/Cargo.toml
