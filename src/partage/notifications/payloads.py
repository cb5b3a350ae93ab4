"""Build the payloads of Glance's notifications from announcements. Pure.

Consumers such as Ceilometer know these keys, so none is omitted and none is added. As in Glance, payloads do not contain the
locations of an image, nor the input, result and message of a task.

Source: Glance 33, `glance.notifier`; `tests/golden/notifications.json` has the keys that a running one sends.
"""

from collections.abc import Mapping
from datetime import datetime

from partage.model import importing
from partage.model.announcement import Announcement, ArrivalFailure, Arriving, Defined, Event, Renamed, Sent
from partage.model.image import Image, Visibility
from partage.model.member import Member
from partage.model.metadef import Association, Definition, DefinitionKind, Namespace
from partage.model.task import Task

Payload = dict[str, object]

_ATTRIBUTES = (
    "type", "title", "description", "default", "minimum", "maximum", "enum", "pattern", "minLength", "maxLength", "confidential",
    "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
)  # fmt: skip
"""Attributes of a property definition, in Glance's order."""


def build_payload(announcement: Announcement) -> Payload | str:
    """Build the payload of a notification: text for a failed upload, otherwise a document, as in Glance."""
    subject = announcement.subject
    if isinstance(subject, ArrivalFailure):
        return f"Failed to upload image data for image {subject.image.id}: {subject.reason}"
    if isinstance(subject, Sent):
        return _describe_download(subject)
    return _describe_subject(subject, announcement.event) | _describe_deletion(announcement)


def _describe_subject(subject: Image | Arriving | Member | Task | Namespace | Renamed | Defined, event: Event) -> Payload:
    match subject:
        case Image():
            return _describe_image(subject) | (_describe_stores(subject) if event is Event.IMAGE_UPLOAD else {})
        case Arriving():
            return _describe_image(subject.image) | _describe_stores(subject.image) | {"backend": subject.store_id}
        case Member():
            return _describe_member(subject)
        case Task():
            return _describe_task(subject)
        case _:
            return _describe_metadef(subject)


def _describe_metadef(subject: Namespace | Renamed | Defined) -> Payload:
    match subject:
        case Namespace():
            return _describe_namespace(subject, subject.name)
        case Renamed():
            return _describe_namespace(subject.namespace, subject.old_name)
        case Defined():
            if isinstance(subject.what, Association):
                return _describe_association(subject.namespace, subject.what)
            return _describe_definition(subject.namespace, subject.what, subject.old_name or subject.what.name)


def _describe_deletion(announcement: Announcement) -> Payload:
    if announcement.event.endswith(".delete"):
        return {"deleted": True, "deleted_at": _format_time(announcement.at)}
    return {"deleted": False, "deleted_at": None}


def _describe_image(image: Image) -> Payload:
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status.value,
        "created_at": _format_time(image.created_at),
        "updated_at": _format_time(image.updated_at),
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "checksum": image.checksum,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "is_public": image.visibility is Visibility.PUBLIC,
        "visibility": image.visibility.value,
        "properties": dict(image.properties),
        "tags": list(image.tags),
    }


def _describe_stores(image: Image) -> Payload:
    def split_names(name: str) -> list[str]:
        value = image.properties.get(name)
        return value.split(",") if value else []

    return {importing.TO_STORES: split_names(importing.TO_STORES), importing.FAILED: split_names(importing.FAILED)}


def _describe_download(sent: Sent) -> Payload:
    return {
        "bytes_sent": sent.bytes_sent,
        "image_id": sent.image.id,
        "owner_id": sent.image.owner,
        "receiver_tenant_id": sent.receiver.project_id,
        "receiver_user_id": sent.receiver.user_id or None,
        "destination_ip": sent.destination_ip,
    }


def _describe_member(member: Member) -> Payload:
    return {
        "image_id": member.image_id,
        "member_id": member.member_id,
        "status": member.status.value,
        "created_at": _format_time(member.created_at),
        "updated_at": _format_time(member.updated_at),
    }


def _describe_task(task: Task) -> Payload:
    return {
        "id": task.id,
        "type": task.type.value,
        "status": task.status.value,
        "result": None,
        "owner": task.owner,
        "message": None,
        "expires_at": None if task.expires_at is None else _format_time(task.expires_at),
        "created_at": _format_time(task.created_at),
        "updated_at": _format_time(task.updated_at),
    }


def _describe_namespace(namespace: Namespace, old_name: str) -> Payload:
    return {
        "namespace": namespace.name,
        "namespace_old": old_name,
        "display_name": namespace.display_name,
        "protected": namespace.protected,
        "visibility": "public" if namespace.public else "private",
        "owner": namespace.owner,
        "description": namespace.description,
        "created_at": _format_time(namespace.created_at),
        "updated_at": _format_time(namespace.updated_at),
    }


def _describe_definition(namespace: str, definition: Definition, old_name: str) -> Payload:
    names: Payload = {"namespace": namespace, "name": definition.name, "name_old": old_name}
    times: Payload = {"created_at": _format_time(definition.created_at), "updated_at": _format_time(definition.updated_at)}
    document = definition.document
    if definition.kind is DefinitionKind.TAG:
        return names | times
    if definition.kind is DefinitionKind.PROPERTY:
        return names | {name: document.get(name) for name in _ATTRIBUTES}
    properties = [_describe_object_property(name, value) for name, value in (document.get("properties") or {}).items()]
    described: Payload = {
        "properties": properties,
        "required": document.get("required"),
        "description": document.get("description"),
    }
    return names | described | times


def _describe_object_property(name: str, document: Mapping[str, object]) -> Payload:
    return {"name": name} | {each: document.get(each) or None for each in _ATTRIBUTES}


def _describe_association(namespace: str, association: Association) -> Payload:
    return {
        "namespace": namespace,
        "name": association.resource_type,
        "name_old": association.resource_type,
        "prefix": association.prefix,
        "properties_target": association.properties_target,
        "created_at": _format_time(association.created_at),
        "updated_at": _format_time(association.updated_at),
    }


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
