"""Settings: where they come from, which win, and what is said of wrong ones."""

import itertools
import re
import socket
import subprocess
import sys
import tomllib
from dataclasses import replace
from ipaddress import ip_network
from operator import attrgetter
from pathlib import Path

import certifi
import pytest

from partage import problems
from partage.http.options import EdgeOptions
from partage.identity.sealing import TokenSeal
from partage.main.composition import compose
from partage.main.configuration import config, renames, sample, store_types, validation_errors
from partage.main.process import priority
from partage.model.caller import Caller
from partage.model.ids import ProjectID, StoreID, TaskID, UserID
from partage.model.import_request import ImportMethod
from partage.model.limits import Limits
from partage.notifications.bus import Bus
from partage.operations.service import HTTPStore, Nobody
from partage.outbound.rules import Rules
from partage.signatures.certificates import KeyManagerSignatures
from partage.stores.cache.cache_directory import Bounds


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(config.FILE_VARIABLE, raising=False)


def written(folder: Path, text: str) -> Path:
    file = folder / "partage.toml"
    file.write_text(text)
    return file


def test_defaults_need_no_file() -> None:
    settings = config.load({})
    assert (settings.port, settings.effective_default_store) == (9292, "local")
    assert [store.path for store in settings.effective_stores] == [Path("partage-data/store")]
    assert settings.effective_database_url.endswith("/partage-data/partage.db")


def test_defaults_are_those_of_the_layers_below() -> None:
    settings = config.load({})
    edge = EdgeOptions(www_authenticate_uri="")
    assert compose.build_limits(settings) == Limits()
    assert (settings.formats.disk_formats, settings.formats.container_formats) == (edge.formats.disk, edge.formats.container)
    assert ImportMethod.GLANCE_DOWNLOAD not in settings.imports.methods
    assert compose.build_fetch_rules(settings) == Rules()


def test_threads_of_image_data_have_lower_priority(tmp_path: Path) -> None:
    settings = config.load({"data": tmp_path})
    assert (
        compose.build_edge_options(settings, compose.build_service(settings)).data_thread_begins is priority.lower_thread_priority
    )


def test_known_chunks_are_written_again_by_default(tmp_path: Path) -> None:
    assert compose.build_service(config.load({"data": tmp_path})).features.hide_deduplication_timing
    assert not compose.build_service(
        config.load({"data": tmp_path, "hide_deduplication_timing": False})
    ).features.hide_deduplication_timing


def test_networks_to_fetch_from_are_read_and_shown(tmp_path: Path) -> None:
    text = "[fetch]\nnetworks_allowed = ['10.1.0.0/16', 'fd00::/64']\nports = [8080]\nhosts_denied = ['.example.org']"
    settings = config.load({}, file=written(tmp_path, text))
    rules = compose.build_fetch_rules(settings)
    assert rules.networks_allowed == (ip_network("10.1.0.0/16"), ip_network("fd00::/64"))
    assert (rules.ports, rules.hosts_denied) == ((8080,), (".example.org",))
    assert tomllib.loads(sample.format_effective_settings(settings))["fetch"]["networks_allowed"] == ["10.1.0.0/16", "fd00::/64"]


def test_glance_download_needs_a_key_and_what_is_set_reaches_the_service(tmp_path: Path) -> None:
    key = "a key that was drawn at random, say"
    on = "[imports]\nmethods = ['glance-download']\nglance_download_properties = ['os_']\n"
    with pytest.raises(problems.Unavailable, match=r"needs a key in imports\.token_keys"):
        compose.build_service(config.load({"data": tmp_path}, file=written(tmp_path, on)))
    with pytest.raises(problems.Invalid, match=r"imports\.token_keys: a key needs at least 32 random characters"):
        config.load({}, file=written(tmp_path, f"{on}token_keys = ['short']"))
    known = f"{on}token_keys = ['{key}']\n[identity]\ncafile = '{certifi.where()}'\n[fetch]\nports = [8080]\nhosts_denied = ['a']\n"
    settings = config.load({"data": tmp_path}, file=written(tmp_path, known))
    assert key not in sample.format_effective_settings(settings) + repr(settings)
    regions = compose.build_service(settings).integrations.require_regions()
    assert regions.copied == ("os_",)
    assert (regions.rules.cafile, regions.rules.redirects, regions.rules.hosts_denied) == (certifi.where(), 0, ())
    assert 9292 in regions.rules.ports
    assert regions.seal.unseal(TokenSeal([key]).seal("token", task_id=TaskID("t")), task_id=TaskID("t")) == "token"


def test_signatures_are_verified_by_the_key_manager_that_is_set(tmp_path: Path) -> None:
    at_home = {"data": tmp_path}
    assert isinstance(compose.build_service(config.load(at_home)).integrations.signatures, KeyManagerSignatures)
    castellan = tmp_path / "castellan.conf"
    text = f"[signatures]\ncastellan_file = '{castellan}'\ntimeout_seconds = 3"
    settings = config.load(at_home, file=written(tmp_path, text))
    for broken in ("no section", "[key_manager]\nbackend = nothing.of.that.name\n"):
        castellan.write_text(broken)
        with pytest.raises(problems.Unavailable, match="describes no key manager"):
            compose.build_service(settings)
    castellan.write_text("[key_manager]\nbackend = vault\n[vault]\nvault_url = http://127.0.0.1:8200\n")
    assert isinstance(compose.build_service(settings).integrations.signatures, KeyManagerSignatures)
    castellan.unlink()
    with pytest.raises(problems.Unavailable, match="describes no key manager"):
        compose.build_service(settings)


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("barbicanclient", "castellan", "cursive"))
from partage.main.composition import compose
from partage.main.configuration import config
print(type(compose.build_service(config.load({"signatures": {"castellan_file": sys.argv[1]}})).integrations.signatures).__name__)
"""


@pytest.mark.parametrize(("file", "told"), [("", "Unverifiable"), ("x", "castellan_file needs partage[signatures]")])
def test_signature_settings_without_the_extra_are_reported(file: str, told: str, tmp_path: Path) -> None:
    """A process that cannot import what the extra brings, as where it is not installed."""
    done = subprocess.run([sys.executable, "-c", WITHOUT, file], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told in done.stdout + done.stderr


def test_command_line_wins_over_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "port = 1\nworkers = 1\nhost = '::1'\n[limits]\ntags = 7\nmembers = 8\n")
    monkeypatch.setenv("PARTAGE_WORKERS", "2")
    monkeypatch.setenv("PARTAGE_LIMITS__TAGS", "9")
    settings = config.load({"port": 3}, file=file)
    assert (settings.port, settings.workers, settings.host) == (3, 2, "::1")
    assert (settings.limits.tags, settings.limits.members) == (9, 8)


def test_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTAGE_CONFIG", str(written(tmp_path, "port = 4711")))
    assert config.load({}).port == 4711


LISTS = ("imports.glance_download_properties",)


def example(name: str) -> str:
    return '["os_"]' if name in LISTS else "false" if name == "hide_deduplication_timing" else "7"


def value_of(settings: config.Settings, name: str) -> object:
    return attrgetter(name)(settings)


@pytest.mark.parametrize(("old", "new"), renames.RENAMES.items())
def test_former_name_in_the_file_is_accepted_with_a_warning(
    old: str, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    section, _, key = old.rpartition(".")
    settings = config.load({}, file=written(tmp_path, f"{f'[{section}]' if section else ''}\n{key} = {example(new)}\n"))
    assert value_of(settings, new) != value_of(config.load({}), new)
    assert f"{old} was renamed to {new}" in caplog.text


@pytest.mark.parametrize(("old", "new"), renames.RENAMES.items())
def test_former_name_of_a_variable_is_accepted_with_one_warning(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    default = value_of(config.load({}), new)
    before, after = (f"PARTAGE_{name.replace('.', '__').upper()}" for name in (old, new))
    monkeypatch.setenv(before, example(new))
    assert value_of(config.load({}), new) != default
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [f"{before} was renamed to {after}"]


def test_former_name_in_a_variable_of_a_whole_section_is_accepted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PARTAGE_UPLOADS", '{"at_once": 7}')
    assert config.load({}).uploads.max_concurrent == 7
    assert "uploads.at_once was renamed to uploads.max_concurrent" in caplog.text


def test_setting_under_both_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "[uploads]\nat_once = 3\nmax_concurrent = 4\n")
    with pytest.raises(problems.Invalid, match=r"has uploads\.max_concurrent and its former name uploads\.at_once"):
        config.load({}, file=file)
    monkeypatch.setenv("PARTAGE_UPLOADS__AT_ONCE", "3")
    monkeypatch.setenv("partage_uploads__max_concurrent", "4")
    with pytest.raises(problems.Invalid, match="remove PARTAGE_UPLOADS__AT_ONCE"):
        config.load({})


def test_present_names_of_renamed_settings_exist() -> None:
    names = [name for name, _ in validation_errors.list_settings(config.Settings)]
    assert {*renames.RENAMES.values()} <= {*names}
    assert {*renames.RENAMES}.isdisjoint(names)


def test_renamed_limits_reach_the_layers_below() -> None:
    own = {"read_timeout_seconds": 7, "min_bytes_per_second": 8}
    rules = compose.build_fetch_rules(config.load({"fetch": own}))
    assert (rules.silence_seconds, rules.slowest_bytes_per_second) == (7, 8)


_FAST = "[[stores]]\nid = 'fast'\npath = '/srv/fast'\n"
_WEB = "[[stores]]\nid = 'web'\ntype = 'http'\ndescription = 'w'\nweight = 3\n"


def test_a_store_may_be_the_web(tmp_path: Path) -> None:
    settings = config.load({"data": tmp_path}, file=written(tmp_path, f"show_multiple_locations = true\n{_WEB}{_FAST}"))
    assert settings.effective_default_store == "fast"
    assert "path" not in sample.format_effective_settings(settings).partition('"web"')[2].partition("[[stores]]")[0]
    service = compose.build_service(settings)
    assert (list(service.stores.by_id), service.features.locations_shown) == (["fast"], True)
    assert service.stores.http == HTTPStore(id=StoreID("web"), description="w", weight=3)


def test_stores_come_from_the_file(tmp_path: Path) -> None:
    stores = "[[stores]]\nid = 'fast'\npath = '/srv/fast'\n[[stores]]\nid = 'old'\npath = '/srv/old'\nread_only = true\n"
    settings = config.load({}, file=written(tmp_path, f"default_store = 'old'\n{stores}"))
    assert [store.id for store in settings.effective_stores] == ["fast", "old"]
    assert settings.effective_default_store == "old"


@pytest.mark.parametrize(
    ("cache", "directory", "bounds"),
    [
        ("", "cache", Bounds(free_share=0.25)),
        ("size_bytes = 7\nfree_share = 0.5", "cache", Bounds(free_share=0.5, most_bytes=7)),
        ("directory = 'elsewhere'", "elsewhere", Bounds(free_share=0.25)),
        ("enabled = false\ndirectory = 'elsewhere'", None, None),
    ],
)
def test_processes_that_serve_requests_have_a_cache(
    tmp_path: Path, cache: str, directory: str | None, bounds: Bounds | None
) -> None:
    settings = config.load({"data": tmp_path}, file=written(tmp_path, f"[cache]\n{cache}\n"))
    giving, looking = compose.build_service(settings, with_cache=True), compose.build_service(settings)
    assert settings.cache_directory == (None if directory is None else tmp_path / directory)
    assert (giving.stores.cache and giving.stores.cache.directory.bounds, looking.stores.cache) == (bounds, None)


def test_stores_of_the_former_cache_are_accepted_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTAGE_CACHE__STORES", '["slow"]')
    settings = config.load({"data": tmp_path}, file=written(tmp_path, "[cache]\nstores = ['slow']\nsize_bytes = 5\n"))
    assert settings.cache.size_bytes == 5
    said = [each for each in caplog.messages if "has no effect any more" in each]
    assert [each.split()[0] for each in said] == ["PARTAGE_CACHE__STORES", "cache.stores"]


@pytest.mark.parametrize(
    ("node", "told"), [("", f"http://{socket.gethostname()}:9393"), ("https://a.example", "https://a.example")]
)
def test_a_node_has_a_name(tmp_path: Path, node: str, told: str) -> None:
    settings = config.load({"data": tmp_path, "port": 9393, "cache": {"directory": str(tmp_path), "node": node}})
    made = compose.build_service(settings, with_cache=True).stores.cache
    assert made is not None
    assert made.node == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 0", "port is 0, but must be at least 1"),
        ("port = 'x'", "port is 'x', but must be a whole number"),
        ("prot = 1", "there is no setting prot"),
        ("[limits]\nimages = 1", "there is no setting limits.images"),
        ("[identity]\ncache_seconds = 100000", "identity.cache_seconds"),
        ("os_hash_algo = 'md5'", "os_hash_algo"),
        ("default_store = 'x'", "default_store is x, but the stores are local"),
        ("[cache]\nfree_share = 0.0", "cache.free_share"),
        ("[cache]\nsize_bytes = -1", "cache.size_bytes"),
        ("[[stores]]\nid = 'a'\npath = '/a'\n[[stores]]\nid = 'a'\npath = '/b'", "two stores have the same id"),
        (
            "[[stores]]\nid = 'a'\npath = '/a'\ntype = 'tape'",
            "stores.0.type is 'tape', but must be one of 'posix', 's3', 'swift', 'http'",
        ),
        ("[[stores]]\nid = 'a'", "stores.0.path is required"),
        ("[[stores]]\nid = 'a'\npath = '/a'\ntype = 'http'", "there is no setting stores.0.path"),
        ("[[stores]]\nid = 'a'\ntype = 'http'", "every store has the type http, which keeps no image data"),
        (f"{_FAST}{_WEB}{_WEB.replace('web', 'web2')}", "there are two stores of type http; only one is possible"),
        (f"default_store = 'web'\n{_FAST}{_WEB}", "default_store is web, but the stores are fast"),
        ("[fetch]\nnetworks_allowed = ['10.1.0.1/16']", "fetch.networks_allowed.0"),
        ("[fetch]\nnetworks_allowed = ['localhost']", "fetch.networks_allowed.0"),
        ("[fetch]\nschemes = ['ftp']", "fetch.schemes.0"),
        ("[fetch]\nports = [65536]", "fetch.ports.0"),
        ("[fetch]\ncafile = '/does/not/exist.pem'", "fetch.cafile: the file does not exist"),
        ("port = ", "is not TOML"),
        ("prot = 1", "did you mean port?"),
        ("[identity]\npasword = 'x'", "there is no setting identity.pasword; did you mean identity.password?"),
        ("[[stores]]\nid = 'a'\npaht = '/a'\npath = '/b'", "there is no setting stores.0.paht; did you mean stores.0.path?"),
        ("workers = 1.5", "workers is 1.5, but must be a whole number"),
        ("workers = true\nport = [1]", "port is a list, but must be a whole number"),
        ("delayed_delete = 'perhaps'", "delayed_delete is 'perhaps', but must be true or false"),
        ("[limits]\ntags = -2", "limits.tags is -2, but must be at least -1"),
        ("limits = 5", "limits is 5, but must be a table of settings"),
        ("host = 5", "host is 5, but must be text"),
        ("[log]\nformat = 'xml'", "log.format is 'xml', but must be one of 'text' or 'json'"),
        ("[imports]\nmethods = ['ftp']", "imports.methods.0 is 'ftp', but must be one of 'glance-direct'"),
        ("[imports]\nmethods = 'web-download'", "imports.methods is 'web-download', but must be a list"),
        ("[imports]\ntoken_keys = [5]", "imports.token_keys.0 is ********, but must be text"),
        ("database_url = 5", "database_url is ********, but must be text"),
        ("policy_file = 5", "policy_file is 5, but must be a path"),
        ("[notifications]\ntopics = []", "notifications.topics is a list, but must be a list of at least 1 values"),
        ("[identity]\ncafile = '/does/not/exist.pem'", "identity.cafile: the file does not exist"),
        ("[fetch]\ncafile = '/etc/hostname'", "fetch.cafile: the file cannot be read, or has no certificates"),
        ("[identity]\ntimeout_seconds = 0", "identity.timeout_seconds is 0, but must be more than 0"),
    ],
)
def test_wrong_setting_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        config.load({}, file=written(tmp_path, text))
    assert words in caught.value.sentence()
    assert "\n" not in caught.value.sentence()


def test_wrong_list_in_the_environment_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTAGE_STORES", "not json")
    with pytest.raises(problems.Invalid, match="JSON"):
        config.load({})


@pytest.mark.parametrize("name", ["PARTAGE_STORES", "PARTAGE_FETCH__PORTS", "PARTAGE_IMPORTS__TOKEN_KEYS", "PARTAGE_FETCH"])
@pytest.mark.parametrize("value", ["not json", "[80", "80", '"x"', "", "hunter2"])
def test_list_in_the_environment_that_is_no_json_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(problems.Invalid) as caught:
        config.load({})
    sentence = caught.value.sentence()
    assert f"the variable {name} is not a {'table' if name.endswith('FETCH') else 'list'} in JSON" in sentence
    assert "hunter2" not in sentence
    assert not re.search("Source|Settings|pydantic|tuple", sentence)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PARTAGE_PROT", "the variable PARTAGE_PROT names no setting; did you mean PARTAGE_PORT?"),
        ("PARTAGE_IDENTITY__PASWORD", "did you mean PARTAGE_IDENTITY__PASSWORD?"),
        ("PARTAGE_IDENTITY_PASSWORD", "did you mean PARTAGE_IDENTITY__PASSWORD?"),
        ("partage_polcy_file", "did you mean PARTAGE_POLICY_FILE?"),
        ("PARTAGE_STORES__0__PATH", "names no setting"),
        ("PARTAGE_PORT__NUMBER", "names no setting"),
        ("PARTAGE_XYZZY_QUUX", "partage config --sample lists all"),
    ],
)
def test_unknown_variable_is_named_with_the_nearest_known_one(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(problems.Invalid) as caught:
        config.load({})
    assert words in caught.value.sentence()
    assert "hunter2" not in caught.value.sentence()


@pytest.mark.parametrize(
    "name", ["PARTAGE_TEST_SEED", "PARTAGE_COMPAT_CLOUDS", "PARTAGE_GOLDEN", "PARTAGE_FUZZ_SEED", "PARTAGE_TIMED_PAIRS"]
)
def test_variable_of_the_tests_is_no_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert config.load({}).port == 9292


def test_lower_case_variable_and_whole_section_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("partage_port", "1234")
    monkeypatch.setenv("PARTAGE_LIMITS", '{"tags": 7}')
    assert (config.load({}).port, config.load({}).limits.tags) == (1234, 7)


def test_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "partage.toml"
    file.write_bytes(b"host = '\xff'")
    with pytest.raises(problems.Invalid, match="it is not UTF-8 text"):
        config.load({}, file=file)


def test_relative_path_in_the_file_starts_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ca.pem").write_text(Path(certifi.where()).read_text())
    text = (
        "data = 'data'\npolicy_file = 'policy.yaml'\nimage_schema_file = '/srv/schema.json'\n[identity]\ncafile = 'ca.pem'\n"
        "[cache]\ndirectory = '../cache'\n[imports]\nwork_directory = ''\n[[stores]]\nid = 'a'\npath = 'store'\n"
    )
    file = written(tmp_path / "etc", text)
    monkeypatch.chdir("/")
    settings = config.load({}, file=file)
    assert (settings.data, settings.policy_file) == (tmp_path / "etc/data", tmp_path / "etc/policy.yaml")
    assert settings.image_schema_file == Path("/srv/schema.json")
    assert settings.identity.cafile == str(tmp_path / "etc/ca.pem")
    assert Path(settings.cache.directory).resolve() == tmp_path / "cache"
    assert settings.imports.work_directory == ""
    assert settings.stores[0].path == tmp_path / "etc/store"


def test_relative_path_of_the_environment_starts_where_the_program_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTAGE_POLICY_FILE", "policy.yaml")
    assert config.load({}).policy_file == Path("policy.yaml")


def test_unknown_rules_are_listed(tmp_path: Path) -> None:
    """The property protections ask for rules by name."""
    (tmp_path / "policy.yaml").write_text('"get_imgaes": "!"\n"editors": "role:editor"\n')
    (tmp_path / "protections.conf").write_text("[^x]\ncreate=editors\nread=@\nupdate=editors\ndelete=!\n")
    text = "policy_file = 'policy.yaml'\n"
    assert compose.list_unused_rules(config.load({}, file=written(tmp_path, text))) == ["editors", "get_imgaes"]
    text += "property_protection_file = 'protections.conf'\nproperty_protection_rule_format = 'policies'\n"
    assert compose.list_unused_rules(config.load({}, file=written(tmp_path, text))) == ["get_imgaes"]


def test_every_setting_that_is_a_path_is_resolved() -> None:
    named = {
        name.rpartition(".")[2]
        for name, field in (*validation_errors.list_settings(config.Settings), *store_types.list_fields())
        if name.replace("profile", "").endswith(("file", "directory", "path")) or "Path" in str(field.annotation)
    }
    assert named == {*config.PATHS}


def test_wrong_value_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(problems.Invalid) as caught:
        config.load({}, file=written(tmp_path, "[identity]\npassword = ['hunter2']"))
    assert "hunter2" not in caught.value.sentence()


def test_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(problems.Invalid, match="does not exist"):
        config.load({}, file=tmp_path / "absent.toml")


def test_sample_names_every_setting_and_is_toml_once_uncommented(tmp_path: Path) -> None:
    text = sample.format_sample()
    assert tomllib.loads(text)
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line or line == "# [[stores]]" else line for line in text.splitlines()
    )
    uncommented = (
        uncommented.replace('policy_file = ""', "")
        .replace('property_protection_file = ""', "")
        .replace('image_schema_file = ""', "")
        .replace('\npath = ""', '\npath = "/a"')
        .replace('\nbucket = ""', '\nbucket = "images"')
        .replace('\ncontainer = ""', '\ncontainer = "images"')
        .replace('\ncloud = ""', '\ncloud = "here"')
    )
    numbers = itertools.count()
    uncommented = re.sub('^id = ""', lambda _found: f'id = "store-{next(numbers)}"', uncommented, flags=re.MULTILINE)
    settings = config.load({}, file=written(tmp_path, uncommented))
    assert settings.data == tmp_path / "partage-data", "a path in a file starts at the file"
    settings = settings.model_copy(update={"data": config.load({}).data})
    assert settings.model_dump(exclude={"stores"}) == config.load({}).model_dump(exclude={"stores"})
    for name in (*config.Settings.model_fields, *config.IdentitySettings.model_fields, *dict(store_types.list_fields())):
        assert name in text


def test_effective_settings_hide_secrets(tmp_path: Path) -> None:
    text = "database_url = 'postgresql://partage:hunter2@db.example.org/partage'\n[identity]\npassword = 'hunter3'"
    shown = sample.format_effective_settings(config.load({}, file=written(tmp_path, text)))
    assert "hunter" not in shown
    assert tomllib.loads(shown)["database_url"] == "postgresql://partage:********@db.example.org/partage"
    assert tomllib.loads(shown)["identity"]["password"] == "********"


SECRET_URLS = (
    ("tracing.endpoint", "https://user:hunter2@traces.example.org/v1/traces", "https://user:********@traces.example.org/v1/traces"),
    ("tracing.endpoint", "https://traces.example.org/v1?api-key=hunter2", "https://traces.example.org/v1?api-key=********"),
    ("tracing.endpoint", "http://user:hunter2@[::1/v1", "********"),
    ("tracing.endpoint", "https://hunter2@traces.example.org/v1", "https://********@traces.example.org/v1"),
    ("identity.password", "a://hunter2", "********"),
    ("listener.transport_url", "rabbit://a:hunter2@one,b:hunter3@two/", "rabbit://a:********@two/"),
    ("notifications.transport_url", "rabbit://a:hunter2@one/v", "rabbit://a:********@one/v"),
)


@pytest.mark.parametrize(("name", "url", "shown"), SECRET_URLS)
def test_effective_settings_hide_credentials_in_urls(tmp_path: Path, name: str, url: str, shown: str) -> None:
    table, _dot, setting = name.partition(".")
    text = sample.format_effective_settings(config.load({}, file=written(tmp_path, f"[{table}]\n{setting} = '{url}'")))
    assert "hunter" not in text
    assert tomllib.loads(text)[table][setting] == shown


def test_password_in_query_of_database_url_is_hidden(tmp_path: Path) -> None:
    text = "database_url = 'postgresql:///partage?host=db.example.org&password=hunter2'"
    shown = sample.format_effective_settings(config.load({}, file=written(tmp_path, text)))
    assert tomllib.loads(shown)["database_url"] == "postgresql:///partage?host=db.example.org&password=********"


def test_url_in_a_setting_for_other_text_is_shown_without_password(tmp_path: Path) -> None:
    shown = sample.format_effective_settings(config.load({"data": tmp_path}, file=written(tmp_path, "[log]\nlevel = 'info'")))
    assert tomllib.loads(shown)["identity"]["url"] == "http://127.0.0.1:5000"
    text = "[identity]\nusername = 'https://user:hunter2@host/'"
    assert "hunter2" not in sample.format_effective_settings(config.load({}, file=written(tmp_path, text)))


@pytest.mark.parametrize("name", ["public_endpoint", "identity.url", "identity.www_authenticate_uri", "cache.node"])
def test_url_that_clients_see_is_refused_with_credentials(tmp_path: Path, name: str) -> None:
    table, _dot, setting = name.rpartition(".")
    text = f"[{table}]\n" if table else ""
    with pytest.raises(problems.Invalid, match=f"{name}: must be a URL without a user and a password") as caught:
        config.load({}, file=written(tmp_path, f"{text}{setting} = 'https://user:hunter2@images.example.org'"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://user:hunter2@host/", "user:hunter2@host"])
def test_invalid_endpoint_of_traces_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(problems.Invalid, match=r"tracing\.endpoint: must be an http or https URL") as caught:
        config.load({}, file=written(tmp_path, f"[tracing]\nendpoint = '{url}'"))
    assert "hunter2" not in str(caught.value)


def test_no_notifications_without_a_bus(tmp_path: Path) -> None:
    assert isinstance(compose.build_service(config.load({"data": tmp_path})).integrations.announcer, Nobody)


def test_configured_bus_is_used_and_its_password_hidden(tmp_path: Path) -> None:
    text = "[notifications]\ntransport_url = 'rabbit://user:secret@127.0.0.1:1/'\ntopics = ['a']\n"
    settings = config.load({"data": tmp_path}, file=written(tmp_path, text))
    assert isinstance(compose.build_service(settings).integrations.announcer, Bus)
    assert "rabbit://user:********@127.0.0.1:1/" in sample.format_effective_settings(settings)
    assert "secret" not in sample.format_effective_settings(settings)


def test_unknown_bus_scheme_is_refused_at_start(tmp_path: Path) -> None:
    settings = config.load({"data": tmp_path, "notifications": {"transport_url": "pigeon://user:secret@host/"}})
    with pytest.raises(problems.Invalid, match=r"notifications\.transport_url") as caught:
        compose.build_service(settings)
    assert "secret" not in str(caught.value)


def test_bus_without_its_package_is_refused_at_start(tmp_path: Path) -> None:
    """The extra is optional: a Python that does not find oslo.messaging says what to install."""
    program = (
        "import sys; sys.modules['oslo_messaging'] = None\n"
        "from partage.main.composition import compose\nfrom partage.main.configuration import config\n"
        f"compose.build_service(config.load({{'data': {str(tmp_path)!r}, 'notifications': {{'transport_url': 'rabbit://h/'}}}}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "partage.problems.Unavailable" in ran.stderr
    assert "install partage[notifications]" in ran.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("{", "is invalid"),
        ('{"a": {"type": "integer"}}', "must allow the type string"),
        ('{"name": {"type": "string"}}', "'name' is an attribute"),
        ('{"properties": {}, "required": ["status"]}', "read-only"),
        ('{"os_glance_x": {"type": "string"}}', "reserved"),
    ],
)
def test_invalid_image_schema_is_refused_at_start(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "schema-image.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(problems.Invalid, match=words) as caught:
        compose.build_service(config.load({"data": tmp_path, "image_schema_file": file}))
    assert str(file) in str(caught.value)


def test_a_schema_of_images_is_read(tmp_path: Path) -> None:
    file = tmp_path / "schema-image.json"
    file.write_text('{"properties": {"os_distro": {"type": "string"}}, "required": ["os_distro", "name"]}')
    made = compose.build_service(config.load({"data": tmp_path, "image_schema_file": file}))
    assert made.formats.known.properties.required == ("os_distro", "name")


def test_notice_has_bounds_of_the_cloud_and_of_domains(tmp_path: Path) -> None:
    of_domain = '[sharing.domains.d1]\ndefault_notice = "P7D"\nleast_notice = "P7D"\n'
    file = written(tmp_path, f'[sharing]\nlongest_notice = "P90D"\n{of_domain}')
    built = compose.build_service(config.load({"data": tmp_path}, file=file))
    assert (str(built.sharing.notice_bounds.least), str(built.sharing.notice_bounds.longest)) == ("P0D", "P90D")
    domain = built.sharing.notice_bounds_of_domains["d1"]
    assert (str(domain.default), str(domain.least), str(domain.longest)) == ("P7D", "P7D", "P90D")
    caller = Caller(user_id=UserID("u"), project_id=ProjectID("p"), roles=frozenset(), project_domain_id="d1")
    assert str(built.sharing.default_terms_of(caller).notice) == "P7D"
    assert built.sharing.notice_bounds_of(replace(caller, project_domain_id="other")) == built.sharing.notice_bounds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[sharing]\ndefault_notice = "30 days"\n', "default_notice"),
        ('[sharing]\nlongest_notice = "P1M"\n', "longest_notice"),
        ('[sharing.domains.d1]\ndefault_notice = "a week"\n', "sharing.domains.d1.default_notice"),
        ('[sharing.domains.d1]\ndefault_notcie = "P7D"\n', "default_notcie"),
        ('[sharing]\nlongest_notice = "P1D"\n[sharing.domains.d1]\ndefault_notice = "P7D"\n', "default_notice of domain d1 must"),
    ],
)
def test_wrong_notice_is_refused_at_the_start_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(problems.Invalid) as refused:
        config.load({"data": tmp_path}, file=written(tmp_path, text))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bounds", ['least_notice = "P7D"', 'longest_notice = "P1D"\ndefault_notice = "P2D"'])
def test_default_notice_outside_its_bounds_is_refused(tmp_path: Path, bounds: str) -> None:
    with pytest.raises(problems.Invalid, match="between least_notice and longest_notice"):
        config.load({"data": tmp_path}, file=written(tmp_path, f"[sharing]\n{bounds}\n"))


def test_empty_name_of_the_file_that_disables_the_health_check_names_none(tmp_path: Path) -> None:
    """Path("") is the present directory, which exists: the health check would be 503 for ever."""
    settings = config.load({}, file=written(tmp_path, "[healthcheck]\ndisable_by_file_path = ''"))
    assert compose.build_edge_options(settings, compose.build_service(settings)).disabled_by is None
    named = config.load({}, file=written(tmp_path, "[healthcheck]\ndisable_by_file_path = 'off'"))
    assert compose.build_edge_options(named, compose.build_service(named)).disabled_by == tmp_path / "off"
