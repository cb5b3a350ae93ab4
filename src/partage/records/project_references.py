"""Every column that names a project, and what the closing of the project does to its rows. A new such column is one line here.

A test compares the list with the tables.
"""

from dataclasses import dataclass

from sqlalchemy import Column, func, select

from partage.model.ids import ProjectID
from partage.records.database import Transaction
from partage.records.dialects import delete_rows
from partage.records.event_tables import events, removed_events, webhooks
from partage.records.tables import (
    claim_codes,
    endings,
    idempotency_keys,
    images,
    last_uses,
    members,
    metadef_namespaces,
    pending_deletes,
    project_closings,
    project_locks,
    takedowns,
    tasks,
    trust_rules,
    uses,
)


@dataclass(frozen=True, slots=True)
class ProjectReference:
    """A column that names projects. `is_removed`: its rows say something of the project alone, and the closing deletes them."""

    column: Column[str]
    is_removed: bool = False


REFERENCES = (
    ProjectReference(images.c.owner),  # deleted or retained, one transaction for each image
    ProjectReference(images.c.former_owner),  # stays: who has deleted a retained image
    ProjectReference(members.c.member_id),  # left
    ProjectReference(members.c.owner),  # follows the image
    ProjectReference(endings.c.member_id),  # left
    ProjectReference(endings.c.owner),  # follows the image
    ProjectReference(takedowns.c.member_id, is_removed=True),
    ProjectReference(takedowns.c.owner),  # stays for the member, until it is removed by age
    ProjectReference(pending_deletes.c.restorable_by),  # stays: nobody of a closed project restores anything
    ProjectReference(metadef_namespaces.c.owner),  # private ones are deleted, public ones stay
    ProjectReference(tasks.c.owner),  # ended with their image; removed 48 hours later
    ProjectReference(events.c.project_id),  # stays until it is removed by age: administrators read it
    ProjectReference(events.c.owner),
    ProjectReference(events.c.member_id),
    ProjectReference(events.c.actor_project_id),
    ProjectReference(removed_events.c.project_id),
    ProjectReference(project_locks.c.project_id),  # stays: a lock says nothing of the project
    ProjectReference(project_closings.c.project_id),  # the closing itself
    ProjectReference(claim_codes.c.owner, is_removed=True),  # of its retained images
    ProjectReference(trust_rules.c.project_id, is_removed=True),  # rules of others for the project stay: it offers nothing any more
    ProjectReference(idempotency_keys.c.project_id, is_removed=True),
    ProjectReference(webhooks.c.project_id, is_removed=True),
    ProjectReference(uses.c.project_id, is_removed=True),
    ProjectReference(last_uses.c.project_id, is_removed=True),
)
"""Rows that are not simply removed are handled by `operations/sharing/closing.py`, or stay."""


def remove_records(tx: Transaction, project_id: ProjectID, *, limit_rows: int) -> int:
    """Delete rows that belong to the project alone, at most `limit_rows` of each table; return how many."""
    return sum(_remove(tx, each.column, project_id, limit_rows) for each in REFERENCES if each.is_removed)


def count_records(tx: Transaction, project_id: ProjectID) -> int:
    """Count the rows that belong to the project alone."""
    return sum(_count(tx, each.column, project_id) for each in REFERENCES if each.is_removed)


def _count(tx: Transaction, column: Column[str], project_id: ProjectID) -> int:
    return int(tx.execute(select(func.count()).select_from(column.table).where(column == project_id)).scalar_one())


def _remove(tx: Transaction, column: Column[str], project_id: ProjectID, limit_rows: int) -> int:
    key = tuple(column.table.primary_key)
    found = select(*key).where(column == project_id).order_by(*key).limit(limit_rows)
    return delete_rows(tx, column.table, found)
