"""Commands close their connections to the database, whether they do what was asked or refuse it."""

from pathlib import Path

import pytest

from partage.main import cli
from tests import databases
from tests.operations import services


def open_below(folder: Path) -> list[str]:
    return [each for each in databases.list_open() if str(folder) in each]


@pytest.mark.parametrize("verb", ["upgrade-database", "verify", "sweep", "scrub"])
def test_command_leaves_no_connection_open(verb: str, data: Path) -> None:
    assert cli.main(["manage", verb, "--data", str(data)]) == 0
    assert open_below(data) == []


def test_command_that_is_refused_leaves_no_connection_open(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["manage", "restore", "6a6ae7a5-0fde-4f4f-9fd5-8f4c2a1f3f5d", "--data", str(data)]) == 1
    assert "6a6ae7a5-0fde-4f4f-9fd5-8f4c2a1f3f5d" in capsys.readouterr().err
    assert open_below(data) == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make the data directory of a service that has one image, with nothing open."""
    service = services.make(tmp_path)
    services.image_with(service, b"data")
    service.database.close()
    assert open_below(tmp_path) == []
    return tmp_path
