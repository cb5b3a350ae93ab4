"""Callers without a token: nobody by default; readers of public images, and of nothing else, where the operator lets them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partage.policies import images
from partage.policies.authority import RULES, Authority
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast

Everybody = dict[str, tuple[str, str]]
OPENED = (images.GET_IMAGES, images.GET_IMAGE, images.DOWNLOAD_IMAGE)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Open three rules, as docs/configuration.md tells it, and leave all others."""
    defaults = {rule.name: rule.check_str for rule in RULES}
    file = tmp_path / "policy.yaml"
    file.write_text("".join(f'"{name}": "({defaults[name]}) or is_anonymous:True"\n' for name in OPENED))
    return file


@pytest.fixture
def opened(another_world: Callable[..., World], policy_file: Path, everybody: Everybody) -> Iterator[Cast]:
    """Everybody, on a service that lets callers without a token read."""
    people = cast_of(another_world({"allow_anonymous": True}, authority=Authority(policy_file)), everybody)
    yield people
    people.leave()


def test_without_the_setting_the_policy_opens_nothing(
    another_world: Callable[..., World], policy_file: Path, everybody: Everybody
) -> None:
    people = cast_of(another_world(authority=Authority(policy_file)), everybody)
    image = people.admin.has_an_image(visibility="public")
    assert people.anonymous.shows(image).status_code == 401
    assert people.anonymous.call("GET", "/v2/images").status_code == 401
    people.leave()


def test_without_the_policy_the_setting_opens_no_image(another_world: Callable[..., World], everybody: Everybody) -> None:
    """As in Glance 33, whose rules want a role of everybody."""
    people = cast_of(another_world({"allow_anonymous": True}), everybody)
    image = people.admin.has_an_image(visibility="public")
    assert people.anonymous.call("GET", "/v2/images").status_code == 403
    assert people.anonymous.shows(image).status_code == 404
    assert people.anonymous.downloads(image).status_code == 404
    people.leave()


def test_public_images_are_listed_shown_and_downloaded(opened: Cast) -> None:
    image = opened.admin.has_an_image(b"for all", visibility="public")
    assert opened.anonymous.sees_in_list(image)
    assert opened.anonymous.sees_in_list(image, "&visibility=public")
    assert opened.anonymous.shows(image).json()["status"] == "active"
    assert opened.anonymous.downloads(image).content == b"for all"
    assert opened.anonymous.downloads(image, Range="bytes=0-2").content == b"for"
    assert opened.anonymous.call("HEAD", f"/v2/images/{image}/file").status_code == 200


@pytest.mark.parametrize("visibility", ["private", "shared", "community"])
def test_no_other_image_is_known_to_be_there(opened: Cast, visibility: str) -> None:
    image = opened.owner.has_an_image(visibility=visibility)
    nobody = opened.anonymous
    absent = nobody.shows("00000000-0000-0000-0000-000000000000")
    for answer in (nobody.shows(image), nobody.downloads(image), nobody.call("GET", f"/v2/images/{image}/members")):
        assert answer.status_code == 404
    assert nobody.shows(image).text == absent.text.replace("00000000-0000-0000-0000-000000000000", image)
    for query in ("", "&visibility=all", f"&visibility={visibility}", "&member_status=all", "&os_hidden=true", f"&id={image}"):
        assert not nobody.sees_in_list(image, query)
    marked = nobody.call("GET", f"/v2/images?marker={image}")
    assert marked.status_code == 400


def test_an_image_that_is_public_no_longer_is_gone_at_once(opened: Cast) -> None:
    image = opened.admin.has_an_image(visibility="public")
    assert opened.anonymous.shows(image).status_code == 200
    opened.admin.sets(image, "visibility", "private")
    assert opened.anonymous.shows(image).status_code == 404


def test_nothing_is_changed_without_a_token_whatever_the_policy_says(
    another_world: Callable[..., World], tmp_path: Path, everybody: Everybody
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("".join(f'"{rule.name}": "@"\n' for rule in RULES))
    people = cast_of(another_world({"allow_anonymous": True}, authority=Authority(file)), everybody)
    image = people.admin.has_an_image(visibility="public")
    nobody = people.anonymous
    before = nobody.shows(image).json()
    answers = [
        nobody.creates(),
        nobody.uploads(image),
        nobody.sets(image, "name", "mine"),
        nobody.deletes(image),
        nobody.does("deactivate", image),
        nobody.shares_with(image, "x"),
        nobody.imports(image),
        nobody.call("PUT", f"/v2/images/{image}/tags/t"),
        nobody.call("POST", "/v2/metadefs/namespaces", json={"namespace": "n"}),
    ]
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert nobody.shows(image).json() == before
    people.leave()


def test_a_token_that_is_not_valid_is_still_refused(opened: Cast) -> None:
    image = opened.admin.has_an_image(visibility="public")
    assert opened.badtoken.shows(image).status_code == 401


def test_the_data_of_a_deactivated_image_is_withheld(opened: Cast) -> None:
    image = opened.admin.has_an_image(visibility="public")
    opened.admin.does("deactivate", image)
    assert opened.anonymous.shows(image).json()["status"] == "deactivated"
    assert opened.anonymous.downloads(image).status_code == 403


def test_calls_that_any_token_may_make_answer(opened: Cast) -> None:
    for path in ("/v2/schemas/image", "/v2/info/import", "/v2/info/stores", "/v2/info/usage"):
        assert opened.anonymous.call("GET", path).status_code == 200, path
    assert opened.anonymous.call("GET", "/v2/info/stores/detail").status_code == 403
    assert opened.anonymous.call("GET", "/v2/tasks").status_code == 403
    assert opened.anonymous.call("GET", "/v2/metadefs/namespaces").status_code == 403
