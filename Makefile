# What can be done here, each with one line of go. `make` lists it.

BIN   ?= bin
STORE ?= ./store
FUZZTIME ?= 10s
SIMS    ?= 100000
# How long meta, crash, kill, fault and fuzz run; with COUNT so many histories, with SEED (and KEEP) that one again.
TIME  ?= 1m
COUNT ?=
SEED  ?=
KEEP  ?=
# Of how many of its occurrences each operation fails; 0 is all.
FAULTS ?= 0

# The fuzz targets, one a line: folder and name.
FUZZ_TARGETS = for dir in $$(go list -f '{{.Dir}}' ./...); do \
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | grep -v FuzzCanary | sed "s|^func |$$dir |"; done

.PHONY: help build run test vet race fuzz-canary fuzz-smoke fuzz meta crash kill broken fault sim interop interop-long bench bench-peers clean

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

fuzz-smoke: fuzz-canary ## each fuzz target for FUZZTIME
	@set -e; $(FUZZ_TARGETS) | while read dir target; do \
		echo "$$dir $$target"; go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$dir </dev/null; \
	done

fuzz: fuzz-canary ## all fuzz targets, TIME (as 90s, 10m or 1h) in equal shares; prints executions, stops at a failure
	@n=$$($(FUZZ_TARGETS) | wc -l); \
	share=$$(echo $(TIME) | awk -v n=$$n '{u=1; if (/m$$/) u=60; if (/h$$/) u=3600; s=int(u*$$1/n); print (s<1?1:s)}'); \
	$(FUZZ_TARGETS) | while read dir target; do \
		go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$${share}s $$dir </dev/null >$$dir/fuzz.out 2>&1 && ok=yes || ok=no; \
		if grep -q '^    context deadline exceeded' $$dir/fuzz.out; then ok=yes; fi; `: the fuzzer, when its time ends in the wrong moment` \
		awk -v t=$$target '/execs:/ {n=$$5} END {printf "%-28s %12d executions\n", t, n}' $$dir/fuzz.out; \
		if [ $$ok = no ]; then cat $$dir/fuzz.out; rm $$dir/fuzz.out; exit 1; fi; rm $$dir/fuzz.out; \
	done | awk '{print} /executions$$/ {sum += $$2; n++} !/executions$$/ {bad=1} END {printf "%d targets, %d executions\n", n, sum; exit bad}'

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

fault: ## every operation on files fails in every way, FAULTS of its occurrences (0 is all), TIME at most in each of 3 modes
	go test -count=1 -timeout 0 -v -run 'TestFaultCampaign|TestDiskFills|Cut' ./engine -args -faults=$(FAULTS) -fault-time=$(TIME)

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
