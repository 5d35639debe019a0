# What can be done here, each with one line of go. `make` lists it.

BIN   ?= bin
STORE ?= ./store
SIMS    ?= 100000
# How long meta, crash, kill, histories, fault, fuzz and soak run; with COUNT so many histories, with SEED (and KEEP) that one again.
TIME  ?= 1m
COUNT ?=
SEED  ?=
KEEP  ?=
# The tests of histories to run.
HISTORIES ?= Histories|SurviveCrashes|SurvivesCrashes|AcrossCrashes|Model$$|AList
# How long the broker lives in a soak before it is killed.
KILL  ?= 1m
# Of how many of its occurrences each operation fails; 0 is all.
FAULTS ?= 0

.PHONY: help build run test vet race fuzz-canary fuzz meta crash kill broken fault histories sim interop interop-long soak network bench bench-peers clean

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

fuzz-canary: ## a target with a fault, which the fuzzer has to find within a minute
	@dir=$$(mktemp -d); cp go.mod go.sum $$dir; mkdir -p $$dir/internal; cp -r internal/fuzzcheck $$dir/internal/; \
	if (cd $$dir && go test -tags canary -run='^$$' -fuzz='^FuzzCanary$$' -fuzztime=1m ./internal/fuzzcheck >out 2>&1) \
		|| ! grep -q 'Failing input written' $$dir/out; \
	then cat $$dir/out; rm -rf $$dir; echo "the canary lives: the fuzzer finds nothing"; exit 1; \
	else rm -rf $$dir; echo "the canary was caught"; fi

fuzz: fuzz-canary ## all fuzz targets, TIME (as 90s, 10m or 1h) in equal shares; prints executions, stops at a failure
	@fuzz/each $(TIME)

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

histories: ## random histories of timers, delays, retries, transactions and pops with crashes, for TIME each, or the one of SEED
	go test -count=1 -timeout 0 -run '$(HISTORIES)' ./engine/timer ./broker ./broker/pop ./broker/schedule ./broker/transaction -args \
		$(if $(SEED),-histories.seed=$(SEED),-histories.time=$(TIME))

sim: ## SIMS simulated clusters of a master and its slaves, and as many whose master changes; again with SEED=n
	go test -count=1 -timeout 0 -v -run Replication ./internal/sim -args -sim.runs=$(SIMS) $(if $(SEED),-sim.seed=$(SEED))

fault: ## every operation on files fails in every way, FAULTS of its occurrences (0 is all), TIME at most in each of 3 modes
	go test -count=1 -timeout 0 -v -run 'TestFaultCampaign|TestDiskFills|Cut' ./engine -args -faults=$(FAULTS) -fault-time=$(TIME)

interop: ## real clients and Java stores; needs Java and Maven, else it says so
	$(MAKE) -C interop test

interop-long: ## the kills of these, a hundred times, and stores handed on that CI leaves out
	$(MAKE) -C interop long

network: ## a pair of brokers and clients in network namespaces, TIME long (say 20m), through everything that can go wrong between them
	$(MAKE) -C interop network TIME=$(TIME) $(if $(SEED),SEED=$(SEED))

soak: ## all kinds of traffic of real clients for TIME (say 20m), the broker killed every minute or every KILL (0 is never)
	$(MAKE) -C interop soak TIME=$(TIME) KILL=$(KILL)

bench: ## all benchmarks
	go test -run='^$$' -bench=. ./...

bench-peers: ## ours beside Java's store and broker, Pebble, JetStream, WALs and limits, judged (about an hour); OUT=dir for table and picture
	cd bench/peers && CGO_ENABLED=0 go run . run $(if $(OUT),-out $(abspath $(OUT)))

clean: ## what build and run made, the store aside
	rm -rf $(BIN)
