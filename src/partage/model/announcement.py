"""Announcements for notifications: an event and its subject.

Events have the names of Glance's notifications. `notifications/` encodes them for the message bus.
Source: Glance, "Notifications" in the administration guide.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partage.model.caller import Caller
from partage.model.ids import StoreID
from partage.model.image import Image
from partage.model.member import Member
from partage.model.metadef import Association, Definition, Namespace
from partage.model.task import Task


class Event(StrEnum):
    """A kind of event. `image.send` is a download; data is received between `image.prepare` and `image.upload`."""

    IMAGE_CREATE = "image.create"
    IMAGE_PREPARE = "image.prepare"
    IMAGE_UPLOAD = "image.upload"
    IMAGE_ACTIVATE = "image.activate"
    IMAGE_SEND = "image.send"
    IMAGE_UPDATE = "image.update"
    IMAGE_DELETE = "image.delete"
    MEMBER_CREATE = "image.member.create"
    MEMBER_UPDATE = "image.member.update"
    MEMBER_DELETE = "image.member.delete"
    TASK_CREATE = "task.create"
    TASK_RUN = "task.run"
    TASK_PROCESSING = "task.processing"
    TASK_SUCCESS = "task.success"
    TASK_FAILURE = "task.failure"
    NAMESPACE_CREATE = "metadef_namespace.create"
    NAMESPACE_UPDATE = "metadef_namespace.update"
    NAMESPACE_DELETE = "metadef_namespace.delete"
    NAMESPACE_DELETE_OBJECTS = "metadef_namespace.delete_objects"
    NAMESPACE_DELETE_PROPERTIES = "metadef_namespace.delete_properties"
    NAMESPACE_DELETE_TAGS = "metadef_namespace.delete_tags"
    OBJECT_CREATE = "metadef_object.create"
    OBJECT_UPDATE = "metadef_object.update"
    OBJECT_DELETE = "metadef_object.delete"
    PROPERTY_CREATE = "metadef_property.create"
    PROPERTY_UPDATE = "metadef_property.update"
    PROPERTY_DELETE = "metadef_property.delete"
    TAG_CREATE = "metadef_tag.create"
    TAG_UPDATE = "metadef_tag.update"
    TAG_DELETE = "metadef_tag.delete"
    RESOURCE_TYPE_CREATE = "metadef_resource_type.create"
    RESOURCE_TYPE_DELETE = "metadef_resource_type.delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """The start of an upload to a store."""

    image: Image
    store_id: StoreID


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A download that has ended, complete or aborted after `bytes_sent`. `destination_ip` is the peer's, possibly a proxy's."""

    image: Image
    receiver: Caller
    bytes_sent: int
    destination_ip: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalFailure:
    """A failed upload, with the reason that its client got."""

    image: Image
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A changed namespace, and its name before the change."""

    namespace: Namespace
    old_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined:
    """A definition or an association in a namespace; `old_name` is its name before a change."""

    namespace: str
    what: Definition | Association
    old_name: str | None = None


Subject = Image | Arriving | Sent | ArrivalFailure | Member | Task | Namespace | Renamed | Defined


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One event and its time (UTC, aware). `failed`: the action failed, such as an aborted download."""

    event: Event
    subject: Subject
    at: datetime
    failed: bool = False
