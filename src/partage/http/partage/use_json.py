"""The JSON of uses: what replies say."""

from partage.http.partage.share_json import Document
from partage.model.use import ProjectUses, Use, UseKind


def use_to_json(use: Use) -> Document:
    """Write a use for the project to which it belongs."""
    return {"kind": use.key.kind, "use_id": use.key.use_id, "recorded_at": use.recorded_at, "last_seen": use.last_seen}


def project_to_json(known: ProjectUses) -> Document:
    """Write what an image's owner may know of a project's uses: no ids."""
    return {
        "project_id": known.project_id,
        "servers": known.counts.get(UseKind.SERVER, 0),
        "volumes": known.counts.get(UseKind.VOLUME, 0),
        "is_complete": known.is_complete,
        "last_used": known.last_used,
        "last_download": known.last_download,
    }
