"""Which headers of a request are read at all: those of both APIs, HTTP's own, and tokens. No other header can steer the service.

T-40 and T-61 of docs/security.md: there are no internal headers that a client could send, because none is read.
"""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "partage"
READ = {
    "accept",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "if-none-match",
    "if-range",
    "range",
    "traceparent",  # steers the ids of spans alone
    "transfer-encoding",
    "upload-complete",
    "upload-draft-interop-version",
    "upload-length",
    "upload-offset",
    "x-auth-token",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-image-cache-clear-target",
    "x-image-meta-store",
    "x-openstack-append",
    "x-openstack-image-size",
    "x-openstack-request-id",
    "x-service-token",
}
"""What a request may say by headers, all of it."""


def named(tree: ast.AST) -> set[str]:
    """Give every name of a header that a module asks a request for, whether by a call, by an index, or with `in`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "header", "text"):
            found |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found.add(node.slice.value)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            found.add(node.left.value)
    return {each.decode() for each in found if isinstance(each, bytes)}


def test_no_other_header_is_read() -> None:
    trees = {path: ast.parse(path.read_text()) for path in (SOURCE / "http").rglob("*.py")}
    asked = set().union(*(named(tree) for tree in trees.values())) - {"%", "\\u0000"}
    assert asked == READ


def test_only_configuration_reads_environment_variables() -> None:
    """A proxy of the environment, or a variable that a child inherits, would be a second way to steer what is fetched."""
    readers = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert {each for each in readers if not each.startswith("main/")} <= {"conversion/convert.py"}
