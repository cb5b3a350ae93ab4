"""Tables and indexes, in reading order. Only definitions: the statements are in the modules of each noun.

Times are microseconds since 1970-01-01 UTC as integers: exact, sortable, the same in every database. The API shows seconds.
`images.tags` and `images.properties` have an image's tags and properties for reading with the row; `image_tags` and
`image_properties` have them again, one a row, for filters. `records.images` writes both in one transaction.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from partage.records import (  # noqa: F401 -- a module that imports this one knows every table
    event_tables,
    maintenance_table,
    original_tables,
    partial_upload_tables,
)
from partage.records.database import NEVER
from partage.records.metadata import metadata


def _where(condition: str, *, sqlite: str | None = None) -> dict[str, Any]:
    """Restrict an index to some rows. A query can use it if it has the condition in these words."""
    return {"sqlite_where": text(sqlite or condition), "postgresql_where": text(condition)}


images = Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(255)),
    Column("name", String(255)),
    Column("status", String(30), nullable=False),
    Column("visibility", String(20), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    Column("min_disk", Integer, nullable=False),
    Column("min_ram", Integer, nullable=False),
    Column("disk_format", String(40)),
    Column("container_format", String(40)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("checksum", String(32)),
    Column("os_hash_algo", String(64)),
    Column("os_hash_value", String(128)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("content_id", String(36), ForeignKey("contents.id")),
    Column("stores", Text, nullable=False),
    Column("location_references", Text, nullable=False),
    Column("external_url", Text),
    # Set on a retained image, from before its deletion. Its `owner` is an id that no project has.
    Column("former_owner", String(255)),
    Column("former_visibility", String(20)),
    Column("former_status", String(20)),
    Column("tags", Text, nullable=False),
    Column("properties", Text, nullable=False),
    # The size of tags and properties in bytes: it limits a page before the rows themselves are read.
    Column("details_bytes", Integer, nullable=False, server_default="0"),
    Index("ix_images_owner_created_at", "owner", "created_at", "id"),
    Index("ix_images_visibility_created_at", "visibility", "created_at", "id"),
    Index("ix_images_created_at", "created_at", "id"),
    # Without it SQLite lists a project's shared images by walking the shared images of all projects.
    Index("ix_images_owner_visibility", "owner", "visibility", "created_at", "id"),
    # For other orders, and for filters by the same attributes: an unset value sorts first. Then for filters by few images (0064).
    Index("ix_images_owner_name", "owner", text("coalesce(name, '')"), "created_at", "id"),
    Index("ix_images_visibility_name", "visibility", text("coalesce(name, '')"), "created_at", "id"),
    Index("ix_images_owner_status", "owner", "status", "created_at", "id"),
    Index("ix_images_owner_disk_format", "owner", text("coalesce(disk_format, '')"), "created_at", "id"),
    Index("ix_images_owner_size", "owner", text("coalesce(size, -1)"), "created_at", "id"),
    Index("ix_images_owner_updated_at", "owner", "updated_at", "created_at", "id"),
    Index("ix_images_owner_hidden", "owner", "created_at", "id", **_where("os_hidden = true", sqlite="os_hidden = 1")),
    Index("ix_images_owner_protected", "owner", "created_at", "id", **_where("protected = true", sqlite="protected = 1")),
    Index("ix_images_name", text("coalesce(name, '')")),
    Index("ix_images_checksum", "checksum", **_where("checksum IS NOT NULL")),
    Index("ix_images_os_hash_value", text("substr(os_hash_value, 1, 64)"), **_where("os_hash_value IS NOT NULL")),
    Index("ix_images_content_id", "content_id"),
)

image_tags = Table(
    "image_tags",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(255), primary_key=True),
    Index("ix_image_tags_tag", "tag", "image_id"),
)

image_properties = Table(
    "image_properties",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Text, nullable=False),
    Index("ix_image_properties_name_value", "name", text("substr(value, 1, 64)"), "image_id"),
)

members = Table(
    "members",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", String(255), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # A copy of the image's created_at, which never changes: a project's list of shared images walks this index in list order.
    Column("image_created_at", BigInteger, nullable=False),
    # The terms. -1 second of notice is forever, -2 while-used; a share without an expiry has the largest time.
    Column("notice_seconds", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", BigInteger, nullable=False, server_default=str(NEVER)),
    Column("message", Text, nullable=False, server_default=""),
    Column("answered_at", BigInteger),
    # The image's owner: a project's list of offered shares walks this index in list order.
    Column("owner", String(255)),
    # 1: a trust rule of the member refused the offer. It does not exist for the member, whose indexes do not have it, so that its
    # lists cost the same however many there are. `offered_from` is the domain that the rules were asked for.
    Column("hidden", Integer, nullable=False, server_default="0"),
    Column("offered_from", String(255), nullable=False, server_default=""),
    Index("ix_members_owner", "owner", "image_created_at", "image_id", "member_id"),
    Index("ix_members_owner_status", "owner", "status", "image_created_at", "image_id", "member_id"),
    Index("ix_members_member_status", "member_id", "status", "image_created_at", "image_id", **_where("hidden = 0")),
    Index("ix_members_member", "member_id", "image_created_at", "image_id", **_where("hidden = 0")),
    Index("ix_members_hidden", "member_id", "image_id", **_where("hidden = 1")),
)

# Shares that their owner has ended and whose notice runs. A row stays beside a new offer of the same image to the same project.
endings = Table(
    "endings",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", String(255), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("image_created_at", BigInteger, nullable=False),
    # The share that has ended: its terms, and when it was offered and answered.
    Column("notice_seconds", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", BigInteger, nullable=False, server_default=str(NEVER)),
    Column("message", Text, nullable=False, server_default=""),
    Column("offered_at", BigInteger),
    Column("answered_at", BigInteger),
    # The image's owner, also after it has deleted the image.
    Column("owner", String(255)),
    # Of a notice while-used: access lasts while the project has uses, but not after `used_until`, and at least until
    # `least_ends_at`. `used_until` is 0 if the notice does not depend on uses.
    Column("used_until", BigInteger, nullable=False, server_default="0"),
    Column("least_ends_at", BigInteger, nullable=False, server_default="0"),
    Index("ix_endings_owner", "owner", "image_created_at", "image_id", "member_id"),
    Index("ix_endings_owner_status", "owner", "status", "image_created_at", "image_id", "member_id"),
    Index("ix_endings_member", "member_id", "image_created_at", "image_id"),
    Index("ix_endings_member_status", "member_id", "status", "image_created_at", "image_id"),
    Index("ix_endings_ends_at", "ends_at"),
)

# How a project answers offers from a project or a domain.
trust_rules = Table(
    "trust_rules",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("subject_id", String(255), primary_key=True),
    Column("answer", String(10), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# Secrets that make their bearer's project a member. `digest` is that of the secret; `valid_until` ends the code, while the terms
# are those of the shares that it makes.
claim_codes = Table(
    "claim_codes",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    # The image's owner, for the limit of codes of a project.
    Column("owner", String(255)),
    Column("digest", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("notice_seconds", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_claim_codes_image_id", "image_id"),
    Index("ix_claim_codes_owner", "owner"),
    Index("ix_claim_codes_valid_until", "valid_until"),
)

# Failed claims of a project or an address since `began_at`, and those that run.
claim_failures = Table(
    "claim_failures",
    metadata,
    Column("source", String(300), primary_key=True),
    Column("began_at", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Index("ix_claim_failures_began_at", "began_at"),
)

# Shares that an administrator has ended, for owner and member to see. No foreign key: the image may be gone.
takedowns = Table(
    "takedowns",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("member_id", String(255), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("status", String(20), nullable=False),
    # What the administrator did, as a reason of endings.
    Column("reason", String(20), nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    # The image and the membership as they were.
    Column("image_created_at", BigInteger, nullable=False),
    Column("image_name", String(255)),
    Column("image_status", String(30), nullable=False),
    Column("size", BigInteger),
    Column("disk_format", String(40)),
    Column("container_format", String(40)),
    Column("member", Text, nullable=False),
    Index("ix_takedowns_member", "member_id", "image_created_at", "image_id"),
    Index("ix_takedowns_owner", "owner", "image_created_at", "image_id", "member_id"),
    Index("ix_takedowns_taken_at", "taken_at"),
)

# Requests with an Idempotency-Key, and their responses. `request` is a digest of the body.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_idempotency_keys_project_created_at", "project_id", "created_at"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

# Projects that are to be closed, or closed once more after cached tokens of the project have expired. A row is removed at the end.
project_closings = Table(
    "project_closings",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("source", String(20), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Index("ix_project_closings_due_at", "due_at"),
)

# Running uploads. `token` distinguishes an upload of an image from the next one; `worker` and `renewed_at` are its heartbeat.
uploads = Table(
    "uploads",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("token", String(36), nullable=False),
    Column("worker", String(255), nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    Index("ix_uploads_worker", "worker"),
)

# The ids of deleted images. An id is never reused: a member who trusted it must not find another image under it (CVE-2016-4383).
deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("deleted_at", BigInteger, nullable=False),
)

# The image that an image was adopted from. No foreign keys: rows stay when an image is deleted, because it can be restored.
adoptions = Table(
    "adoptions",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("source_id", String(36), nullable=False),
    Column("adopted_at", BigInteger, nullable=False),
)

# The servers and volumes that depend on an image. No foreign keys here and in `last_uses`: an image that is restored has its uses.
uses = Table(
    "uses",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("project_id", String(255), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("use_id", String(64), primary_key=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Index("ix_uses_kind_use_id", "kind", "use_id"),
)

# When a project used an image last, and downloaded it last. Each project in `uses` has a row here. `exceeded_at` is set when a use
# could not be recorded, because the project had as many as may be recorded: until it is cleared, the project counts as a user.
last_uses = Table(
    "last_uses",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("project_id", String(255), primary_key=True),
    Column("used_at", BigInteger),
    Column("downloaded_at", BigInteger),
    Column("exceeded_at", BigInteger),
)

# Servers and volumes whose deletion was notified: a notification that arrives late must not record them again.
ended_uses = Table(
    "ended_uses",
    metadata,
    Column("kind", String(10), primary_key=True),
    Column("use_id", String(64), primary_key=True),
    Column("ended_at", BigInteger, nullable=False),
    Index("ix_ended_uses_ended_at", "ended_at"),
)

# The guards of images whose owner has switched them. `pending` takes effect at `pending_at`. "default" is the operator's mode.
guards = Table(
    "guards",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("override", String(10), nullable=False),
    Column("pending", String(10)),
    Column("pending_at", BigInteger),
)

# Deleted images that wait to be scrubbed (soft delete), encoded with their members, so that no query of images finds them.
pending_deletes = Table(
    "pending_deletes",
    metadata,
    Column("image_id", String(36), primary_key=True),
    Column("deleted_at", BigInteger, nullable=False),
    Column("content_id", String(36), ForeignKey("contents.id")),
    Column("stores", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("members", Text, nullable=False),
    # The project that deleted its image and can restore it. Null: the operator alone can, because an administrator deleted it, its
    # project was closed, or an older release deleted it.
    Column("restorable_by", String(255)),
    Index("ix_pending_deletes_content_id", "content_id"),
    Index("ix_pending_deletes_deleted_at", "deleted_at"),
)

# One row for each project that owns images: its lock serializes the project's quota checks.
project_locks = Table(
    "project_locks",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("taken", BigInteger, nullable=False),
)

contents = Table(
    "contents",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("md5", String(32), nullable=False),
    # Empty if it was not computed: docs/decisions/0069.
    Column("sha256", String(64), nullable=False),
    Column("sha512", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Set by the sweep when no image has the content any more; the row is removed a grace period later, for running downloads.
    Column("unnamed_at", BigInteger),
)

manifests = Table(
    "manifests",
    metadata,
    Column("content_id", String(36), ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("encoded", LargeBinary, nullable=False),
)

packs = Table(
    "packs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("store_id", String(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Set when no chunk row points here any more; the object is removed a grace period later, for running reads.
    Column("retired_at", BigInteger),
)

chunks = Table(
    "chunks",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("store_id", String(255), primary_key=True),
    Column("pack_id", String(32), ForeignKey("packs.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("stored_bytes", Integer, nullable=False),
    Column("length_bytes", Integer, nullable=False),
    Column("encoding", Integer, nullable=False),
    # Set by the sweep when no manifest has the chunk; writers then no longer find it.
    Column("condemned_at", BigInteger, key="marked_at"),
    Index("ix_chunks_pack_id", "pack_id"),
    sqlite_with_rowid=False,
)

# Packs that are about to be written: inserted before their first byte, deleted by the transaction that inserts the pack. With these
# rows a sweep proves that an object that a crash left in a store was written by this database.
pack_intents = Table(
    "pack_intents",
    metadata,
    Column("pack_id", String(32), primary_key=True),
    Column("store_id", String(255), nullable=False),
    Column("noted_at", BigInteger, nullable=False),
)

# Holds of processes during which a sweep removes no pack.
holds = Table(
    "holds",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("reason", String(255), nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
)

# One row: the id of this database. Every copy of the database has the same id.
database_identity = Table(
    "database_identity",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False),
)

# The stores of this database. `identity` is the store's own; `generation` counts the sweeps that removed packs, here and in the
# store: where the store has counted more, this database is an older copy.
store_identities = Table(
    "store_identities",
    metadata,
    Column("store_id", String(255), primary_key=True),
    Column("identity", String(32), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("claimed_at", BigInteger, nullable=False),
)

# Staged image data, which waits for its import. The image does not show it, and it cannot be downloaded.
stagings = Table(
    "stagings",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("content_id", String(36), ForeignKey("contents.id"), nullable=False),
    Column("store_id", String(255), nullable=False),
    Index("ix_stagings_content_id", "content_id"),
)

# Bytes that are reserved for running uploads and imports in the quota of the image's owner. `token` is the upload's or the task's.
reservations = Table(
    "reservations",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("token", String(36), primary_key=True),
    Column("place", String(10), nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

# Work that continues after the response. `claim` distinguishes the run that may still write from one whose worker was considered
# dead; `attempts` counts the runs; `roles` are the caller's; `sealed_token` is the caller's token if the task needs it, until the
# task has ended; `certificate` verifies the data of a signed image. A task outlives its image, to report why there is none.
tasks = Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(30), nullable=False),
    Column("status", String(30), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("user_id", String(255)),
    Column("request_id", String(64)),
    Column("image_id", String(36)),
    Column("input", Text, nullable=False),
    Column("result", Text),
    Column("message", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("roles", Text, nullable=False),
    Column("sealed_token", Text),
    Column("certificate", Text),
    Column("claim", String(36)),
    Column("worker", String(255)),
    Column("renewed_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("lane", String(10), nullable=False, server_default="web"),
    Column("received_bytes", BigInteger),
    Column("received_digest", LargeBinary(32)),
    Index("ix_tasks_status_created_at", "status", "created_at", "id"),
    Index("ix_tasks_created_at", "created_at", "id"),
    Index("ix_tasks_image_id", "image_id", "created_at"),
    Index("ix_tasks_expires_at", "expires_at"),
)

# Images that a node has cached. An entry is invalid as soon as the copy has been evicted. Earlier releases, which may run beside
# this one during an upgrade, keep packs in place of copies, and list them in `packs`.
cached_images = Table(
    "cached_images",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String(255), primary_key=True),
    Column("hits", Integer, nullable=False),
    Column("last_accessed", BigInteger, nullable=False),
    Column("last_modified", BigInteger, nullable=False),
    Column("packs", Text, nullable=False),
    Index("ix_cached_images_node", "node"),
)

# Images that a node is to cache.
cache_queue = Table(
    "cache_queue",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String(255), primary_key=True),
    Column("queued_at", BigInteger, nullable=False),
    Index("ix_cache_queue_node_queued_at", "node", "queued_at"),
)

metadef_namespaces = Table(
    "metadef_namespaces",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("owner", String(255)),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("public", Boolean, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# Objects, properties and tags. `key` is the name for lookups: a tag's name in lower case (case-folded).
metadef_definitions = Table(
    "metadef_definitions",
    metadata,
    Column(
        "namespace", String(80), ForeignKey("metadef_namespaces.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True
    ),
    Column("kind", String(20), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

metadef_resource_types = Table(
    "metadef_resource_types",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

metadef_associations = Table(
    "metadef_associations",
    metadata,
    Column(
        "namespace", String(80), ForeignKey("metadef_namespaces.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True
    ),
    Column("resource_type", String(80), ForeignKey("metadef_resource_types.name"), primary_key=True),
    Column("prefix", String(80)),
    Column("properties_target", String(80)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("ix_metadef_associations_resource_type", "resource_type"),
)

processes = Table(
    "processes",
    metadata,
    Column("worker", String(255), primary_key=True),
    Column("purpose", String(20), nullable=False),
    Column("version", String(80), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
