"""The database and the files of a Glance, as Glance writes them: its columns, times without zone, one file for each image."""

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

SCHEMA = """
CREATE TABLE images (id VARCHAR(36) PRIMARY KEY, name VARCHAR(255), disk_format VARCHAR(20), container_format VARCHAR(20),
    size INTEGER, virtual_size INTEGER, status VARCHAR(30) NOT NULL, visibility VARCHAR(9) NOT NULL, checksum VARCHAR(32),
    os_hash_algo VARCHAR(64), os_hash_value VARCHAR(128), min_disk INTEGER NOT NULL, min_ram INTEGER NOT NULL, owner VARCHAR(255),
    protected BOOLEAN NOT NULL, os_hidden BOOLEAN NOT NULL, created_at DATETIME, updated_at DATETIME, deleted_at DATETIME,
    deleted BOOLEAN NOT NULL);
CREATE TABLE image_tags (id INTEGER PRIMARY KEY, image_id VARCHAR(36), value VARCHAR(255), deleted BOOLEAN NOT NULL);
CREATE TABLE image_properties (id INTEGER PRIMARY KEY, image_id VARCHAR(36), name VARCHAR(255), value TEXT, deleted BOOLEAN);
CREATE TABLE image_members (id INTEGER PRIMARY KEY, image_id VARCHAR(36), member VARCHAR(255), can_share BOOLEAN,
    status VARCHAR(20), created_at DATETIME, updated_at DATETIME, deleted BOOLEAN);
CREATE TABLE image_locations (id INTEGER PRIMARY KEY, image_id VARCHAR(36), value TEXT, meta_data TEXT, status VARCHAR(30),
    deleted BOOLEAN);
CREATE TABLE tasks (id VARCHAR(36) PRIMARY KEY, type VARCHAR(30), status VARCHAR(30), owner VARCHAR(255), expires_at DATETIME,
    image_id VARCHAR(36), request_id VARCHAR(64), user_id VARCHAR(64), created_at DATETIME, updated_at DATETIME, deleted BOOLEAN);
CREATE TABLE task_info (task_id VARCHAR(36) PRIMARY KEY, input TEXT, result TEXT, message TEXT);
CREATE TABLE metadef_namespaces (id INTEGER PRIMARY KEY, namespace VARCHAR(80), display_name VARCHAR(80), description TEXT,
    visibility VARCHAR(32), protected BOOLEAN, owner VARCHAR(255), created_at DATETIME, updated_at DATETIME);
CREATE TABLE metadef_objects (id INTEGER PRIMARY KEY, namespace_id INTEGER, name VARCHAR(80), description TEXT, required TEXT,
    json_schema TEXT, created_at DATETIME, updated_at DATETIME);
CREATE TABLE metadef_properties (id INTEGER PRIMARY KEY, namespace_id INTEGER, name VARCHAR(80), json_schema TEXT,
    created_at DATETIME, updated_at DATETIME);
CREATE TABLE metadef_tags (id INTEGER PRIMARY KEY, namespace_id INTEGER, name VARCHAR(80), created_at DATETIME,
    updated_at DATETIME);
CREATE TABLE metadef_resource_types (id INTEGER PRIMARY KEY, name VARCHAR(80), protected BOOLEAN, created_at DATETIME,
    updated_at DATETIME);
CREATE TABLE metadef_namespace_resource_types (resource_type_id INTEGER, namespace_id INTEGER, properties_target VARCHAR(80),
    prefix VARCHAR(80), created_at DATETIME, updated_at DATETIME);
CREATE TABLE cached_images (id INTEGER PRIMARY KEY, image_id VARCHAR(36));
"""
CREATED = "2025-03-01 10:00:00.250000"
UPDATED = "2025-03-02 11:30:00.000000"


@dataclass(frozen=True)
class GlanceWorld:
    """A Glance that does not run: its folder has the configuration, the database and the images."""

    folder: Path

    @property
    def config(self) -> Path:
        """The glance-api.conf."""
        return self.folder / "glance-api.conf"

    @property
    def url(self) -> str:
        """The connection in the configuration."""
        return f"sqlite:///{self.folder / 'glance.db'}"

    def file_of(self, image_id: str) -> Path:
        """The file with an image's data."""
        return self.folder / "images" / image_id

    def execute(self, statement: str, *values: object) -> None:
        """Change the database as Glance would."""
        connection = sqlite3.connect(self.folder / "glance.db")
        with connection:
            connection.execute(statement, values)
        connection.close()

    def insert(self, table: str, **values: object) -> None:
        """Insert a row."""
        names = ", ".join(values)
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", *values.values())

    def add_image(
        self, data: bytes | None = b"data" * 1000, *, members: dict[str, str] | None = None, store: str = "fast", **changed: Any
    ) -> str:
        """Add an image as an upload does; `data` None leaves it queued."""
        image_id = str(uuid4())
        row: dict[str, Any] = {
            **dict.fromkeys(("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")),
            "id": image_id,
            "name": "An image",
            "owner": "A",
            "status": "queued",
            "visibility": "shared",
            "protected": False,
            "os_hidden": False,
            "min_disk": 0,
            "min_ram": 0,
            "disk_format": "raw",
            "container_format": "bare",
            "created_at": CREATED,
            "updated_at": UPDATED,
            "deleted": False,
        }
        location = changed.pop("location", f"file://{self.file_of(image_id)}")
        tags, properties = changed.pop("tags", ()), changed.pop("properties", {})
        if data is not None:
            self.file_of(image_id).write_bytes(data)
            digest = hashlib.sha512(data).hexdigest()
            row |= {"size": len(data), "virtual_size": len(data), "checksum": hashlib.md5(data).hexdigest()}
            row |= {"status": "active", "os_hash_algo": "sha512", "os_hash_value": digest}
            metadata = json.dumps({"store": store} if store else {})
            self.insert("image_locations", image_id=image_id, value=location, meta_data=metadata, status="active", deleted=False)
        self.insert("images", **(row | changed))
        for tag in tags:
            self.insert("image_tags", image_id=image_id, value=tag, deleted=False)
        for name, value in properties.items():
            self.insert("image_properties", image_id=image_id, name=name, value=value, deleted=False)
        for member, status in (members or {}).items():
            self.add_member(image_id, member, status)
        return image_id

    def add_member(self, image_id: str, member: str, status: str = "pending") -> None:
        """Add a member to an image."""
        times = {"created_at": CREATED, "updated_at": UPDATED}
        self.insert("image_members", image_id=image_id, member=member, can_share=False, status=status, deleted=False, **times)

    def change_image(self, image_id: str, **changed: object) -> None:
        """Change columns of an image."""
        for name, value in changed.items():
            self.execute(f"UPDATE images SET {name} = ? WHERE id = ?", value, image_id)

    def delete_image(self, image_id: str) -> None:
        """Delete an image as Glance does: the rows stay, marked, and the file goes."""
        self.change_image(image_id, deleted=True, status="deleted", deleted_at=UPDATED)
        for table in ("image_tags", "image_properties", "image_members", "image_locations"):
            self.execute(f"UPDATE {table} SET deleted = 1 WHERE image_id = ?", image_id)
        self.file_of(image_id).unlink(missing_ok=True)


def make_glance(folder: Path) -> GlanceWorld:
    """Make a Glance without images, whose one store is named fast."""
    (folder / "images").mkdir(parents=True)
    world = GlanceWorld(folder)
    connection = sqlite3.connect(folder / "glance.db")
    connection.executescript(SCHEMA)
    connection.close()
    world.config.write_text(
        f"[DEFAULT]\nenabled_backends = fast:file\n[database]\nconnection = {world.url}\n[glance_store]\ndefault_backend = fast\n"
        f"[fast]\nfilesystem_store_datadir = {folder / 'images'}\n"
    )
    return world
