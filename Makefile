# make: what there is to make. Nothing needs to be installed beforehand but Python 3.11 or later, git and make.
.POSIX:

VENV = .venv
BIN = $(VENV)/bin
DEMO_PORT ?= 9292
ONCE ?=
FUZZ ?=
PEER_DIR ?= ../shared/peer
SOAK ?=
TESTS ?= tests
PYTHONS ?=
VERSION ?=
QUICK = tests/architecture tests/docs tests/golden tests/contract tests/unit/content tests/unit/http tests/unit/model tests/unit/notifications tests/unit/stores tests/unit/worker
USED = $(VENV)/.installed-to-use
DEVELOPED = $(VENV)/.installed-to-develop
DEVELOP = -e .[standalone,postgresql,signatures,notifications] --group dev
# What refusals of image data advise, and what they are about.
DISK_TOOLS = sgdisk:gdisk mkfs.ntfs:ntfs-3g mkfs.exfat:exfatprogs mkfs.vfat:dosfstools xz:xz-utils bzip2:bzip2 zstd:zstd lz4:lz4 unzip:unzip
TOOLS = nginx:nginx haproxy:haproxy '/usr/lib/postgresql/*/bin/initdb:postgresql' qemu-img:qemu-utils mke2fs:e2fsprogs strace:strace bwrap:bubblewrap $(DISK_TOOLS)
COMPAT = .compat
TEMPEST = $(COMPAT)/tempest
SERVICES = $(COMPAT)/services

help:
	@echo 'make demo    start the service, run the sharing walk-through with the real openstack client, run until Ctrl-C'
	@echo '             (ONCE=1: stop after the walk-through; DEMO_PORT=9292: the port of the image service)'
	@echo 'make test    run all tests (TESTS=tests/unit: one folder)'
	@echo 'make quick   run the fast suites, without PostgreSQL, qemu or strace: about a minute'
	@echo 'make pythons run all tests on each installed Python, 3.11 or later (PYTHONS="python3.13 /path/to/python3": on these; TESTS)'
	@echo 'make check   run what CI runs: fmt-check, lint, types, layers, test'
	@echo 'make fmt     format the code'
	@echo 'make lint    run the linters'
	@echo 'make types   check types'
	@echo 'make layers  check which package imports which'
	@echo 'make changelog VERSION=1.2.0 move the fragments of changelog.d into CHANGELOG.md'
	@echo 'make crash   kill at every point, run every order of races: an hour or more'
	@echo 'make fuzz    send tens of thousands of random requests, on each database: half an hour (FUZZ=--help: options)'
	@echo 'make hostile a hundred thousand damaged files, the suites under python -OO, timing side channels: an hour'
	@echo 'make rolling restart two instances behind HAProxy and nginx twenty times; no request of 50,000 may fail: ten minutes'
	@echo 'make compat  Tempest, Nova'"'"'s and Cinder'"'"'s image modules, and a comparison with Glance: under half an hour'
	@echo '             (PEER_DIR: scripts that start a real Glance; without them the comparison is skipped)'
	@echo 'make bench   compare with the real Glance (PEER_DIR: its scripts)'
	@echo 'make soak    upload and download for an hour or more, and check the memory of each process (SOAK='"'"'--uploads 100 --downloads 200'"'"': shorter)'
	@echo 'make clean   remove everything that these commands created, such as virtual environments and the demo'

demo: $(USED)
	@scripts/need 'run the demo' mke2fs:e2fsprogs qemu-img:qemu-utils curl:curl
	@once='$(ONCE)'; exec $(BIN)/python demo/demo.py --port $(DEMO_PORT) $${once:+--once}

test: $(DEVELOPED)
	@scripts/need 'run every test' $(TOOLS)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

pythons:
	@scripts/need 'run every test' $(TOOLS)
	@PYTHONS='$(PYTHONS)' scripts/pythons '$(TESTS)' $(DEVELOP)

quick: $(DEVELOPED)
	$(BIN)/python -m pytest -q -n 2 -m 'not slow and not thorough' -k 'not postgresql' $(QUICK)

check: fmt-check lint types layers test

fmt-check: $(DEVELOPED)
	$(BIN)/ruff format --check .

fmt: $(DEVELOPED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

lint: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/vulture

types: $(DEVELOPED)
	$(BIN)/mypy
	MYPYPATH=demo $(BIN)/mypy demo

layers: $(DEVELOPED)
	$(BIN)/lint-imports

changelog: $(DEVELOPED)
	@test -n '$(VERSION)' || { echo 'name the version: make changelog VERSION=1.2.0' >&2; exit 1; }
	$(BIN)/towncrier build --yes --version '$(VERSION)'

crash: $(DEVELOPED)
	@scripts/need 'kill at every point' '/usr/lib/postgresql/*/bin/initdb:postgresql' strace:strace
	$(BIN)/python -m pytest -m slow tests/crashes tests/races

fuzz: $(DEVELOPED)
	@scripts/need 'attack both databases' '/usr/lib/postgresql/*/bin/initdb:postgresql'
	$(BIN)/python -m tests.fuzz $(FUZZ)

hostile: $(DEVELOPED)
	@scripts/need 'make disk images' qemu-img:qemu-utils
	$(BIN)/python -m pytest -m slow tests/unit tests/api tests/main

rolling: $(DEVELOPED)
	@scripts/need 'stand before the service' nginx:nginx haproxy:haproxy
	$(BIN)/python -m tests.rolling

compat: $(DEVELOPED) $(TEMPEST)/.installed $(SERVICES)/.installed
	@scripts/need 'make disk images' qemu-img:qemu-utils mke2fs:e2fsprogs
	PEER_DIR=$(PEER_DIR) PARTAGE_COMPAT_SERVICES=$(SERVICES) $(BIN)/python -m pytest -m slow tests/compat tests/api/test_notifications_on_rabbitmq.py
	$(BIN)/python -m tests.compat.tempest_suite --tempest $(TEMPEST) --folder $(COMPAT)/run

bench: $(USED)
	PEER_DIR=$(PEER_DIR) $(BIN)/python bench/run.py

soak: $(USED)
	$(BIN)/python bench/soak.py $(SOAK)

clean:
	rm -rf $(VENV) .pythons $(COMPAT) .demo .bench .test-cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(USED): pyproject.toml constraints.txt
	@scripts/venv $(VENV) $@ -e '.[standalone]'

$(DEVELOPED): pyproject.toml constraints.txt
	@scripts/venv $(VENV) $@ $(DEVELOP)

$(TEMPEST)/.installed: tests/compat/tempest_suite/requirements.txt
	@CONSTRAINTS=tests/compat/tempest_suite/requirements.txt scripts/venv $(TEMPEST) $@ -r tests/compat/tempest_suite/requirements.txt

$(SERVICES)/.installed: tests/compat/services/requirements.txt
	@CONSTRAINTS=tests/compat/services/requirements.txt scripts/venv $(SERVICES) $@ -r tests/compat/services/requirements.txt

.PHONY: help demo test pythons quick check fmt-check fmt lint types layers changelog crash fuzz hostile rolling compat bench soak clean
