"""The JSON schemas that clients fetch before they build a document. glanceclient and Nova refuse attributes that they lack.

The content is Glance 33's, including the descriptions: `glance explain` prints them. Only the lists of formats are this
service's own.
"""

from collections.abc import Callable
from typing import Any

from partage.http.messages import Reply, Request, json_reply
from partage.model.document import STATUSES, VISIBILITIES, KnownFormats
from partage.model.task import TaskStatus, TaskType

Schema = dict[str, Any]

_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_DESCRIBED_BY = {"rel": "describedby", "href": "{schema}"}


async def show_image_schema(request: Request) -> Reply:
    """Show the schema of an image."""
    return json_reply(image_schema(request.edge.options.formats))


async def show_images_schema(request: Request) -> Reply:
    """Show the schema of a list of images."""
    return json_reply(images_schema(request.edge.options.formats))


async def show_member_schema(request: Request) -> Reply:
    """Show the schema of a membership."""
    del request
    return json_reply(member_schema())


async def show_members_schema(request: Request) -> Reply:
    """Show the schema of a list of memberships."""
    del request
    return json_reply(members_schema())


async def show_task_schema(request: Request) -> Reply:
    """Show the schema of a task."""
    del request
    return json_reply(task_schema())


async def show_tasks_schema(request: Request) -> Reply:
    """Show the schema of a list of tasks."""
    del request
    return json_reply(tasks_schema())


def image_schema(formats: KnownFormats) -> Schema:
    """Build the schema of an image; any other name is a property with a text value. The operator's own have `is_base` false."""
    theirs = {name: {**schema, "is_base": False} for name, schema in formats.properties.by_name.items()}
    required = {"required": list(formats.properties.required)} if formats.properties.required else {}
    return {
        "name": "image",
        "properties": {**_common_attributes(), **_formats(formats), **_service_owned(), "locations": _locations(), **theirs},
        **required,
        "additionalProperties": {"type": "string"},
        "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, _DESCRIBED_BY],
    }


def images_schema(formats: KnownFormats) -> Schema:
    """Build the schema of a list of images."""
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": image_schema(formats)},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, _DESCRIBED_BY],
    }


def member_schema() -> Schema:
    """Build the schema of a membership."""
    return {
        "name": "member",
        "properties": {
            "member_id": {"type": "string", "description": "An identifier for the image member (tenantId)"},
            "image_id": {"type": "string", "description": "An identifier for the image", "pattern": _UUID},
            "created_at": {"type": "string", "description": "Date and time of image member creation"},
            "updated_at": {"type": "string", "description": "Date and time of last modification of image member"},
            "status": {
                "type": "string",
                "description": "The status of this image member",
                "enum": ["pending", "accepted", "rejected"],
            },
            "schema": {"readOnly": True, "type": "string"},
        },
    }


def members_schema() -> Schema:
    """Build the schema of a list of memberships."""
    return {
        "name": "members",
        "properties": {"members": {"type": "array", "items": member_schema()}, "schema": {"type": "string"}},
        "links": [_DESCRIBED_BY],
    }


def _nullable(kind: str, description: str, **more: Any) -> Schema:
    return {"type": ["null", kind], "description": description, **more}


def _plain(kind: str, description: str, **more: Any) -> Schema:
    return {"type": kind, "description": description, **more}


def _read_only(make: Callable[..., Schema], kind: str, description: str, **more: Any) -> Schema:
    return make(kind, description, readOnly=True, **more)


def _common_attributes() -> Schema:
    return {
        "id": _plain("string", "An identifier for the image", pattern=_UUID),
        "name": _nullable("string", "Descriptive name for the image", maxLength=255),
        "visibility": _plain("string", "Scope of image accessibility", enum=VISIBILITIES),
        "protected": _plain("boolean", "If true, image will not be deletable."),
        "os_hidden": _plain("boolean", "If true, image will not appear in default image list response."),
        "owner": _nullable("string", "Owner of the image", maxLength=255),
        "tags": _plain("array", "List of strings related to the image", items={"type": "string", "maxLength": 255}),
        "min_ram": _plain("integer", "Amount of ram (in MB) required to boot image."),
        "min_disk": _plain("integer", "Amount of disk space (in GB) required to boot image."),
    }


def _formats(formats: KnownFormats) -> Schema:
    return {
        "container_format": _nullable("string", "Format of the container", enum=[None, *formats.container]),
        "disk_format": _nullable("string", "Format of the disk", enum=[None, *formats.disk]),
    }


def _service_owned() -> Schema:
    stores = (
        "Store in which image data resides.  Only present when the operator has enabled multiple stores.  "
        "May be a comma-separated list of store identifiers."
    )
    digest = "Hexdigest of the image contents using the algorithm specified by the os_hash_algo"
    return {
        "status": _read_only(_plain, "string", "Status of the image", enum=STATUSES),
        "checksum": _read_only(_nullable, "string", "md5 hash of image contents.", maxLength=32),
        "os_hash_algo": _read_only(_nullable, "string", "Algorithm to calculate the os_hash_value", maxLength=64),
        "os_hash_value": _read_only(_nullable, "string", digest, maxLength=128),
        "size": _read_only(_nullable, "integer", "Size of image file in bytes"),
        "virtual_size": _read_only(_nullable, "integer", "Virtual size of image in bytes"),
        "created_at": _read_only(_plain, "string", "Date and time of image registration"),
        "updated_at": _read_only(_plain, "string", "Date and time of the last image modification"),
        "direct_url": _read_only(_plain, "string", "URL to access the image file kept in external store"),
        "self": _read_only(_plain, "string", "An image self url"),
        "file": _read_only(_plain, "string", "An image file url"),
        "stores": _read_only(_plain, "string", stores),
        "schema": _read_only(_plain, "string", "An image schema url"),
    }


def _locations() -> Schema:
    validation = (
        "Values to be used to populate the corresponding image properties. If the image status is not 'queued', "
        "values must exactly match those already contained in the image properties."
    )
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "url": {"type": "string", "maxLength": 255},
                "metadata": {"type": "object"},
                "validation_data": {
                    "description": validation,
                    "type": "object",
                    "writeOnly": True,
                    "additionalProperties": False,
                    "properties": {
                        "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                        "os_hash_algo": {"type": "string", "maxLength": 64},
                        "os_hash_value": {"type": "string", "maxLength": 128},
                    },
                    "required": ["os_hash_algo", "os_hash_value"],
                },
            },
            "required": ["url", "metadata"],
        },
        "description": "A set of URLs to access the image file kept in external store",
    }


def task_schema() -> Schema:
    """Build the schema of a task."""
    return {"name": "task", "properties": {**_task_identity(), **_task_documents(), **_task_links()}}


def tasks_schema() -> Schema:
    """Build the schema of a list of tasks, whose items leave the documents out."""
    return {
        "name": "tasks",
        "properties": {
            "tasks": {"type": "array", "items": {"name": "task", "properties": {**_task_identity(), **_task_links()}}},
            "schema": {"type": "string"},
        },
        "links": [_DESCRIBED_BY],
    }


def _task_identity() -> Schema:
    return {
        "id": {"description": "An identifier for the task", "pattern": _UUID, "type": "string"},
        "type": {
            "description": "The type of task represented by this content",
            "enum": [each.value for each in TaskType],
            "type": "string",
        },
        "status": {
            "description": "The current status of this task",
            "enum": [each.value for each in TaskStatus],
            "type": "string",
        },
        "owner": {"description": "An identifier for the owner of this task", "type": "string"},
    }


def _task_documents() -> Schema:
    return {
        "input": {"description": "The parameters required by task, JSON blob", "type": ["null", "object"]},
        "result": {"description": "The result of current task, JSON blob", "type": ["null", "object"]},
        "message": {
            "description": "Human-readable informative message only included when appropriate (usually on failure)",
            "type": "string",
        },
    }


def _task_links() -> Schema:
    return {
        "image_id": {"description": "Image associated with the task", "type": "string"},
        "request_id": {"description": "Human-readable informative request-id", "type": "string"},
        "user_id": {"description": "User associated with the task", "type": "string"},
        "expires_at": {"description": "Datetime when this resource would be subject to removal", "type": ["null", "string"]},
        "created_at": {"description": "Datetime when this resource was created", "type": "string"},
        "updated_at": {"description": "Datetime when this resource was updated", "type": "string"},
        "self": {"readOnly": True, "type": "string"},
        "schema": {"readOnly": True, "type": "string"},
    }
