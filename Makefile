# What can be done here, each with one line of go. `make` lists it.

BIN   ?= bin
STORE ?= ./store
FUZZTIME ?= 10s
SIMS    ?= 100000
# How long meta, crash and kill run; with COUNT so many histories, with SEED (and KEEP) that one again.
TIME  ?= 1m
COUNT ?=
SEED  ?=
KEEP  ?=

.PHONY: help build run test vet race fuzz-smoke meta crash kill broken sim interop interop-long bench bench-peers clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## the commands, also under RocketMQ's names, in bin
	go build -o $(BIN)/ ./cmd/...
	ln -sf nameserver $(BIN)/mqnamesrv
	ln -sf broker $(BIN)/mqbroker

run: build ## a broker with its own name server on localhost:9876, its data in ./store
	$(BIN)/broker -d $(STORE)

test: ## all tests
	go test ./...

vet: ## what go vet finds
	go vet ./...

race: ## all tests under the race detector, the long ones in their short form
	go test -race -short ./...

fuzz-smoke: ## each fuzz target for FUZZTIME
	@set -e; for dir in $$(go list -f '{{.Dir}}' ./...); do \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | cut -c6-); do \
			echo "$$dir $$target"; go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$dir; \
		done; \
	done

CAMPAIGN = go test -count=1 -timeout 0 -v ./fuzz -args \
	$(if $(SEED),-seed=$(SEED) -keep=$(KEEP),$(if $(COUNT),-count=$(COUNT),-time=$(TIME))) -test.run

meta: ## random histories of the engine against a model, for TIME or COUNT of them, or the one of SEED
	$(CAMPAIGN) '^TestMeta$$'

crash: ## simulated crashes at every kind of moment, for TIME or COUNT histories, or the one of SEED
	$(CAMPAIGN) '^TestCrash$$'

kill: ## real kills of a process under load and, for root, power cuts of a real file system, for TIME each or COUNT
	$(CAMPAIGN) '^TestKill$$|^TestPowerCut$$'

broken: ## engines broken on purpose are caught, each within a minute
	go test -count=1 -v -tags broken -run '^TestBroken$$' ./fuzz

sim: ## SIMS simulated clusters of a master and its slaves; again with SEED=n
	go test -count=1 -timeout 0 -v -run Replication ./internal/sim -args -sim.runs=$(SIMS) $(if $(SEED),-sim.seed=$(SEED))

interop: ## real clients and Java stores; needs Java and Maven, else it says so
	$(MAKE) -C interop test

interop-long: ## the kills of these, a hundred times
	$(MAKE) -C interop long

bench: ## all benchmarks
	go test -run='^$$' -bench=. ./...

bench-peers: ## ours beside Java's store and broker and etcd's WAL, judged (about 15 minutes)
	cd bench/peers && go run . run

clean: ## what build and run made, the store aside
	rm -rf $(BIN)
