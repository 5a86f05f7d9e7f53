# Two commands matter: `make run` starts a server, `make test` runs every test.
# All is installed into .venv from the hashed files in locks/; nothing outside the tree but,
# for tests and as root, missing Debian packages.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
CONFIG := .latchgate/latchgate.toml
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
INSTALL := $(PIP) install --require-hashes
INSTALL_PROJECT := $(PIP) install --no-deps --no-build-isolation --editable .
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command 'make lock' $(LOCK_ARGS)

# Debian packages that end-to-end tests drive; its nginx has auth_request, dav, realip and ssl,
# and WebDAV's other methods by the module of their own. Node, Go and PostgreSQL may be from
# elsewhere.
TEST_PACKAGES := apache2 cadaver chromium-headless-shell curl dbus-daemon=dbus-run-session \
	docker-compose git gnome-keyring=gnome-keyring-daemon golang-go=go haproxy jq \
	libapache2-mod-auth-openidc libnginx-mod-http-dav-ext nginx nodejs npm openssl pgbouncer \
	php-cli php-curl postgresql=postgres python3-dotenv rclone strace

# What `make failover` makes clusters of, in network namespaces.
FAILOVER_PACKAGES := curl etcd-server=etcd gcc iproute2=ip iptables=iptables-restore libc6-dev \
	patroni pgbouncer postgresql=postgres postgresql-client=psql

SERVER := .venv/server.stamp
DEV := .venv/dev.stamp
# The providers' own clients, apart from what the server and its tests are made of.
CLIENTS := .venv-clients/clients.stamp
NODE := tests/clients/node
AXIOS := $(NODE)/node_modules/.package-lock.json
# What `make bench` and benchmarks/oauth.py compare with.
RIVALS := .venv-rivals/rivals.stamp benchmarks/rivals/node_modules/.package-lock.json \
    .rivals/oathkeeper .rivals/authelia
# A real Keystone, for `make interop` and `make bench`.
KEYSTONE := .venv-keystone/keystone.stamp
# A real Keycloak, likewise: it takes Java 17 or later, and Maven to fetch it.
KEYCLOAK := .keycloak/keycloak.stamp
KEYCLOAK_VERSION := 26.3.0
KEYCLOAK_SHA256 := 2fa6331fe85c69e4aba3f8360342605b37f2f5d05f8a5d53042f9684474b6d92

# A virtual environment of its own from a lock; uv takes seconds where pip takes a minute.
define install_apart
@$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
@$(UV) pip install --quiet --python $(@D)/bin/python --require-hashes --only-binary :all: -r $<
@touch $@
endef
UV := $(BIN)/uv --no-managed-python --no-progress

.PHONY: help run test interop model rivals check format messages screenshots lock bench bench-quick soak failover clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: $(SERVER) ## start a server here (SERVE_ARGS=…); its state is in .latchgate
	@$(BIN)/latchgate init --config $(CONFIG) --if-missing
	@exec $(BIN)/latchgate serve --config $(CONFIG) $(SERVE_ARGS)

# Files side by side, one a core: those of a file share its servers. At a low priority, for what
# hashes passwords has the lowest, and would starve below busy tests at the usual one.
test: $(DEV) $(CLIENTS) $(AXIOS) ## run every test (PYTEST_ARGS=…)
	@scripts/debian-packages $(TEST_PACKAGES)
	@nice -n 15 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(PYTEST_ARGS)

interop: $(DEV) $(CLIENTS) $(KEYSTONE) $(KEYCLOAK) ## compare with the providers' own programs (PYTEST_ARGS=…)
	@$(BIN)/python -m pytest interop $(PYTEST_ARGS)

model: $(DEV) ## explore the model of revocation, in larger worlds too (MODEL_ARGS=…)
	@$(BIN)/python -m tests.model --wide $(MODEL_ARGS)

check: $(DEV) ## formatting, lint, types, layers, spelling
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@# It knows no quiet: its report is shown only when a contract is broken.
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }
	@$(BIN)/codespell
	@echo "check: formatting, lint, types, layers and spelling are clean"

format: $(DEV) ## format, and fix what can be fixed
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format --quiet

messages: $(DEV) ## take the console's texts out of its source, for translators
	@$(BIN)/python scripts/messages.py

screenshots: $(DEV) ## take pictures of the console's pages (SHOTS=…)
	@scripts/debian-packages chromium-headless-shell
	@$(BIN)/python docs/screenshots.py $(SHOTS)

# Each lock is held to those before it, so that one .venv serves all; the clients' and Keystone's
# are apart. uv keeps what is pinned; LOCK_ARGS=--upgrade moves it.
lock: $(DEV) ## pin the dependencies of pyproject.toml anew (LOCK_ARGS=--upgrade)
	@$(LOCK) --group build --output-file locks/build.txt
	@$(LOCK) pyproject.toml --extra server --constraints locks/build.txt \
		--output-file locks/server.txt
	@$(LOCK) pyproject.toml --extra server --group dev --constraints locks/build.txt \
		--constraints locks/server.txt --output-file locks/dev.txt
	@$(LOCK) --group clients --output-file locks/clients.txt
	@$(LOCK) --group keystone --output-file locks/keystone.txt
	@$(LOCK) --group rivals --output-file locks/rivals.txt

# On two quiet cores, about 10 minutes. What can't be installed is named in the report.
bench: $(DEV) ## measure verification, beside what else answers it (BENCH_ARGS=…)
	@scripts/debian-packages golang-go=go nginx wrk
	-@$(MAKE) --no-print-directory --keep-going $(RIVALS) $(KEYSTONE)
	@$(BIN)/python benchmarks/verify.py $(BENCH_ARGS)

# The base's own programs and records, on the libraries installed here. It runs at any load.
bench-quick: $(DEV) ## compare BASE with the tree as it is, by instructions (BASE=HEAD^, BENCH_ARGS=…)
	@scripts/debian-packages valgrind
	@$(BIN)/python benchmarks/quick.py --base $(BASE) $(BENCH_ARGS)
BASE := HEAD^

rivals: $(RIVALS) ## install what benchmarks compare with

soak: $(DEV) ## import, rotate and restore under load, and lose nothing (SOAK_ARGS=…)
	@$(BIN)/python soak/run.py $(SOAK_ARGS)

failover: $(DEV) ## fail parts of a real cluster in use: 8 minutes, as root (RUNS=…, SCENARIO=…)
	@scripts/debian-packages $(FAILOVER_PACKAGES)
	@$(BIN)/python -m failover.run $(SCENARIO) --runs $(RUNS) $(FAILOVER_ARGS)
RUNS := 1

clean: ## remove what make made; .latchgate, which holds your data, stays
	@rm -rf .venv .venv-clients .venv-keystone .venv-rivals .keycloak .rivals
	@rm -rf $(NODE)/node_modules benchmarks/rivals/node_modules
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find src tests benchmarks soak failover examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || :

$(SERVER): pyproject.toml locks/build.txt locks/server.txt
	@scripts/venv $(PYTHON)
	@$(INSTALL) -r locks/build.txt -r locks/server.txt
	@$(INSTALL_PROJECT)
	@touch $@

$(DEV): pyproject.toml locks/dev.txt
	@scripts/venv $(PYTHON)
	@$(INSTALL) -r locks/dev.txt
	@$(INSTALL_PROJECT)
	@touch $@

$(CLIENTS): locks/clients.txt | $(DEV)
	$(install_apart)

$(KEYSTONE): locks/keystone.txt | $(DEV)
	$(install_apart)

# Built once for a database in memory; nothing of it is kept from one run to the next.
$(KEYCLOAK): NAME = keycloak-quarkus-dist-$(KEYCLOAK_VERSION).zip
$(KEYCLOAK): ZIP = $(HOME)/.m2/repository/org/keycloak/keycloak-quarkus-dist/$(KEYCLOAK_VERSION)/$(NAME)
$(KEYCLOAK): Makefile
	@scripts/debian-packages chromium-headless-shell maven=mvn unzip
	@test -f $(ZIP) || mvn --quiet dependency:get -Dtransitive=false \
		-Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK_VERSION):zip
	@echo '$(KEYCLOAK_SHA256)  $(ZIP)' | sha256sum --quiet --check
	@rm -rf $(@D) .keycloak.new && unzip -q $(ZIP) -d .keycloak.new
	@mv .keycloak.new/keycloak-$(KEYCLOAK_VERSION) $(@D) && rmdir .keycloak.new
	@$(@D)/bin/kc.sh build --db=dev-mem > $(@D)/build.log
	@touch $@

.venv-rivals/rivals.stamp: locks/rivals.txt | $(DEV)
	$(install_apart)

# From the Go module proxy, by the checksums of go.sum. What it said stays beside where it failed, for
# the report. Modules and objects are a gigabyte, in the checkout, and gone once the program is there.
.rivals/oathkeeper: PACKAGE := github.com/ory/oathkeeper
.rivals/authelia: PACKAGE := github.com/authelia/authelia/v4/cmd/authelia
.rivals/%: benchmarks/rivals/%/go.mod benchmarks/rivals/%/go.sum
	@scripts/debian-packages golang-go=go gcc
	@rm -f $@ && mkdir -p $@.building/go/telemetry && echo off >$@.building/go/telemetry/mode
	@export GOPATH=$(CURDIR)/$@.building/modules GOCACHE=$(CURDIR)/$@.building/cache; \
	    export XDG_CONFIG_HOME=$(CURDIR)/$@.building GOTOOLCHAIN=local GOWORK=off; status=0; \
	    cd benchmarks/rivals/$* && go build -modcacherw -trimpath -o $(CURDIR)/$@ $(PACKAGE) \
	    >$(CURDIR)/$@.log 2>&1 || status=$$?; \
	    rm -rf $(CURDIR)/$@.building; \
	    [ $$status -eq 0 ] || tail -n 3 $(CURDIR)/$@.log >&2; exit $$status

# Nothing of a package is run: none of them needs a build.
%/node_modules/.package-lock.json: %/package-lock.json
	@scripts/debian-packages nodejs npm
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@
