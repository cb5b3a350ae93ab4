"""Swift of PyPI's, all in one: a proxy, an account, a container and an object server on loopback, one device, one replica.

The proxy has tempauth (Swift's own accounts, auth version 1) and s3api, so that the same server is an S3 server too.
"""

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from partage.main.process.listening import find_free_port
from tests.object_stores import servers
from tests.object_stores.servers import ACCESS_KEY, SECRET_KEY, RunningServer
from tests.standalone import RunningKeystone

ACCOUNT = "test"
"""The user is `test:ACCESS_KEY`; the key is `SECRET_KEY`."""

_TYPES = ("account", "container", "object")


@contextmanager
def server(memcached: Path, keystone: RunningKeystone | None = None) -> Iterator[RunningServer]:
    """Start a Swift without containers; kill it and remove its files at the end. With a Keystone it accepts its tokens too."""
    program = servers.find_program("swift-ring-builder")
    if program is None:
        raise RuntimeError(servers.MISSING)
    folder = Path(mkdtemp(prefix="partage-swift-"))
    running = _prepare(folder, program.parent, memcached, keystone)
    try:
        running.start("/info")
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def render_reference(server: RunningServer, key: str = SECRET_KEY) -> str:
    """Return a file in the format of Glance's `swift_store_config_file`, with the reference `test`."""
    return f"[test]\nauth_version = 1\nauth_address = {server.url}/auth/v1.0\nuser = {server.access_key}\nkey = {key}\n"


def _prepare(folder: Path, programs: Path, memcached: Path, keystone: RunningKeystone | None) -> RunningServer:
    """Write the configuration and build the rings."""
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    (folder / "devices" / "d1").mkdir(parents=True)
    proxy_port, memory_port = find_free_port(), find_free_port()
    commands: dict[str, list[str]] = {
        "memcached": [str(memcached), "-l", "127.0.0.1", "-p", str(memory_port), "-u", getpass.getuser(), "-m", "16"],
    }
    for type_ in _TYPES:
        port = find_free_port()
        _build_ring(folder, programs, type_, port)
        (folder / f"{type_}.conf").write_text(_STORAGE.format(folder=folder, type=type_, port=port, user=getpass.getuser()))
        commands[type_] = _run_program(programs, f"swift-{type_}-server", folder / f"{type_}.conf")
    values: dict[str, object] = {"folder": folder, "port": proxy_port, "memory_port": memory_port, "user": getpass.getuser()}
    values |= {"account": ACCOUNT, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "auth": "", "more": ""}
    if keystone is not None:
        account = keystone.credentials
        values["auth"] = "authtoken keystoneauth"
        values["more"] = _KEYSTONE.format(url=account.url, user=account.username, password=account.password)
    (folder / "proxy.conf").write_text(_PROXY.format(**values))
    commands["proxy"] = _run_program(programs, "swift-proxy-server", folder / "proxy.conf")
    return RunningServer(f"http://127.0.0.1:{proxy_port}", folder, commands, access_key=f"{ACCOUNT}:{ACCESS_KEY}")


def _run_program(programs: Path, name: str, configuration: Path) -> list[str]:
    # Swift reads swift.conf in /etc/swift before it reads its own configuration, unless it is told otherwise in the process
    start = (
        "import runpy, sys; from swift.common import utils; "
        f"utils.SWIFT_CONF_FILE = {str(configuration.with_name('swift.conf'))!r}; "
        f"sys.argv = [{name!r}, {str(configuration)!r}]; runpy.run_path({str(programs / name)!r}, run_name='__main__')"
    )
    return [str(programs / "python"), "-c", start]


def _build_ring(folder: Path, programs: Path, type_: str, port: int) -> None:
    builder = str(folder / f"{type_}.builder")
    for arguments in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
        command = [str(programs / "python"), str(programs / "swift-ring-builder"), builder, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)


_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
log_address = {folder}/no-syslog
[pipeline:main]
pipeline = {type}-server
[app:{type}-server]
use = egg:swift#{type}
"""

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = {folder}/no-syslog
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth {auth} copy container-quotas slo dlo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memory_port}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{access_key} = {secret_key} .admin
[filter:copy]
use = egg:swift#copy
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
{more}
"""

_KEYSTONE = """
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = {user}
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
delay_auth_decision = true
include_service_catalog = false
cache = swift.cache
[filter:keystoneauth]
use = egg:swift#keystoneauth
reseller_prefix = KEYSTONE
operator_roles = admin, member
"""
