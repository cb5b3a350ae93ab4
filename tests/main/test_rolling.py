"""A small part of `make rolling`: two restarts under load behind HAProxy and nginx cost no request."""

from pathlib import Path

from tests import rolling
from tests.standalone import RunningKeystone


def test_rolling_restart_behind_proxies_fails_no_request(keystone: RunningKeystone, tmp_path: Path) -> None:
    tally = rolling.roll(keystone, tmp_path, restarts=2, requests=400)
    assert tally.failed == []
    assert {"create", "upload", "download", "show", "list", "change", "delete"} == {*tally.done}
    assert tally.total >= 400
