"""Only `outbound` opens URLs: a second place would forget one of its checks. Seen here: what import-linter cannot tell."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "partage"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "outbound")
CLIENTS = {"aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "telnetlib", "urllib.request", "urllib3", "xmlrpc"}
CALLS = {"create_connection", "connect_ex", "open_connection", "open_unix_connection", "urlopen"}
KEYSTONE = {"keystoneauth1", "keystoneclient", "openstack"}
KEY_MANAGER = {"barbicanclient", "castellan"}
TRACES = {"opentelemetry"}
OBJECT_STORES = {"botocore"}


def imported(tree: ast.AST) -> set[str]:
    """Give every module named by an import, with its packages: a.b.c gives a, a.b and a.b.c."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[:length]) for name in names for length in range(1, name.count(".") + 2)}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_opens_no_url(module: Path) -> None:
    tree = ast.parse(module.read_text())
    room = module.relative_to(SOURCE).parts[0]
    assert not imported(tree) & CLIENTS
    assert room in {"identity", "stores"} or not imported(tree) & KEYSTONE
    assert room == "signatures" or not imported(tree) & KEY_MANAGER
    assert room == "tracing" or not imported(tree) & TRACES
    assert room == "stores" or not imported(tree) & OBJECT_STORES
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }
    assert not called & CALLS


def test_check_detects_http_clients() -> None:
    for line in (
        "import urllib.request",
        "from urllib import request",
        "from http.client import HTTPConnection",
        "import urllib3.util",
    ):
        assert imported(ast.parse(line)) & CLIENTS, line
