# Tools are pinned in tools.mod, apart from go.mod, so that no user of the
# library inherits their requirements.
TOOL := go tool -modfile=tools.mod

# Everything, as CI runs it: the servers are installed if they are missing, and
# a test that cannot reach one fails.
.PHONY: test
test: servers lint
	CAIRN_TEST_SERVERS=required go test -race ./...
	go test -run Allocations ./memo # which the race detector would distort

# The same tests with the servers that are there.
.PHONY: race
race:
	go test -race ./...

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

.PHONY: servers
servers:
	@./scripts/install-servers
