"""The watch over every story's database notices what it is there for."""

from pathlib import Path

import pytest
from sqlalchemy import exc, text

from partage.model.image import STATUS_CHANGES
from partage.operations import images
from tests import invariants
from tests.operations.services import OWNER, image_with, make, queued_image

COLUMNS = "owner, status, visibility, protected, os_hidden, min_disk, min_ram, created_at, updated_at, stores, tags, properties"

BROKEN = {
    "T-11": "UPDATE images SET status = 'importing' WHERE id = '{active}'",
    "T-08": "UPDATE images SET os_hash_value = 'other' WHERE id = '{active}'",
    "T-82": "UPDATE images SET status = 'active' WHERE id = '{queued}'",
    "T-12: an id that was in use is forgotten": "DELETE FROM deleted_images WHERE id = '{deleted}'",
    "T-12: an id that was in use is given out again": (
        f"INSERT INTO images (id, {COLUMNS}) SELECT '{{deleted}}', {COLUMNS} FROM images"
    ),
}


@pytest.mark.parametrize("words", BROKEN)
def test_illegal_changes_are_rejected_by_the_database_triggers(words: str, tmp_path: Path) -> None:
    service = make(tmp_path)
    made = {"active": image_with(service, b"x").id, "queued": queued_image(service).id, "deleted": queued_image(service).id}
    images.delete_image(service, OWNER, made["deleted"])
    with pytest.raises(exc.IntegrityError, match=words), service.database.write() as tx:
        tx.execute(text(BROKEN[words].format_map(made)))


def test_table_of_statuses_equals_the_apis() -> None:
    table = {was.value: {each.value for each in those} for was, those in STATUS_CHANGES.items() if those}
    assert table == {was: set(those) for was, those in invariants.FOLLOWING.items()}
