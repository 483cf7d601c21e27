# Tools are pinned in tools.mod, apart from go.mod, so that no user of the
# library inherits their requirements.
TOOL := go tool -modfile=tools.mod

# Tests that run in parallel mostly wait, for servers and for ttls, so that more
# of them than two processors may run at once. Many more would starve each other.
PARALLEL ?= 4

# Everything, as CI runs it: the servers are installed if they are missing, and
# a test that cannot reach one fails. What lint has vetted is not vetted again. The
# packages that take longest are begun first.
.PHONY: test
test: servers lint
	CAIRN_TEST_SERVERS=required go test -race -vet=off -parallel $(PARALLEL) ./memo ./adapters/layered ./...
	go test -run Allocations . # which the race detector would distort

# The same tests with the servers that are there.
.PHONY: race
race:
	go test -race -parallel $(PARALLEL) ./...

.PHONY: lint
lint:
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	go mod tidy -diff

# Each fuzz test for FUZZTIME.
FUZZTIME ?= 30s
.PHONY: fuzz
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for name in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# BENCH selects benchmarks by a regular expression.
BENCH ?= .
.PHONY: bench
bench: servers
	CAIRN_TEST_SERVERS=required go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# Other libraries do the same work in the same run. They are required by a module
# of its own, so that nobody who uses this one gets them.
.PHONY: compare
compare: servers
	cd comparisons && CAIRN_TEST_SERVERS=required go test -run '^$$' -bench . -timeout 2h ./...
	cd comparisons && go run ./memory/hitratio -o ../docs/hit-ratio.svg

.PHONY: servers
servers:
	@./scripts/install-servers
