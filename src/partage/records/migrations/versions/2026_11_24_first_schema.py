"""The first schema.

Runs while old code serves: there is none.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _create_contents()
    _create_images()
    _create_shares_and_uploads()
    _create_tasks()
    _create_metadefs()
    _create_reservations()
    _create_cache()


def _create_contents() -> None:
    op.create_table(
        "contents",
        sa.Column("id", sa.String(36)),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sha512", sa.String(128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("unnamed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_contents"),
    )
    op.create_table(
        "manifests",
        sa.Column("content_id", sa.String(36), sa.ForeignKey("contents.id", name="fk_manifests_content_id", ondelete="CASCADE")),
        sa.Column("start", sa.BigInteger(), autoincrement=False),
        sa.Column("encoded", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", "start", name="pk_manifests"),
    )
    op.create_table(
        "packs",
        sa.Column("id", sa.String(32)),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_packs"),
    )
    op.create_table(
        "chunks",
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("store_id", sa.String(255)),
        sa.Column("pack_id", sa.String(32), sa.ForeignKey("packs.id", name="fk_chunks_pack_id"), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.Integer(), nullable=False),
        sa.Column("length_bytes", sa.Integer(), nullable=False),
        sa.Column("encoding", sa.Integer(), nullable=False),
        sa.Column("condemned_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("digest", "store_id", name="pk_chunks"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_chunks_pack_id", "chunks", ["pack_id"])


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.String(36)),
        sa.Column("owner", sa.String(255)),
        sa.Column("name", sa.String(255)),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("visibility", sa.String(20), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("os_hidden", sa.Boolean(), nullable=False),
        sa.Column("min_disk", sa.Integer(), nullable=False),
        sa.Column("min_ram", sa.Integer(), nullable=False),
        sa.Column("disk_format", sa.String(40)),
        sa.Column("container_format", sa.String(40)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("virtual_size", sa.BigInteger()),
        sa.Column("checksum", sa.String(32)),
        sa.Column("os_hash_algo", sa.String(64)),
        sa.Column("os_hash_value", sa.String(128)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("content_id", sa.String(36), sa.ForeignKey("contents.id", name="fk_images_content_id")),
        sa.Column("stores", sa.Text(), nullable=False),
        sa.Column("location_references", sa.Text(), nullable=False),
        sa.Column("external_url", sa.Text()),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    op.create_index("ix_images_content_id", "images", ["content_id"])
    op.create_index("ix_images_created_at", "images", ["created_at", "id"])
    op.create_index("ix_images_owner_created_at", "images", ["owner", "created_at", "id"])
    op.create_index("ix_images_owner_name", "images", ["owner", sa.text("coalesce(name, '')"), "created_at", "id"])
    op.create_index("ix_images_owner_visibility", "images", ["owner", "visibility", "created_at", "id"])
    op.create_index("ix_images_visibility_created_at", "images", ["visibility", "created_at", "id"])
    op.create_index("ix_images_visibility_name", "images", ["visibility", sa.text("coalesce(name, '')"), "created_at", "id"])
    op.create_table(
        "image_tags",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_image_tags_image_id", ondelete="CASCADE")),
        sa.Column("tag", sa.String(255)),
        sa.PrimaryKeyConstraint("image_id", "tag", name="pk_image_tags"),
    )
    op.create_table(
        "image_properties",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_image_properties_image_id", ondelete="CASCADE")),
        sa.Column("name", sa.String(255)),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "name", name="pk_image_properties"),
    )


def _create_shares_and_uploads() -> None:
    op.create_table(
        "members",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_members_image_id", ondelete="CASCADE")),
        sa.Column("member_id", sa.String(255)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("image_created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "member_id", name="pk_members"),
    )
    op.create_index("ix_members_member", "members", ["member_id", "image_created_at", "image_id"])
    op.create_index("ix_members_member_status", "members", ["member_id", "status", "image_created_at", "image_id"])
    op.create_table(
        "uploads",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_uploads_image_id", ondelete="CASCADE")),
        sa.Column("token", sa.String(36), nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("renewed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_worker", "uploads", ["worker"])
    op.create_table(
        "deleted_images",
        sa.Column("id", sa.String(36)),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_images"),
    )
    op.create_table(
        "pending_deletes",
        sa.Column("image_id", sa.String(36)),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.Column("content_id", sa.String(36), sa.ForeignKey("contents.id", name="fk_pending_deletes_content_id")),
        sa.Column("stores", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_pending_deletes"),
    )
    op.create_index("ix_pending_deletes_content_id", "pending_deletes", ["content_id"])
    op.create_index("ix_pending_deletes_deleted_at", "pending_deletes", ["deleted_at"])
    op.create_table(
        "project_locks",
        sa.Column("project_id", sa.String(255)),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_project_locks"),
    )


def _create_tasks() -> None:
    op.create_table(
        "stagings",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_stagings_image_id", ondelete="CASCADE")),
        sa.Column("content_id", sa.String(36), sa.ForeignKey("contents.id", name="fk_stagings_content_id"), nullable=False),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_stagings"),
    )
    op.create_index("ix_stagings_content_id", "stagings", ["content_id"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(36)),
        sa.Column("type", sa.String(30), nullable=False),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("image_id", sa.String(36)),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("sealed_token", sa.Text()),
        sa.Column("certificate", sa.Text()),
        sa.Column("claim", sa.String(36)),
        sa.Column("worker", sa.String(255)),
        sa.Column("renewed_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_created_at", "tasks", ["created_at", "id"])
    op.create_index("ix_tasks_expires_at", "tasks", ["expires_at"])
    op.create_index("ix_tasks_image_id", "tasks", ["image_id", "created_at"])
    op.create_index("ix_tasks_status_created_at", "tasks", ["status", "created_at", "id"])


def _create_metadefs() -> None:
    op.create_table(
        "metadef_namespaces",
        sa.Column("name", sa.String(80)),
        sa.Column("owner", sa.String(255)),
        sa.Column("display_name", sa.String(80)),
        sa.Column("description", sa.Text()),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_metadef_namespaces"),
    )
    op.create_table(
        "metadef_definitions",
        sa.Column("namespace", sa.String(80), _of_namespace("metadef_definitions")),
        sa.Column("kind", sa.String(20)),
        sa.Column("key", sa.String(255)),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "kind", "key", name="pk_metadef_definitions"),
    )
    op.create_table(
        "metadef_resource_types",
        sa.Column("name", sa.String(80)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_metadef_resource_types"),
    )
    op.create_table(
        "metadef_associations",
        sa.Column("namespace", sa.String(80), _of_namespace("metadef_associations")),
        sa.Column(
            "resource_type",
            sa.String(80),
            sa.ForeignKey("metadef_resource_types.name", name="fk_metadef_associations_resource_type"),
        ),
        sa.Column("prefix", sa.String(80)),
        sa.Column("properties_target", sa.String(80)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "resource_type", name="pk_metadef_associations"),
    )
    op.create_index("ix_metadef_associations_resource_type", "metadef_associations", ["resource_type"])


def _of_namespace(table: str) -> sa.ForeignKey:
    return sa.ForeignKey("metadef_namespaces.name", name=f"fk_{table}_namespace", ondelete="CASCADE", onupdate="CASCADE")


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_reservations_image_id", ondelete="CASCADE")),
        sa.Column("token", sa.String(36)),
        sa.Column("place", sa.String(10), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "token", name="pk_reservations"),
    )


def _create_cache() -> None:
    op.create_table(
        "cached_images",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_cached_images_image_id", ondelete="CASCADE")),
        sa.Column("node", sa.String(255)),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("last_accessed", sa.BigInteger(), nullable=False),
        sa.Column("last_modified", sa.BigInteger(), nullable=False),
        sa.Column("packs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "node", name="pk_cached_images"),
    )
    op.create_index("ix_cached_images_node", "cached_images", ["node"])
    op.create_table(
        "cache_queue",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id", name="fk_cache_queue_image_id", ondelete="CASCADE")),
        sa.Column("node", sa.String(255)),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "node", name="pk_cache_queue"),
    )
    op.create_index("ix_cache_queue_node_queued_at", "cache_queue", ["node", "queued_at"])
