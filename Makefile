# make run     a development agent on localhost:8500
# make build   bin/curia
# make test    vet, staticcheck and every test, under the race detector
# make check   what should pass before each commit, in about a minute

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The version is stamped by us: the go command's own stamp fails where git
# does not trust the owner of the directory.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# The race detector needs a C compiler. The house rules have no goroutines and
# read every file, so they run without it.
RACED = $$($(GO) list ./... | grep -v '/internal/house$$')

.DEFAULT_GOAL := build
.PHONY: run build test check lint c-compiler

run: build
	bin/curia agent -dev

build:
	$(BUILD) -o bin/curia ./cmd/curia

test: lint c-compiler
	$(GO) test ./internal/house
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $(RACED)

check: lint
	$(GO) build -buildvcs=false ./...
	$(GO) test -short -parallel 4 -timeout 90s ./...

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

c-compiler:
	@command -v $${CC:-gcc} >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }
