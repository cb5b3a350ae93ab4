"""What a Glance has in its database, as values: the input of taking it over.

Source: Glance, `glance/db/sqlalchemy/models.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from partage.model.metadef import Association, Definition, Namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceLocation:
    """Where bytes of an image are. `store` is the name of Glance's store, empty if Glance recorded none."""

    url: str
    store: str
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceMember:
    """A member of an image."""

    member_id: str
    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceImage:
    """One image that is not deleted, with all that belongs to it."""

    id: str
    owner: str | None
    name: str | None
    status: str
    visibility: str
    protected: bool
    os_hidden: bool
    min_disk: int
    min_ram: int
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    checksum: str | None
    os_hash_algo: str | None
    os_hash_value: str | None
    created_at: datetime
    updated_at: datetime
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str | None] = field(default_factory=dict)
    members: tuple[GlanceMember, ...] = ()
    locations: tuple[GlanceLocation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceTask:
    """A task. `input` and `result` are documents."""

    id: str
    type: str
    status: str
    owner: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    image_id: str | None
    request_id: str | None
    user_id: str | None
    input: Mapping[str, object]
    result: Mapping[str, object] | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceNamespace:
    """A namespace of metadata definitions, with all that is in it."""

    namespace: Namespace
    definitions: tuple[Definition, ...]
    associations: tuple[Association, ...]
