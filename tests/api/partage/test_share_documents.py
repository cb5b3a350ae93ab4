"""The sharing API's OpenAPI document, checked against the running service."""

from partage.http.partage import paths
from tests.api.personas import Cast
from tests.fuzz.attack import seed_of_this_run
from tests.fuzz.explore import explore


def test_answers_about_shares_match_the_openapi_document(cast: Cast) -> None:
    found = explore(cast.admin, seed=seed_of_this_run(), examples=20, phases="examples,fuzzing,stateful", document=paths.OPENAPI)
    assert found.is_good, found.words
    assert found.count > 100


def test_openapi_document_of_shares_needs_no_token(cast: Cast) -> None:
    answer = cast.anonymous.call("GET", paths.OPENAPI)
    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
