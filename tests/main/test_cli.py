"""The command `partage`: what stands in the way is one sentence and an exit status, never a traceback."""

import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

import partage
from partage.main.process import listening
from partage.operations import images, metadefs
from tests.operations import services
from tests.standalone import PARTAGE, RunningKeystone


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PARTAGE, *arguments], env={**os.environ, **environment}, text=True, capture_output=True, check=False)


def refused(*arguments: str, status: int = 1, **environment: str) -> str:
    """Run a command that must be refused; return its one sentence."""
    done = run(*arguments, **environment)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("partage: ")
    return lines[0]


def at(keystone: RunningKeystone, data: Path) -> Mapping[str, str]:
    """Settings of a service beside that Keystone."""
    return {
        "PARTAGE_DATA": str(data),
        "PARTAGE_PORT": str(listening.find_free_port()),
        "PARTAGE_IDENTITY__URL": keystone.url,
        "PARTAGE_IDENTITY__PASSWORD": keystone.kept.passwords["partage"],
    }


def test_version_is_shown() -> None:
    for arguments in ("version", "--version"):
        assert run(arguments).stdout == f"partage {partage.__version__}\n"


def test_every_verb_explains_itself() -> None:
    for verb in ("up", "serve", "config", "manage", "version"):
        assert run(verb, "--help").returncode == 0
        assert verb in run("--help").stdout


@pytest.mark.parametrize("command", [(), ("manage",)])
def test_help_is_printed_when_no_command_is_given(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(" ".join(["usage: partage", *command]))
    assert "upgrade-database" in done.stderr if command else "manage" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "restore \udcff\udcfe",
        "take-down \udcff",
        "close-project \udcff",
        "take-over-store \udcff --from nobody",
        "verify --data /tmp/\udcff",
    ],
)
def test_argument_that_is_not_text_is_refused(command: str) -> None:
    """It was a traceback: no database takes such a text."""
    assert "is not UTF-8 text" in refused("manage", *command.split(), status=2)


def test_configuration_is_shown() -> None:
    shown = run("config", PARTAGE_PORT="1234", PARTAGE_IDENTITY__PASSWORD="hunter2")
    assert "port = 1234" in shown.stdout
    assert "hunter2" not in shown.stdout


def test_sample_is_shown() -> None:
    assert "# port = 9292" in run("config", "--sample").stdout


def test_wrong_configuration_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "partage.toml"
    file.write_text("prot = 1")
    assert "there is no setting prot" in refused("serve", "--config", str(file), status=2)
    assert "does not exist" in refused("serve", "--config", str(tmp_path / "absent"), status=2)
    assert "port" in refused("serve", "--port", "0", status=2)


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for verb in (("serve",), ("up", "--data", str(tmp_path))):
            words = refused(*verb, "--port", port, PARTAGE_DATA=str(tmp_path))
            assert f"port {port}: the port is in use" in words
            assert "--port" in words


def test_address_of_another_machine() -> None:
    assert "no address of this machine" in refused("serve", "--host", "192.0.2.1")


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "data"
    port = str(listening.find_free_port())
    assert f"The directory {below} cannot be created" in refused("up", "--data", str(below), "--port", port)
    assert f"The directory {below} cannot be created" in refused("serve", "--port", port, PARTAGE_DATA=str(below))


def test_second_up_on_one_directory(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = ["flock", str(lock), "-c", "echo held; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert "Another partage up runs" in refused("up", "--data", str(tmp_path), "--port", str(listening.find_free_port()))
        holder.communicate("\n")


def test_empty_database_says_how_to_fill_it(keystone: RunningKeystone, tmp_path: Path) -> None:
    assert "partage manage upgrade-database" in refused("serve", **at(keystone, tmp_path))


def test_database_of_a_newer_release(keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = at(keystone, tmp_path)
    assert run("manage", "upgrade-database", **settings).returncode == 0
    with closing(sqlite3.connect(tmp_path / "partage.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    for verb in (("serve",), ("manage", "upgrade-database"), ("manage", "verify"), ("up", "--data", str(tmp_path))):
        assert "newer release" in refused(*verb, **settings)


def test_database_that_is_not_there(keystone: RunningKeystone, tmp_path: Path) -> None:
    url = "postgresql://partage:hunter2@127.0.0.1:1/partage"
    words = refused("serve", **at(keystone, tmp_path), PARTAGE_DATABASE_URL=url)
    assert "database" in words
    assert "hunter2" not in words


def test_keystone_that_is_not_there(keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = at(keystone, tmp_path)
    run("manage", "upgrade-database", **settings)
    words = refused("serve", **{**settings, "PARTAGE_IDENTITY__URL": "http://127.0.0.1:1/identity"})
    assert "http://127.0.0.1:1/identity/v3 does not respond" in words


def test_keystone_that_does_not_know_the_service(keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = at(keystone, tmp_path)
    run("manage", "upgrade-database", **settings)
    words = refused("serve", **{**settings, "PARTAGE_IDENTITY__PASSWORD": "wrong"})
    assert "refuses this service's own user and password" in words


def test_policy_file_that_cannot_be_used(keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = at(keystone, tmp_path)
    file = tmp_path / "policy.yaml"
    assert "policy file" in refused("serve", **settings, PARTAGE_POLICY_FILE=str(file))
    for text in ("get_image: [unclosed", "- get_image", '"get_image": "admin"', '"get_image": "rule:get_image"'):
        file.write_text(text)
        assert "policy file" in refused("serve", **settings, PARTAGE_POLICY_FILE=str(file))


def test_unknown_variable_ends_every_verb(tmp_path: Path) -> None:
    for verb in (("serve",), ("worker",), ("config",), ("manage", "verify"), ("up", "--data", str(tmp_path))):
        words = refused(*verb, status=2, PARTAGE_IDENTITY__PASWORD="hunter2")
        assert "the variable PARTAGE_IDENTITY__PASWORD names no setting; did you mean PARTAGE_IDENTITY__PASSWORD?" in words
        assert "hunter2" not in words


def test_database_tasks_say_what_they_did(keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = at(keystone, tmp_path)
    assert "is up to date" in run("manage", "upgrade-database", **settings).stdout
    assert "0 damaged" in run("manage", "verify", **settings).stdout
    swept = run("manage", "sweep", **settings)
    assert (swept.returncode, swept.stderr) == (0, "")


def test_manage_says_where_it_looked_for_a_database(tmp_path: Path) -> None:
    done = run("manage", "verify", "--data", str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no database at" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "absent").exists()


def test_manage_takes_the_data_directory_and_the_grace_period(tmp_path: Path) -> None:
    assert run("manage", "upgrade-database", "--data", str(tmp_path)).returncode == 0
    assert run("manage", "verify", "--data", str(tmp_path)).stdout == "Verified 0 contents, 0 bytes: 0 damaged\n"
    swept = run("manage", "sweep", "--data", str(tmp_path), "--grace", "0")
    assert (swept.returncode, swept.stderr) == (0, "")
    assert swept.stdout.startswith("Removed 0 contents")


def test_sweep_that_cannot_remove_a_pack_names_it_and_fails(tmp_path: Path) -> None:
    sweep = ("manage", "sweep", "--data", str(tmp_path), "--grace", "0")
    assert run("manage", "upgrade-database", "--data", str(tmp_path)).returncode == 0
    assert run(*sweep).returncode == 0
    pack_id = "a" * 32
    with closing(sqlite3.connect(tmp_path / "partage.db")) as database:
        (store,) = database.execute("SELECT store_id FROM store_identities").fetchone()
        row = (pack_id, store)
        database.execute("INSERT INTO packs (id, store_id, size, created_at, retired_at) VALUES (?, ?, 1, 1, 1)", row)
        database.commit()
    (tmp_path / "store" / "packs" / "aa" / pack_id).mkdir(parents=True)  # a folder, which unlink refuses
    swept = run(*sweep)
    assert swept.returncode == 1
    assert "Kept 1 objects that could not be rewritten or removed" in swept.stdout
    assert f"{store}: packs/aa/{pack_id}: " in swept.stdout
    assert f"sweep of {store}, packs/aa/{pack_id}: StoreUnavailable" in swept.stderr


def test_metadata_definitions_are_loaded_once(tmp_path: Path) -> None:
    data, files = tmp_path / "data", tmp_path / "files"
    assert run("manage", "upgrade-database", "--data", str(data)).returncode == 0
    files.mkdir()
    for number in range(2):
        document = {"namespace": f"OS::Test::{number}", "visibility": "public", "protected": True, "tags": [{"name": "a"}]}
        (files / f"{number}.json").write_text(json.dumps(document))
    load = ("manage", "load-metadefs", "--data", str(data), "--from", str(files))
    assert run(*load).stdout == "Created 2 namespaces; 0 of 2 already exist\n"
    assert run(*load).stdout == "Created 0 namespaces; 2 of 2 already exist\n"
    (files / "bad.json").write_text('{"namespace": 5}')
    assert "bad.json are invalid" in refused(*load, status=2)
    assert "no JSON files" in refused("manage", "load-metadefs", "--data", str(data), "--from", str(tmp_path / "absent"), status=2)
    shipped = refused("manage", "load-metadefs", "--data", str(data), status=2)
    assert "glance" in shipped


def test_own_metadata_definitions_are_valid_and_for_images(tmp_path: Path) -> None:
    service = services.make(tmp_path)
    assert run("manage", "load-metadefs", "--own", "--data", str(tmp_path)).stdout == "Created 4 namespaces; 0 of 4 already exist\n"
    for name, key in (
        ("Devices", "hw_disk_bus"),
        ("Firmware", "hw_firmware_type"),
        ("Guest", "os_distro"),
        ("Processor", "hw_cpu_cores"),
    ):
        found = metadefs.show_namespace(service, services.OWNER, f"Partage::{name}", resource_type="OS::Glance::Image")
        assert key in {each.name for each in found.definitions}
    assert "--own" in refused("manage", "load-metadefs", "--data", str(tmp_path), status=2)


def test_deleted_images_are_restored_and_scrubbed(tmp_path: Path) -> None:
    """Deleted by a service of the test's own, in the directory that the commands are then told of."""
    service = services.make(tmp_path, delayed_delete=True)
    kept, lost = (services.image_with(service, name).id for name in (b"kept", b"lost"))
    for image_id in (kept, lost):
        images.delete_image(service, services.OWNER, image_id)
    at = ("--data", str(tmp_path))
    assert run("manage", "restore", kept, *at).stdout == f"Restored image {kept} of project A; its status is active\n"
    assert services.download(service, kept) == b"kept"
    assert run("manage", "scrub", *at).stdout.startswith("Scrubbed 0 deleted images")
    assert run("manage", "scrub", *at, PARTAGE_SCRUB_TIME_SECONDS="0").stdout.startswith("Scrubbed 1 deleted images")
    assert f"No image {lost} waits to be scrubbed" in refused("manage", "restore", lost, *at)
    service.database.close()
