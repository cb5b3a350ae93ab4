"""The command that takes over a Glance, and the reading of Glance's configuration."""

from pathlib import Path

import pytest

from partage import problems
from partage.main import cli
from partage.main.configuration.glance_config import read_glance_config
from partage.model.ids import ImageID, StoreID
from partage.stores.drivers.posix import PosixStore
from partage.stores.originals.files import OriginalFiles
from tests import databases, glance_world
from tests.glance_world import GlanceWorld
from tests.operations import services

DATA = b"some data" * 100_000


@pytest.fixture
def glance(tmp_path: Path) -> GlanceWorld:
    return glance_world.make_glance(tmp_path / "glance")


@pytest.fixture
def config(tmp_path: Path, glance: GlanceWorld, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of this service with a database and a store named fast."""
    own = tmp_path / "own"
    services.make(own).database.close()
    file = tmp_path / "partage.toml"
    file.write_text(
        f'data = "{own}"\n[[stores]]\nid = "fast"\npath = "{own / "store"}"\n[taking_over]\nglance_config = "{glance.config}"\n'
    )
    monkeypatch.setenv("PARTAGE_CONFIG", str(file))
    return file


def test_command_takes_over_and_reports(glance: GlanceWorld, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    glance.add_image(DATA, members={"B": "accepted"})
    refused = glance.add_image(DATA, location="rbd://pool/image")
    assert cli.main(["manage", "import-glance", "--config", str(glance.config), "--dry-run"]) == 1
    assert "1 new and 0 changed ones would be taken over with 1 members" in capsys.readouterr().out
    assert cli.main(["manage", "import-glance"]) == 1
    printed = capsys.readouterr().out
    assert "1 new and 0 changed ones were taken over with 1 members" in printed
    assert f"{refused}: its data is at a location rbd:" in printed
    assert [each for each in databases.list_open() if str(config.parent) in each] == []


def test_originals_are_removed_only_when_it_is_confirmed(
    glance: GlanceWorld, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = glance.add_image(DATA)
    assert cli.main(["manage", "import-glance"]) == 0
    glance.file_of(taken).rename(glance.file_of("other"))
    glance.execute("UPDATE image_locations SET value = ?", f"file://{glance.file_of('other')}")
    service = services.make(config.parent / "own")
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE originals SET cut_at = 1")
    service.database.close()
    glance.file_of("other").rename(glance.file_of(taken))
    assert cli.main(["manage", "remove-originals"]) == 0
    assert f"Unneeded: file://{glance.file_of(taken)}" in capsys.readouterr().out
    assert glance.file_of(taken).exists()
    assert cli.main(["manage", "remove-originals", "--yes"]) == 0
    assert not glance.file_of(taken).exists()


@pytest.mark.parametrize(
    ("url", "status", "reason"),
    [
        ("mysql://u:hidden@127.0.0.1:port/glance", 2, "names no MariaDB"),
        ("mysql://u:hidden@127.0.0.1:1/glance?unknown=1", 1, "unexpected keyword argument 'unknown'"),
        ("mysql://u:hidden@127.0.0.1:1/glance?ssl_ca=/absent", 1, "No such file"),
        ("mysql+pymysql://u:hidden@127.0.0.1:1/glance?charset=utf8&plugin=dbcounter", 1, "cannot be read"),
    ],
)
@pytest.mark.usefixtures("config")
def test_database_that_cannot_be_opened_is_an_error_without_password(
    url: str, status: int, reason: str, glance: GlanceWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    glance.config.write_text(glance.config.read_text().replace(glance.url, url))
    assert cli.main(["manage", "import-glance"]) == status
    printed = capsys.readouterr().err
    assert reason in printed
    assert "hidden" not in printed


def test_store_that_stands_for_none_is_named(glance: GlanceWorld, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace('id = "fast"', 'id = "other"'))
    assert cli.main(["manage", "import-glance"]) == 2
    assert "No store of this service stands for the store fast of the Glance" in capsys.readouterr().err
    config.write_text(config.read_text() + 'stores = { fast = "other" }\n')
    assert cli.main(["manage", "import-glance"]) == 0
    config.write_text(config.read_text().replace("{ fast", "{ unknown"))
    assert cli.main(["manage", "import-glance"]) == 2
    assert f"taking_over.stores names unknown, but {glance.config} has the stores fast" in capsys.readouterr().err


def test_glance_without_named_stores_goes_to_the_default_store(glance: GlanceWorld, config: Path) -> None:
    text = (
        glance.config.read_text()
        .replace("enabled_backends = fast:file\n", "")
        .replace("[fast]", "")
        .replace("default_backend = fast", "")
    )
    glance.config.write_text(text)
    taken = ImageID(glance.add_image(DATA, store=""))
    assert cli.main(["manage", "import-glance"]) == 0
    own = config.parent / "own"
    readers = {"file": OriginalFiles([glance.folder / "images"])}
    fast = services.builder.name_stores({StoreID("fast"): PosixStore(own / "store")})
    service = services.make(own, originals=readers, stores=fast)
    assert services.download(service, taken) == DATA
    service.database.close()


def test_configuration_is_read_as_glance_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "glance-api.conf"
    file.write_text(
        "[DEFAULT]\nenabled_backends = one:file, two:swift,ceph:rbd\n[database]\nconnection = sqlite:////srv/x.db\n"
        "[glance_store]\ndefault_backend = two\n[one]\nfilesystem_store_datadirs = /a:100\nfilesystem_store_datadirs = /b\n"
    )
    (tmp_path / "glance-api.conf.d").mkdir()
    (tmp_path / "glance-api.conf.d" / "10-more.conf").write_text("[two]\ndefault_swift_reference = mine\n")
    found = read_glance_config(tmp_path)
    assert [(each.id, each.type) for each in found.stores] == [("one", "file"), ("two", "swift"), ("ceph", "rbd")]
    assert found.stores[0].directories == (Path("/a"), Path("/b"))
    assert found.stores[1].options["default_swift_reference"] == "mine"
    assert (found.default_store, found.by_type) == ("two", False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[DEFAULT]\n", "has no connection in its section database"),
        ("no section", "cannot be read"),
        ("[database]\nconnection = sqlite:///x\n[DEFAULT]\nenabled_backends = nonsense\n", "cannot be read"),
    ],
)
def test_useless_configuration_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "glance-api.conf").write_text(text)
    with pytest.raises(problems.Invalid, match=reason):
        read_glance_config(tmp_path / "glance-api.conf")
    with pytest.raises(problems.Invalid, match="cannot be read"):
        read_glance_config(tmp_path / "absent.conf")
