"""The same questions to a running Glance and to Partage beside it, in one go: well-formed and not, of every caller in every state.

Status, headers and body must be the same but for what differences.py lists. Left out where PEER_DIR does not lead to the scripts
that start a Glance; test_recorded_answers.py then compares with what one has answered.
"""

from collections.abc import Iterator

import pytest

from tests.compat import asked_of_sharing, both, tables
from tests.compat.both import Both

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Run both services."""
    where = both.scripts()
    if where is None:
        pytest.skip(f"{both.PEER} leads to no scripts that start a Glance")
    with both.running(tmp_path_factory.mktemp("both"), where) as found:
        yield found


@pytest.mark.parametrize("table", tables.LIVE)
def test_both_answer_alike(table: str, services: Both) -> None:
    assert services.differing(tables.LIVE[table]) == {}


@pytest.mark.parametrize("who", asked_of_sharing.CALLERS)
@pytest.mark.parametrize("state", asked_of_sharing.STATES)
def test_both_answer_alike_about_shared_images(state: str, who: str, services: Both) -> None:
    assert services.differing(asked_of_sharing.questions(state, who)) == {}
