# bot-bottle. `make help` lists the targets; each works as the only command typed on a fresh clone.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PACKAGES ?= ./...
TEST_TIMEOUT ?= 9m
FUZZTIME ?= 10m
SOAKTIME ?= 1m

# Static everywhere, and no C compiler needed.
export CGO_ENABLED := 0
export PATH := $(PATH):/usr/local/go/bin

BUILD := go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/bot-bottle, static and stripped
	$(BUILD) -o bin/bot-bottle ./cmd/bot-bottle

.PHONY: release
release: ## build dist/ for Linux and macOS, amd64 and arm64
	for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -o dist/bot-bottle-$$(echo $$target | tr / -) ./cmd/bot-bottle || exit 1; \
	done

.PHONY: demo
demo: ## show every guard at work: no account, no network
	./scripts/setup demo
	$(BUILD) -o bin/bot-bottle ./cmd/bot-bottle
	./bin/bot-bottle demo

.PHONY: test
test: ## vet and test; PACKAGES=./internal/... for fewer
	./scripts/setup test
	go vet $(PACKAGES)
	go list $(PACKAGES) | grep -v '/internal/e2e$$' | xargs -r go test -timeout $(TEST_TIMEOUT)
	# Alone: it looks for what is left on the whole machine.
	go list $(PACKAGES) | grep '/internal/e2e$$' | xargs -r go test -timeout 15m $(if $(RUN),-run '$(RUN)')

.PHONY: fuzz
fuzz: ## fuzz what reads the agent's bytes, FUZZTIME=10m for each target
	for target in service/egress/FuzzHTTP1Front service/egress/FuzzRequestHead service/egress/FuzzClientHello \
	  service/gitgate/FuzzPushRequest service/gitgate/FuzzSignable service/gitgate/FuzzTreeNames service/gitgate/FuzzRelayed \
	  policy/FuzzCanonicalHost policy/FuzzCanonicalTarget policy/FuzzDecideAgreesWithANaiveMatcher; do \
	  go test -run '^$$' -fuzz "^$${target##*/}\$$" -fuzztime $(FUZZTIME) ./internal/$${target%/*} || exit 1; \
	done

.PHONY: soak
soak: ## a thousand streams through the egress with aborts on both sides, for SOAKTIME=1m
	BOT_BOTTLE_TEST_SOAK=$(SOAKTIME) go test -count 1 -v -run '^TestManyStreamsWithAborts$$' ./internal/service/egress

.PHONY: images
images: ## build the shipped Dockerfiles in an engine of the tests' own, from Debian's and npm's packages; as root
	./scripts/setup test
	BOT_BOTTLE_TEST_BUILDS=1 BOT_BOTTLE_TEST_REQUIRE=docker,registry go test -count=1 -timeout 15m -run ShippedDockerfiles ./internal/e2e

.PHONY: podman
podman: ## run the suite of backends in Podman's containers; as root, some minutes
	./scripts/setup podman
	BOT_BOTTLE_TEST_PODMAN=1 BOT_BOTTLE_TEST_REQUIRE=podman go test -count=1 -timeout 15m -run InPodman ./internal/backend/docker

.PHONY: mutants
mutants: ## take each guard of the egress out and see a test fail; PART=1/5 for some of them
	go run -C tools/mutants . -part $(or $(PART),1/1)

.PHONY: bench
bench: ## measure beside peers and print the ratios; WRITE=docs/performance.md records them
	./scripts/setup bench
	$(BUILD) -o bin/ ./cmd/...
	./bin/bot-bottle-bench $(if $(WRITE),-write $(WRITE))

.PHONY: lint
lint: ## golangci-lint; its own first build takes minutes
	./scripts/setup lint
	$(LINT) config verify
	$(LINT) run $(PACKAGES)

.PHONY: clean
clean: ## remove what the targets built
	rm -rf bin dist
