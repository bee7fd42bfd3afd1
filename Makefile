# Two commands matter on a fresh machine: `make demo` and `make test`.
# Every target is non-interactive and stops at the first failure.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

PROGRAMS := novate novate-execution novate-clearing novate-settlement
SOURCES := Package.swift Sources Layers Interfaces Tests
# With it our own modules are compiled with `-enable-testing`, packages as before: one folder, and
# nothing of SwiftNIO is compiled twice. The programs under test are built in the same pass.
TESTING := NOVATE_TESTING=1
# More for the runner, such as TESTFLAGS='--filter WireTests'.
TESTFLAGS ?=

# Random operations of every kind against the slow twin; seeds and figures are printed.
FUZZ ?= 10000000

.PHONY: help deps build demo test fuzz check bench lint clean

help:
	@echo 'make demo    build, then trade, clear and settle before your eyes, and verify offline'
	@echo 'make test    build, then run every test'
	@echo 'make build   put $(PROGRAMS) in bin/'
	@echo 'make check   lint, build, test'
	@echo 'make fuzz    ten million random operations against a slow twin (FUZZ=N for others)'
	@echo 'make bench   figures on this machine'
	@echo 'make deps    install the libraries that are missing (Debian, apt-get)'
	@echo 'make lint    judge the layout of every source file'
	@echo 'make clean   remove what was built'

deps:
	@.ci/deps

build: deps
	swift build -c release
	@mkdir -p bin
	@folder="$$(swift build -c release --show-bin-path)"; \
	for program in $(PROGRAMS); do install -m 755 "$$folder/$$program" bin/; done
	@echo 'built: $(addprefix bin/,$(PROGRAMS))'

demo: build
	bin/novate demo

# EndToEndTests start the programs found in NOVATE_BIN.
test: deps
	$(TESTING) swift build -c release --build-tests
	NOVATE_BIN="$$($(TESTING) swift build -c release --show-bin-path)" $(TESTING) \
	  swift test -c release --skip-build $(TESTFLAGS) 2>&1 | tee .build/test.log

fuzz: deps
	$(TESTING) NOVATE_FUZZ=$(FUZZ) swift build -c release --build-tests
	$(TESTING) NOVATE_FUZZ=$(FUZZ) swift test -c release --skip-build --filter BookFuzzTests

check: lint build test

bench: build
	bin/novate bench pipeline
	bin/novate bench matching
	bin/novate bench pricing
	bin/novate bench margin
	bin/novate bench clearing
	bin/novate bench tree
	bin/novate bench signatures

lint:
	swift format lint --strict --recursive --parallel $(SOURCES)

clean:
	rm -rf .build bin novate-data
