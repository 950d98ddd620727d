# Every verb of this repository; CI calls the same ones (.ci/run).

VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME   ?= 20s
CONCURRENT := ./workflow/... ./supervisor/... ./actors/... ./persistence/postgres/... ./cluster/...
PATIENCE   := -timeout 40m # a machine that is busy with more needs longer than go test's own ten minutes
TOOL       := go tool -modfile=tools/go.mod

PEERS      ?= -rounds 3 -duration 3s
QUEUES     ?= -rounds 3 -duration 4s

.PHONY: help setup build run test clients race soak bench bench-peers bench-queues bench-routing fuzz format vet lint check generate verify

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## Install what the tests need beyond Go, make and git: gcc (for race), Postgres, PgBouncer, libfaketime, iproute2, nftables, npm (for clients)
	@tools/setup gcc postgres pgbouncer libfaketime iproute2 nftables npm

build: ## Build bin/singularity
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/singularity ./cmd/singularity

run: ## Run one node, with its store in .singularity
	go run ./cmd/singularity dev

test: build ## Run all tests; installs Postgres, PgBouncer, libfaketime, iproute2 and nftables if it must and may
	@tools/setup postgres pgbouncer libfaketime iproute2 nftables
	go test $(PATIENCE) ./...

clients: ## Run public clients of pgmq, from the npm registry, against the hub's queues
	@tools/setup postgres npm
	cd centralcloud/pgmq/testdata/pgmq-js && npm ci --ignore-scripts
	go test -tags npm -count=1 -run Client ./centralcloud/pgmq

race: ## Run the tests of what is concurrent under the race detector
	@tools/setup gcc postgres pgbouncer libfaketime # the race detector links against the C library, so it needs its headers too
	CGO_ENABLED=1 GORACE="suppressions=$(CURDIR)/tools/race.suppressions" go test -race $(PATIENCE) $(CONCURRENT)

soak: ## Repeat each fault of nodes that share a Postgres, for an hour and a half; SOAK_FLAGS adds flags such as -run Killed or -soak.repeats 3
	@tools/setup postgres iproute2 nftables
	go test ./internal/soak -count=1 -v -parallel 1 -timeout 6h -soak.full -soak.report $(CURDIR)/benchmarks/soak.json $(SOAK_FLAGS)

bench: build ## Measure: the Go benchmarks, then singularity bench
	go test -run '^$$' -bench . -benchmem ./...
	bin/singularity bench

bench-peers: ## Measure Singularity beside its peers on one Postgres, see benchmarks/PEERS.md; PEERS has the flags, TEMPORAL=1 adds Temporal
	@command -v npm >/dev/null && { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; } || \
		{ echo >&2 "bench-peers: install npm and Postgres 15 or newer (on Debian, as root: apt-get install npm postgresql)"; exit 1; }
	cd benchmarks/pgflow && npm ci --ignore-scripts
	cd benchmarks/contender && go test ./...
	cd benchmarks && go test ./...
ifdef TEMPORAL
	cd benchmarks/temporal && go test ./... && go build -o ../../bin/temporal .
endif
	cd benchmarks && go build -o ../bin/benchmarks . && \
		../bin/benchmarks $(PEERS) $(if $(TEMPORAL),-temporal ../bin/temporal)

bench-queues: ## Measure Singularity's queues beside River's and DBOS's on one Postgres, see benchmarks/PEERS.md; QUEUES has the flags
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
		{ echo >&2 "bench-queues: install Postgres 15 or newer (on Debian, as root: apt-get install postgresql)"; exit 1; }
	cd benchmarks && go test . ./queues ./report
	cd benchmarks && go build -o ../bin/benchmarks . && ../bin/benchmarks queues $(QUEUES)

bench-routing: ## Compare the learner with simpler ways to choose a model; ROUTING has the flags, such as -data DIR
	cd benchmarks && go test ./routing && go build -o ../bin/routing ./routing && ../bin/routing $(ROUTING)

fuzz: ## Run each fuzz target for FUZZTIME (20s)
	@grep -ro '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | sed 's|/[^/]*:func | |' | sort | \
	while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
	done

format: ## Format the code
	$(TOOL) golangci-lint fmt

vet: ## Run go vet
	go vet ./...

lint: ## Run the linters; they check the format, too
	$(TOOL) golangci-lint run

check: format vet lint test ## Do all that a change must pass

generate: ## Write the code that is generated from protobuf
	go generate ./...

verify: generate ## Check that generated code and module files are up to date
	go mod tidy -diff
	cd tools && go mod tidy -diff
	for module in contender .; do (cd benchmarks/$$module && go mod tidy -diff) || exit 1; done
	@if git status --short -- '*.pb.go' '*.connect.go' | grep .; then \
		echo >&2 "verify: make generate wrote these; commit them"; \
		exit 1; \
	fi
