# Every target works on a fresh machine with Go, make and git.
GO      ?= go
BIN     ?= bin/egret
PKGS    ?= ./...
E2E     ?= ./lab/e2e/...
FUZZTIME ?= 30s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help run build test full-speed lint fuzz bench check sdk vendors cross examples acceptance cluster-build cluster-up cluster-down cluster-kubeconfig images test-cluster chart test-apiserver test-services conformance planted scale

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Build, then serve the whole quickstart on loopback
	@$(BIN) quickstart

build: ## Build bin/egret
	@echo "building $(BIN) (the first build compiles the Kubernetes libraries and takes a few minutes)"
	@$(GO) build -trimpath -o $(BIN) ./cmd/egret

test: ## Run every test; with RACE=-race under the race detector, which takes a C compiler and twice the time
	$(GO) test $(RACE) $(PKGS)

full-speed: ## Run the tests that ask less of a program slowed down by the race detector
	$(GO) test $$(dirname $$(grep -rl '^//go:build !race' --include='*_test.go' .) | sort -u)

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) run $(STATICCHECK) $(PKGS)

fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@FUZZTIME=$(FUZZTIME) lab/fuzz.sh

bench: ## ns, B and allocs of the whole path per request and per event, held against lab/budget.txt
	$(GO) test -run TestBudget -bench Path -benchmem ./lab

sdk: build ## The official Python and Node clients through the gateway, to the simulator and to the fakes of lab/fake
	GO=$(GO) lab/sdk/run.sh $(BIN)

vendors: ## The vendors' own clients on the fakes of lab/fake, with no gateway between
	cd lab/fake/sdk && $(GO) vet ./... && $(GO) test -count=1 ./...
	GO=$(GO) lab/sdk/direct.sh

examples: build ## egret check on everything installable and every example
	@lab/examples.sh $(BIN)

cross: ## Compile for linux/arm64 and darwin/arm64
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/egret
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/egret

acceptance: ## Rewrite docs/acceptance.md and docs/defects.md from the tests
	$(GO) run ./lab/acceptance -w
	$(GO) run ./lab/planted -page

cluster-build: ## Compile Kubernetes, etcd and containerd into the user's cache (about ten minutes)
	@lab/cluster/cluster.sh programs

cluster-up: ## Start a Kubernetes of one node for tests (Linux, root; the first time builds it)
	@lab/cluster/cluster.sh ensure

cluster-down: ## End it; what was built stays
	@lab/cluster/cluster.sh down

cluster-kubeconfig: ## Print the path of its kubeconfig
	@lab/cluster/cluster.sh kubeconfig

images: ## Build the container images, without Docker; the test cluster can pull them at once
	@lab/cluster/cluster.sh images

# TestReference is a minute in which nothing may happen: it passes beside the others.
test-apiserver: cluster-build ## Run the tests that need an API server and etcd of their own, with the race detector
	@$(GO) test -race -tags cluster -count=1 -run '^TestReference$$' ./controller & minute=$$!; \
	$(GO) test -race -tags cluster -count=1 -p 2 -skip '^TestReference$$' ./controller/... ./fleet/... ./lab/apiserver/... ./maas/kube/... ./policy/ident/kube/... ./source/kube/...; \
	rc=$$?; wait $$minute && exit $$rc

test-cluster: ## Run the tests on a cluster: the one KUBECONFIG names, else the test cluster
	@test -n "$$KUBECONFIG" || { lab/cluster/cluster.sh ensure && lab/cluster/cluster.sh images; }
	$(GO) test -tags cluster -count=1 -p 1 -timeout 40m $(E2E)

chart: ## Helm's own library on charts/egret: render, schema, lint, and the manifests' equal
	cd lab/chart && $(GO) vet ./... && $(GO) test -count=1 ./...

conformance: ## The official Gateway API conformance suite on the test cluster, once per plane
	@lab/cluster/cluster.sh ensure && lab/cluster/cluster.sh images
	@lab/conformance/run.sh

check: lint test examples acceptance ## Everything before a commit; the tree must be clean afterwards
	@git diff --exit-code -- docs/acceptance.md docs/defects.md

scale: cluster-build ## Measure the controller with 3,000 routes on 20 Gateways; writes docs/scale.md
	$(GO) test -tags scale -count=1 -timeout 15m -v -run TestScale ./lab/scale

planted: cluster-build ## Plant every known defect of the reference and see its test fail (docs/defects.md)
	$(GO) run ./lab/planted

test-services: ## Run the tests that need Redis and PostgreSQL (Debian: redis-server, postgresql)
	$(GO) test -tags services -count=1 ./policy/quota/redis/... ./store/postgres/...
