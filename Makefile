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
DEVELOP = -e .[standalone,postgresql,mariadb,signatures,notifications,tracing,s3,swift] -e ./client --group dev
MARIADB = tests/contract tests/api tests/races tests/crashes/test_kill.py tests/crashes/test_processes.py
# What refusals of image data advise, and what they are about.
DISK_TOOLS = sgdisk:gdisk mkfs.ntfs:ntfs-3g mkfs.exfat:exfatprogs mkfs.vfat:dosfstools xz:xz-utils bzip2:bzip2 zstd:zstd lz4:lz4 unzip:unzip
TOOLS = memcached:memcached nginx:nginx haproxy:haproxy logrotate:logrotate promtool:prometheus '/usr/lib/postgresql/*/bin/initdb:postgresql' mariadbd:mariadb-server mariadb-dump:mariadb-client qemu-img:qemu-utils mke2fs:e2fsprogs strace:strace bwrap:bubblewrap $(DISK_TOOLS)
COMPAT = .compat
TEMPEST = $(COMPAT)/tempest
SERVICES = $(COMPAT)/services
OBJECT_STORES = $(COMPAT)/object-stores
CLIENT_DEBIAN = $(COMPAT)/client-debian-12

help:
	@echo 'make demo    start the service, run the sharing walk-through with the real openstack client, run until Ctrl-C'
	@echo '             (ONCE=1: stop after the walk-through; DEMO_PORT=9292: the port of the image service)'
	@echo 'make test    run all tests (TESTS=tests/unit: one folder)'
	@echo 'make quick   run the fast suites, without PostgreSQL, MariaDB, qemu or strace: about a minute'
	@echo 'make pythons run all tests on each installed Python, 3.11 or later (PYTHONS="python3.13 /path/to/python3": on these; TESTS)'
	@echo 'make check   run what CI runs: fmt-check, lint, types, layers, docs, test, client-quick'
	@echo 'make client-quick run those tests of the client that need no service'
	@echo 'make client-test run the tests of the client beside the newest openstack: five minutes'
	@echo 'make client-debian run them beside the openstack of Debian 12, and beside the real APIs of Nova and Cinder'
	@echo 'make client-speed compare transfers with two commands by hand, on Partage and on a real Glance (PEER_DIR)'
	@echo 'make client-compat run them on both, on Partage and on a real Glance (PEER_DIR: scripts that start it)'
	@echo 'make docs    build the documentation as a site in build/site; a warning is an error'
	@echo 'make fmt     format the code'
	@echo 'make lint    run the linters'
	@echo 'make types   check types'
	@echo 'make layers  check which package imports which'
	@echo 'make changelog VERSION=1.2.0 move the fragments of changelog.d into CHANGELOG.md'
	@echo 'make crash   kill at every point, run every order of races: an hour or more'
	@echo 'make mariadb run the suites of records, stories, races and crashes on MariaDB: half an hour (MARIADB=tests/contract: one folder)'
	@echo 'make fuzz    send tens of thousands of random requests, on each database: half an hour (FUZZ=--help: options)'
	@echo 'make hostile a hundred thousand damaged files, the suites under python -OO, timing side channels: an hour'
	@echo 'make rolling restart two instances behind HAProxy and nginx twenty times; no request of 50,000 may fail: ten minutes'
	@echo 'make compat  Tempest, Nova'"'"'s and Cinder'"'"'s image modules, and a comparison with Glance: under half an hour'
	@echo '             (PEER_DIR: scripts that start a real Glance; without them the comparison is skipped)'
	@echo 'make bench   compare with the real Glance (PEER_DIR: its scripts)'
	@echo 'make stores  run the suites of stores on real object stores: SeaweedFS and Swift'
	@echo 'make soak    upload and download for an hour or more, and check the memory of each process (SOAK='"'"'--uploads 100 --downloads 200'"'"': shorter)'
	@echo 'make clean   remove everything that these commands created, such as virtual environments and the demo'

demo: $(USED)
	@scripts/need 'run the demo' mke2fs:e2fsprogs qemu-img:qemu-utils
	@once='$(ONCE)'; exec $(BIN)/python demo/demo.py --port $(DEMO_PORT) $${once:+--once}

test: $(DEVELOPED) $(OBJECT_STORES)/.installed
	@scripts/need 'run every test' $(TOOLS)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

stores: $(DEVELOPED) $(OBJECT_STORES)/.installed
	@scripts/need 'run object stores' memcached:memcached
	$(BIN)/python -m pytest -m 'slow or not slow' tests/contract/test_stores.py tests/object_stores

pythons:
	@scripts/need 'run every test' $(TOOLS)
	@PYTHONS='$(PYTHONS)' scripts/pythons '$(TESTS)' $(DEVELOP)

client-quick: $(DEVELOPED)
	cd client && ../$(BIN)/python -m pytest -q tests/test_copied_metadata.py tests/test_documented_columns.py tests/test_entry_points.py tests/test_parallel.py tests/test_progress.py tests/test_values.py

client-test: $(DEVELOPED) $(OBJECT_STORES)/.installed
	cd client && ../$(BIN)/python -m pytest -q -m 'not slow'

client-debian: $(DEVELOPED) $(CLIENT_DEBIAN)/.installed $(SERVICES)/.installed
	cd client && PATH_OF_PARTAGE=../$(BIN)/partage ../$(CLIENT_DEBIAN)/bin/python -m pytest -q -m 'not slow'
	cd client && PARTAGE_COMPAT_SERVICES=../$(SERVICES) PATH_OF_PARTAGE=../$(BIN)/partage ../$(CLIENT_DEBIAN)/bin/python -m pytest -q -m slow tests/test_nova_and_cinder.py

client-speed: $(DEVELOPED)
	cd client && PEER_DIR='$(abspath $(PEER_DIR))' ../$(BIN)/python -m pytest -q -s tests/test_transfer_speed.py

client-compat: $(DEVELOPED) $(CLIENT_DEBIAN)/.installed $(SERVICES)/.installed
	cd client && PEER_DIR='$(abspath $(PEER_DIR))' PARTAGE_COMPAT_SERVICES=../$(SERVICES) ../$(BIN)/python -m pytest
	cd client && PEER_DIR='$(abspath $(PEER_DIR))' PARTAGE_COMPAT_SERVICES=../$(SERVICES) PATH_OF_PARTAGE=../$(BIN)/partage ../$(CLIENT_DEBIAN)/bin/python -m pytest

quick: $(DEVELOPED)
	$(BIN)/python -m pytest -q -n 2 -m 'not slow and not thorough' -k 'not postgresql and not mariadb' $(QUICK)

check: fmt-check lint types layers docs test client-quick

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

docs: $(DEVELOPED)
	$(BIN)/python -m sphinx -W --keep-going -q -j 2 -c docs/site -d build/site-state . build/site

changelog: $(DEVELOPED)
	@test -n '$(VERSION)' || { echo 'name the version: make changelog VERSION=1.2.0' >&2; exit 1; }
	$(BIN)/towncrier build --yes --version '$(VERSION)'

crash: $(DEVELOPED)
	@scripts/need 'kill at every point' '/usr/lib/postgresql/*/bin/initdb:postgresql' strace:strace
	$(BIN)/python -m pytest -m slow tests/crashes tests/races

mariadb: $(DEVELOPED)
	@scripts/need 'run the suites on MariaDB' mariadbd:mariadb-server mariadb-dump:mariadb-client qemu-img:qemu-utils mke2fs:e2fsprogs strace:strace bwrap:bubblewrap
	PARTAGE_TEST_DATABASES=mariadb $(BIN)/python -m pytest -n 2 --dist loadfile $(MARIADB)

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
	PEER_DIR=$(PEER_DIR) PARTAGE_COMPAT_SERVICES=$(SERVICES) $(BIN)/python -m pytest -m slow tests/compat tests/api/test_notifications_on_rabbitmq.py \
		tests/identity/test_deleted_projects_on_rabbitmq.py tests/main/test_installation_page.py
	$(BIN)/python -m tests.compat.tempest_suite --tempest $(TEMPEST) --folder $(COMPAT)/run

bench: $(USED)
	PEER_DIR=$(PEER_DIR) $(BIN)/python bench/run.py

soak: $(USED)
	$(BIN)/python bench/soak.py $(SOAK)

clean:
	rm -rf $(VENV) build .pythons $(COMPAT) .demo .bench .test-cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(USED): pyproject.toml client/pyproject.toml constraints.txt
	@scripts/venv $(VENV) $@ -e '.[standalone]' -e ./client

$(DEVELOPED): pyproject.toml client/pyproject.toml constraints.txt
	@scripts/venv $(VENV) $@ $(DEVELOP)

$(TEMPEST)/.installed: tests/compat/tempest_suite/requirements.txt
	@CONSTRAINTS=tests/compat/tempest_suite/requirements.txt scripts/venv $(TEMPEST) $@ -r tests/compat/tempest_suite/requirements.txt

$(SERVICES)/.installed: tests/compat/services/requirements.txt
	@CONSTRAINTS=tests/compat/services/requirements.txt scripts/venv $(SERVICES) $@ -r tests/compat/services/requirements.txt

# Without these servers their tests are skipped, and say so.
$(OBJECT_STORES)/.installed: tests/object_stores/requirements.txt
	@CONSTRAINTS=tests/object_stores/requirements.txt scripts/venv $(OBJECT_STORES) $@ -r tests/object_stores/requirements.txt || \
		echo 'The object stores of tests could not be installed; their tests are skipped' >&2

$(CLIENT_DEBIAN)/.installed: client/pyproject.toml client/tests/debian-12.txt
	@CONSTRAINTS=client/tests/debian-12.txt scripts/venv $(CLIENT_DEBIAN) $@ -e './client[cli]' -r client/tests/debian-12.txt

.PHONY: help demo test client-quick client-test client-debian client-speed client-compat pythons stores quick check fmt-check fmt lint types layers docs changelog crash mariadb fuzz hostile rolling compat bench soak clean
