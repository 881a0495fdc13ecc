# Every path here is relative, so that a checkout may be anywhere, even under a name with a space.

PYTHON ?= python3
ARGS ?=
# Many tests wait for real programs, so run more at a time than there are processors.
WORKERS ?= 8

VENV := .venv
BIN := $(VENV)/bin
# -P keeps the checkout off sys.path, so that the installed wheel runs.
RUN_PYTHON := $(BIN)/python -P

# The wheel's sources. Directories are listed, too, because they change when a file is deleted.
SOURCES := pyproject.toml README.md LICENSE $(shell find telegraf_bitcoin_ipc schema \
	-name __pycache__ -prune -o \( -type f -o -type d \) -print 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: FORCE help run demo test test-fleet check setup lint reference dashboards soak fuzz bench bench-short \
	bench-alerts bench-fleet screenshots wheel clean install telegraf prometheus nix tmux kafka victoriametrics \
	deb test-deb release

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'make run SOCKET=/path/to/node.sock   watch a real node instead of the simulated one'
	@echo 'make run ADDRESS=127.0.0.1:9400      serve the metrics on another address'
	@echo 'make demo PROMETHEUS=127.0.0.1:9091  serve Prometheus on another address'
	@echo 'make demo NODES=3                    three nodes of different kinds, one of which goes down every minute and comes back'
	@echo 'make test ARGS="-k reconnect -x"     pass arguments to pytest'
	@echo 'make test ARGS="-n 0"                one test after another'
	@echo 'make PYTHON=python3.12 ...           use that Python (3.11 or newer)'
	@echo
	@echo 'Needed: Python 3.11 or newer, and Go 1.26 or newer unless a Telegraf 1.39 or newer is on the PATH.'
	@echo 'Nothing is installed outside $(VENV) and the cache directory.'

run: install telegraf ## set up, then run a simulated node (or SOCKET=...) and Telegraf until Ctrl-C
	@exec env TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" $(RUN_PYTHON) scripts/run.py \
		$${SOCKET:+--socket "$$SOCKET"} $${ADDRESS:+--address "$$ADDRESS"} $(ARGS)

demo: install telegraf prometheus ## the same with Prometheus, until Ctrl-C; prints all addresses
	@pages="$$(sh scripts/get-prometheus-pages.sh "$(CURDIR)/$(VENV)/tools/prometheus")" && \
	exec env TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" \
		PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" PROMETHEUS_PAGES="$$pages" \
		$(RUN_PYTHON) scripts/run.py --prometheus "$${PROMETHEUS:-127.0.0.1:9090}" \
		$${SOCKET:+--socket "$$SOCKET"} $${ADDRESS:+--address "$$ADDRESS"} $${NODES:+--nodes "$$NODES"} $(ARGS)

screenshots: install telegraf prometheus ## regenerate the pictures in docs/ (needs Chromium on the PATH)
	@pages="$$(sh scripts/get-prometheus-pages.sh "$(CURDIR)/$(VENV)/tools/prometheus")" && \
	exec env TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" \
		PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" PROMETHEUS_PAGES="$$pages" \
		$(RUN_PYTHON) scripts/screenshots.py

check: lint ## lint and the unit tests, last failures first, in less than a minute
	@echo 'check: the unit tests'
	@TEST_CHECKOUT= $(RUN_PYTHON) -m pytest -n auto --dist worksteal --failed-first tests/unit $(ARGS)

test: setup lint $(VENV)/.collected ## set up, lint, and test the installed wheel with a real Telegraf, Prometheus and Nix
	@echo 'test: the installed wheel'
	@TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" \
	PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" \
	PROMTOOL_BINARY="$(CURDIR)/$(VENV)/tools/promtool" \
	NIX_BINARY="$(CURDIR)/$(VENV)/tools/nix" \
	NIX_INSTANTIATE_BINARY="$(CURDIR)/$(VENV)/tools/nix-instantiate" \
	TMUX_BINARY="$(CURDIR)/$(VENV)/tools/tmux" \
	TEST_CHECKOUT= \
	$(RUN_PYTHON) -m pytest -n $(WORKERS) --maxschedchunk 1 $(ARGS)

# Apart: minutes of real outages, and Java, Maven and Go are needed for them.
test-fleet: install telegraf prometheus kafka victoriametrics ## test a fleet with a real Kafka and VictoriaMetrics (needs Java and Maven)
	@echo 'test-fleet: the installed wheel'
	@TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" \
	PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" \
	KAFKA_BINARY="$(CURDIR)/$(VENV)/tools/kafka" \
	VICTORIAMETRICS_BINARY="$(CURDIR)/$(VENV)/tools/victoria-metrics" \
	TEST_CHECKOUT= \
	$(RUN_PYTHON) -m pytest -n 2 --maxschedchunk 1 tests/fleet $(ARGS)

setup: install telegraf prometheus nix tmux ## install everything that run and test need
	@echo 'setup: ready'

lint: install ## ruff (rules and format) and mypy --strict
	@echo 'lint: ruff check'
	@$(RUN_PYTHON) -m ruff check
	@echo 'lint: ruff format --check'
	@$(RUN_PYTHON) -m ruff format --check
	@echo 'lint: mypy --strict'
	@$(RUN_PYTHON) -m mypy --strict

reference: install ## write telegraf.conf.example and the generated parts of the documents
	@PYTHONPATH=scripts $(RUN_PYTHON) scripts/reference.py

dashboards: install ## generate the files of grafana/
	@PYTHONPATH=scripts $(RUN_PYTHON) -m dashboards

soak: install ## load the guard for three minutes (ARGS="--seconds 600" for more) and fail if its memory grows
	@$(RUN_PYTHON) scripts/soak.py $(ARGS)

fuzz: install ## send hostile frames to the guard for a minute (ARGS="--seconds 600" for more); fail if one gets through
	@$(RUN_PYTHON) scripts/fuzz_guard.py $(ARGS)

bench: install ## run the benchmark (minutes), and write bench/results.json, the plots and the table in bench/README.md
	@$(RUN_PYTHON) bench $(ARGS)

bench-fleet: install telegraf prometheus ## measure a central Telegraf for many nodes (minutes); then run make reference
	@TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" \
		$(RUN_PYTHON) bench/fleet $(ARGS)

bench-short: install ## benchmark for about a minute; fail only on a gross regression
	@$(RUN_PYTHON) bench --short $(ARGS)

bench-alerts: install telegraf prometheus ## measure how soon each alert fires (25 minutes), for docs/dashboard.md
	@TELEGRAF_BINARY="$(CURDIR)/$(VENV)/tools/telegraf" PROMETHEUS_BINARY="$(CURDIR)/$(VENV)/tools/prometheus" \
	$(RUN_PYTHON) bench/alert_delays.py && $(MAKE) reference

wheel: dist/.built ## build the sdist, and the wheel from it, in dist/
	@ls dist/*.tar.gz dist/*.whl

deb: dist/.built ## build the Debian package for this system, in dist/ (needs debhelper, dh-python and python3-pip)
	@sh scripts/make-deb.sh

test-deb: deb telegraf ## try the Debian package in a booted tree, with a node (needs root, mmdebstrap, systemd-container)
	@cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/telegraf-bitcoin-ipc" && mkdir -p "$$cache" && \
	$(RUN_PYTHON) scripts/try_package.py "$$(ls -t dist/*.deb | head -n 1)" "$(VENV)/tools/telegraf" "$$cache/debian-$$(. /etc/os-release; echo "$${VERSION_CODENAME:-stable}").tar"

release: $(VENV)/.tools ## make and check a release in dist/, built twice (docs/releasing.md)
	@$(BIN)/python -m pip install --quiet --group release
	@sh scripts/release.sh

clean: ## remove everything that make created in the checkout (not the cache with Telegraf, Prometheus, Nix and tmux)
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(VENV)/.installed

# Checked every time; recreated only if it does not fit (the checkout was moved, or PYTHON has changed).
$(VENV)/.made: FORCE
	@PYTHON="$(PYTHON)" sh scripts/make-venv.sh $(if $(filter-out file,$(origin PYTHON)),--exactly)

$(VENV)/.tools: pyproject.toml $(VENV)/.made
	@echo 'setup: installing the development tools in $(VENV)'
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

dist/.built: $(SOURCES) | $(VENV)/.tools
	@echo 'setup: building the wheel'
	@rm -rf dist
	@$(RUN_PYTHON) -m build --no-isolation > $(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@touch $@

# Twice: the first installs the dependencies, the second this wheel, even if its version is unchanged.
$(VENV)/.installed: dist/.built $(VENV)/.tools
	@echo 'setup: installing the wheel in $(VENV)'
	@wheel="$$(echo dist/*.whl)" && $(BIN)/python -m pip install --quiet "$$wheel[top,parity]"
	@$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@

# pytest rewrites every test file before it runs it. Done once here, or each worker does it again wherever
# PYTHONDONTWRITEBYTECODE is set. A failure shows when the tests run.
$(VENV)/.collected: $(shell find tests -name "*.py" 2>/dev/null) $(VENV)/.installed
	@TEST_CHECKOUT= PYTHONDONTWRITEBYTECODE= $(RUN_PYTHON) -m pytest --collect-only -q > $(VENV)/collected.log || true
	@touch $@

telegraf: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@path="$$(sh scripts/get-telegraf.sh)" && ln -sfn "$$path" $(VENV)/tools/telegraf

prometheus: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@paths="$$(sh scripts/get-prometheus.sh)" && \
	ln -sfn "$$(printf '%s\n' "$$paths" | sed -n 1p)" $(VENV)/tools/prometheus && \
	ln -sfn "$$(printf '%s\n' "$$paths" | sed -n 2p)" $(VENV)/tools/promtool

nix: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@paths="$$(sh scripts/get-nix.sh)" && \
	ln -sfn "$$(printf '%s\n' "$$paths" | sed -n 1p)" $(VENV)/tools/nix && \
	ln -sfn "$$(printf '%s\n' "$$paths" | sed -n 2p)" $(VENV)/tools/nix-instantiate

tmux: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@path="$$(sh scripts/get-tmux.sh)" && ln -sfn "$$path" $(VENV)/tools/tmux

kafka: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@path="$$(sh scripts/get-kafka.sh)" && ln -sfn "$$path" $(VENV)/tools/kafka

victoriametrics: $(VENV)/.made
	@mkdir -p $(VENV)/tools
	@path="$$(sh scripts/get-victoriametrics.sh)" && ln -sfn "$$path" $(VENV)/tools/victoria-metrics
