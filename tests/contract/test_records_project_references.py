"""Every column that names a project is listed with what a closing does to its rows."""

import re

from partage.records import project_references
from partage.records.tables import metadata

NAMES_PROJECT = re.compile(r"(^|_)(owner|project|project_id|member_id|tenant|restorable_by)$")


def test_every_column_that_names_a_project_is_listed() -> None:
    columns = {str(column) for table in metadata.tables.values() for column in table.c if NAMES_PROJECT.search(column.name)}
    assert len(columns) > 8
    assert {str(each.column) for each in project_references.REFERENCES} == columns
