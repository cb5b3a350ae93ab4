"""Every route of the sharing API as one row: method, path, handler, policy rule, success status."""

from partage.http.routing import Row

PREFIX = "/partage/v1"

ROWS: tuple[Row, ...] = ()
