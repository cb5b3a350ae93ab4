"""The query string and the JSON of impact."""

from collections.abc import Mapping
from datetime import datetime

from partage import problems
from partage.http.partage import query
from partage.http.partage.share_json import Document
from partage.model.ids import ProjectID
from partage.model.impact import Action, Bounds, ByteImpact, Impact, ProjectImpact
from partage.model.use import ProjectUses, UseKind

NAMES = ("action", "project")
UNKNOWN = "unknown"


def parse_query(text: bytes) -> tuple[Action, ProjectID | None]:
    """Read the action, and the project of `unshare`.

    Raises:
        QueryInvalid: a parameter is unknown, missing or given twice, or there is no such action.
    """
    given, _pairs = query.read_parameters(text, NAMES, "the impact")
    try:
        return check_action(given.get("action"), given.get("project"))
    except ValueError as error:
        raise problems.QueryInvalid(str(error)) from error


def check_action(action: object, project: object) -> tuple[Action, ProjectID | None]:
    """Return an action, and the project whose share `unshare` ends.

    Raises:
        ValueError: there is no such action, or it does not go with a project.
    """
    if action not in tuple(Action):
        raise ValueError(f"action must be one of {', '.join(Action)}")
    found = Action(str(action))
    if found is not Action.UNSHARE:
        if project is not None:
            raise ValueError(f"action {found} takes no project; only {Action.UNSHARE} does")
        return found, None
    if not isinstance(project, str) or not project:
        raise ValueError(f"action {found} needs project: the id of the member")
    return found, ProjectID(project)


def impact_to_json(impact: Impact, names: Mapping[ProjectID, str]) -> Document:
    """Write what an action would do."""
    return {
        "image_id": impact.image_id,
        "action": impact.action,
        "takes_down": impact.takes_down,
        "ends_for_everybody": impact.ends_for_everybody,
        "other_users": impact.other_users or (UNKNOWN if impact.ends_for_everybody else 0),
        "projects": [_project_to_json(each, names) for each in impact.projects],
        "projects_left_out": impact.left_out,
        "bytes": _bytes_to_json(impact.bytes),
        "guard": {"mode": impact.guard, "blocks": impact.is_blocked, "can_acknowledge": impact.can_acknowledge},
    }


def _project_to_json(project: ProjectImpact, names: Mapping[ProjectID, str]) -> Document:
    return {
        "project_id": project.project_id,
        "project_name": names.get(project.project_id),
        "status": project.status,
        "notice": str(project.notice),
        "ends": project.ends,
        "ends_at": project.ends_at,
        "quota_bytes": project.quota_bytes,
        **_uses_to_json(project.uses),
    }


def _uses_to_json(uses: ProjectUses | None) -> Document:
    if uses is None:
        return {"uses": UNKNOWN, "last_used": UNKNOWN, "last_download": UNKNOWN}
    is_known = uses.has_uses or uses.last_used is not None
    counts = {"servers": uses.counts.get(UseKind.SERVER, 0), "volumes": uses.counts.get(UseKind.VOLUME, 0)}
    return {
        "uses": {**counts, "is_complete": uses.is_complete} if is_known else UNKNOWN,
        "last_used": _write_time(uses.last_used),
        "last_download": _write_time(uses.last_download),
    }


def _write_time(moment: datetime | None) -> datetime | str:
    return UNKNOWN if moment is None else moment


def _bytes_to_json(found: ByteImpact) -> Document:
    return {
        "freed": _bounds_to_json(found.freed),
        "kept": _bounds_to_json(found.kept),
        "kept_for": found.kept_for,
        "kept_until": found.kept_until,
        "quota_bytes": found.quota_bytes,
    }


def _bounds_to_json(bounds: Bounds) -> Document:
    return {"least": bounds.least, "most": bounds.most}
