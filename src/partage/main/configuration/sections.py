"""The sections of the settings: what may stand in each table of the settings file. `config.py` reads them."""

import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from partage import problems
from partage.http.server.connections import HEAD_SECONDS, IDLE_SECONDS, PER_WORKER, UNSENT_BYTES
from partage.model.document import KnownFormats
from partage.model.import_request import ImportMethod
from partage.model.limits import Limits
from partage.model.remote_image import COPIED
from partage.model.terms import Notice
from partage.outbound.addresses import Network
from partage.outbound.rules import Rules
from partage.stores.engine.resources import BUFFER_BYTES, LEAST_BUFFER_BYTES

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

_SHORTEST_KEY = 32
_FORMATS = KnownFormats()
_LIMITS = Limits()
_RULES = Rules()


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _require_certificates(cafile: str) -> str:
    if cafile and not Path(cafile).is_file():
        raise ValueError("the file does not exist")
    try:
        if cafile:
            ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise ValueError("the file cannot be read, or holds no certificates in PEM") from error
    return cafile


class StoreSettings(_Section):
    """A place where image data rests, or the web, where it rests with others."""

    id: Annotated[str, Field(min_length=1, description="The name of the store, as clients see it")]
    type: Annotated[
        Literal["posix", "http"],
        Field(
            description="posix: files below a directory; http: locations on the web, kept by reference and read at each download"
        ),
    ] = "posix"
    path: Annotated[
        Path | None, Field(description="The directory of posix; it must be writable by the service and by nobody else")
    ] = None
    description: Annotated[str, Field(description="A sentence about the store for its users")] = ""
    weight: Annotated[int, Field(description="Stores of greater weight are preferred")] = 0
    read_only: Annotated[bool, Field(description="Take no new image data; http never does")] = False

    @property
    def directory(self) -> Path:
        """The directory of a store of type posix.

        Raises:
            Invalid: it is of another type.
        """
        if self.path is None:
            raise problems.Invalid(f"The store {self.id} is of type {self.type}, which has no directory")
        return self.path

    @model_validator(mode="after")
    def _has_its_path(self) -> "StoreSettings":
        if self.type == "posix" and self.path is None:
            raise ValueError("a store of type posix needs a path")
        if self.type == "http" and self.path is not None:
            raise ValueError("a store of type http has no path: its images stay on the web")
        return self


class IdentitySettings(_Section):
    """The identity service (Keystone) and this service's own account in it."""

    url: Annotated[str, Field(description="Where Keystone is, with or without /v3")] = "http://127.0.0.1:5000"
    username: Annotated[str, Field(description="This service's user; it needs the role service in the project below")] = "partage"
    password: Annotated[SecretStr, Field(description="Its password")] = SecretStr("")
    project_name: Annotated[str, Field(description="The project of that user")] = "service"
    user_domain_name: Annotated[str, Field(description="The domain of that user")] = "Default"
    project_domain_name: Annotated[str, Field(description="The domain of that project")] = "Default"
    region: Annotated[str, Field(description="The region whose identity endpoint is used; empty: any")] = ""
    interface: Annotated[
        Literal["", "public", "internal", "admin"],
        Field(description="Validate tokens at the catalog's endpoint of this interface; empty: at url"),
    ] = ""
    timeout_seconds: Annotated[Positive, Field(description="How long one answer of Keystone may take")] = 5.0
    cache_seconds: Annotated[
        float,
        Field(ge=0, le=300, description="How long an answer about a token is believed; a revoked token works this much longer"),
    ] = 10.0
    refused_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="How long a token that Keystone refused is refused without asking again, at most as long as cache_seconds",
        ),
    ] = 2.0
    validation_threads: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Validations of unknown tokens that one process runs at a time; as many again for tokens that were valid",
        ),
    ] = 5
    validations_waiting: Annotated[
        int, Field(ge=1, description="Unknown tokens that one process validates or lets wait at a time; above it 503")
    ] = 64
    www_authenticate_uri: Annotated[str, Field(description="Where a 401 sends clients to get a token; empty: url")] = ""
    cafile: Annotated[
        str,
        Field(
            description="Authorities for certificates of Keystone and of what its catalog names, a PEM file; empty: the system's"
        ),
    ] = ""
    check_members: Annotated[
        bool,
        Field(description="Take as members only projects that Keystone has; the user then needs the role reader on the system"),
    ] = False
    allow_expired: Annotated[
        bool,
        Field(description="Take an expired user token beside a valid service token, as long operations of other services need"),
    ] = True

    @field_validator("cafile")
    @classmethod
    def _cafile_is_there(cls, cafile: str) -> str:
        return _require_certificates(cafile)


class LimitSettings(_Section):
    """How much the service takes."""

    image_size_cap_bytes: Annotated[Count, Field(description="The largest image")] = _LIMITS.image_size_cap_bytes
    images_per_project: Annotated[Count, Field(description="Images of one project; 0: no limit")] = _LIMITS.images_per_project
    storage_per_project_bytes: Annotated[Count, Field(description="Bytes of all images of one project together; 0: no limit")] = (
        _LIMITS.storage_per_project_bytes
    )
    tags: Annotated[int, Field(ge=-1, description="Tags of one image; -1: no limit")] = _LIMITS.tags
    properties: Annotated[int, Field(ge=-1, description="Custom properties of one image; -1: no limit")] = _LIMITS.properties
    members: Annotated[int, Field(ge=-1, description="Members of one image; -1: no limit")] = _LIMITS.members
    locations: Annotated[int, Field(ge=-1, description="Locations of one image; -1: no limit")] = _LIMITS.locations
    use_keystone_limits: Annotated[
        bool,
        Field(description="Let Keystone's unified limits rule in place of images_per_project and storage_per_project_bytes"),
    ] = False
    keystone_endpoint_id: Annotated[
        str, Field(description="The endpoint whose limits count; empty: that of the service type and region below")
    ] = ""
    keystone_service_type: Annotated[str, Field(description="The type of the service that the limits are registered for")] = "image"
    keystone_region: Annotated[str, Field(description="The region that the limits are registered for; empty: the only one")] = ""
    keystone_cache_seconds: Annotated[
        float,
        Field(ge=0, le=10, description="How long a limit is remembered that was lowered in Keystone; a raised one counts at once"),
    ] = 10.0
    one_upload_may_exceed: Annotated[
        bool,
        Field(description="Let one upload without a declared size at a time pass a limit in Keystone, as Glance lets any"),
    ] = False
    page_default: Annotated[int, Field(ge=1, description="Images in a list when the client does not say")] = _LIMITS.page_default
    page_max: Annotated[int, Field(ge=1, description="Images in a list at most")] = _LIMITS.page_max
    page_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Bytes of one page of a list, which has one image at least; also of all that a metadef namespace defines",
        ),
    ] = _LIMITS.page_bytes
    document_bytes: Annotated[
        int, Field(ge=1024, description="Bytes of one image's tags, properties and locations together, or of one task's input")
    ] = _LIMITS.document_bytes
    patch_operations: Annotated[int, Field(ge=1, description="Operations of one PATCH")] = _LIMITS.patch_operations


class UploadSettings(_Section):
    """Uploads and stagings under way, and what they may hold."""

    at_once: Annotated[
        int, Field(ge=1, le=4096, description="Uploads that one process takes at a time; more are answered 503 at once")
    ] = 128
    per_project: Annotated[
        Count,
        Field(
            description="Uploads at a time to images of one project, in all processes; more are answered 503 at once; 0: no limit"
        ),
    ] = _LIMITS.uploads_per_project
    slowest_bytes_per_second: Annotated[
        Count,
        Field(description="The least that a client must send while it is waited for, averaged over window_seconds; 0: anything"),
    ] = 256
    window_seconds: Annotated[Positive, Field(description="For how long that is averaged; a slower upload is answered 408")] = 300.0
    buffer_bytes: Annotated[
        int,
        Field(
            ge=LEAST_BUFFER_BYTES, description="Memory of one process for image data on its way into stores; all uploads share it"
        ),
    ] = BUFFER_BYTES


class FormatSettings(_Section):
    """Which disk images are taken."""

    require_image_format_match: Annotated[bool, Field(description="Refuse image data that is not of its declared disk format")] = (
        True
    )
    vmdk_allowed_types: Annotated[
        tuple[str, ...], Field(description="VMDK subformats that are taken; the others can name files of the host")
    ] = ("streamOptimized", "monolithicSparse")
    gpt_safety_checks_nonfatal: Annotated[
        tuple[Literal["mbr", "gptmbr"], ...],
        Field(
            description="Faults of partition tables to accept: mbr all of them, gptmbr those of a GPT's MBR, such as a hybrid one"
        ),
    ] = ()
    disk_formats: Annotated[tuple[str, ...], Field(description="Values that disk_format may have")] = _FORMATS.disk
    container_formats: Annotated[tuple[str, ...], Field(description="Values that container_format may have")] = _FORMATS.container


class ImportSettings(_Section):
    """How image data is imported."""

    methods: Annotated[tuple[ImportMethod, ...], Field(description="The import methods that clients may use")] = (
        ImportMethod.GLANCE_DIRECT,
        ImportMethod.WEB_DOWNLOAD,
        ImportMethod.COPY_IMAGE,
    )
    http_locations: Annotated[
        bool,
        Field(
            description="Let owners of images, not only services of the cloud, give locations on the web; a store of type http does"
        ),
    ] = False
    decompress: Annotated[bool, Field(description="Unpack imported data that is a gzip or a zip archive of one file")] = False
    convert_to: Annotated[
        Literal["", "qcow2", "raw", "vmdk"], Field(description="Convert imported data to this format with qemu-img; empty: do not")
    ] = ""
    inject: Annotated[tuple[str, ...], Field(description="Properties that every imported image gets, each as name:value")] = ()
    inject_not_for_roles: Annotated[
        tuple[str, ...], Field(description="Users with one of these roles get no properties injected")
    ] = ("admin",)
    work_directory: Annotated[
        str, Field(description="Where two files of an image's size have room while it is converted; empty: the system's")
    ] = ""
    at_once: Annotated[
        int, Field(ge=1, le=64, description="Imports of staged data, and copies, that one import worker does at a time")
    ] = 4
    per_project: Annotated[
        int, Field(ge=1, le=64, description="The most of them that may be one project's; one slot is always left for others")
    ] = 2
    downloads_at_once: Annotated[
        int, Field(ge=1, le=256, description="Imports from the web and from other regions that one import worker does at a time")
    ] = 16
    downloads_per_project: Annotated[
        int, Field(ge=1, le=256, description="The most of them that may be one project's; one slot is always left for others")
    ] = 4
    expansion_ratio: Annotated[
        int, Field(ge=0, description="How many times its size compressed data may become; 0: no limit but the quota's and the cap")
    ] = 200
    expansion_free_bytes: Annotated[Count, Field(description="What compressed data may become in any case")] = 4 << 30
    remote_properties: Annotated[
        tuple[str, ...], Field(description="Beginnings of the names of properties that glance-download copies with an image")
    ] = COPIED
    token_keys: Annotated[
        tuple[SecretStr, ...],
        Field(description="Secrets that seal users' tokens for glance-download's workers; the first seals, the others still open"),
    ] = ()

    @field_validator("inject")
    @classmethod
    def _have_names(cls, inject: tuple[str, ...]) -> tuple[str, ...]:
        for each in inject:
            if not each.partition(":")[0] or ":" not in each:
                raise ValueError(f"{each} is not of the form name:value")
        return inject

    @field_validator("token_keys")
    @classmethod
    def _are_long(cls, token_keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(each.get_secret_value()) < _SHORTEST_KEY for each in token_keys):
            raise ValueError(f"a key has at least {_SHORTEST_KEY} characters, drawn at random: openssl rand -hex 32")
        return token_keys


class FetchSettings(_Section):
    """What image data is fetched from on a user's behalf, when an image is imported from a URL or read from a location."""

    schemes: Annotated[tuple[Literal["http", "https"], ...], Field(description="Schemes that a URL may have")] = ("http", "https")
    ports: Annotated[tuple[Port, ...], Field(description="Ports that a URL may lead to, by itself or by its scheme")] = (80, 443)
    hosts_allowed: Annotated[
        tuple[str, ...],
        Field(description="Hosts that a URL may name, .example.org for all below it too; empty: all. Their addresses are checked"),
    ] = ()
    hosts_denied: Annotated[tuple[str, ...], Field(description="Hosts that a URL may not name, whatever is allowed")] = ()
    networks_allowed: Annotated[
        tuple[Network, ...],
        Field(
            description="Networks that may be connected to beside the public internet, such as 10.1.0.0/16; users then reach them"
        ),
    ] = ()
    networks_denied: Annotated[
        tuple[Network, ...], Field(description="Networks that are not connected to although public, such as the cloud's own")
    ] = ()
    redirects: Annotated[int, Field(ge=0, le=10, description="How many redirects are followed")] = _RULES.redirects
    total_seconds: Annotated[Positive, Field(description="How long fetching one image may take")] = _RULES.total_seconds
    connect_seconds: Annotated[
        Positive,
        Field(description="How long until the answer begins; every failure until then is told after this time, to hide its reason"),
    ] = _RULES.connect_seconds
    silence_seconds: Annotated[Positive, Field(description="How long no byte may come")] = _RULES.silence_seconds
    slowest_bytes_per_second: Annotated[Count, Field(description="The least that must come, averaged over silence_seconds")] = (
        _RULES.slowest_bytes_per_second
    )
    header_bytes: Annotated[int, Field(ge=1024, description="The longest head of an answer")] = _RULES.header_bytes
    cafile: Annotated[str, Field(description="Authorities for servers' certificates, a PEM file; empty: the system's")] = ""

    @field_validator("cafile")
    @classmethod
    def _cafile_is_there(cls, cafile: str) -> str:
        return _require_certificates(cafile)


class SignatureSettings(_Section):
    """Where the certificates of images' signatures are; needs partage[signatures]."""

    castellan_file: Annotated[
        str,
        Field(description="A file with castellan's sections key_manager, barbican or vault; empty: the Barbican of the catalog"),
    ] = ""
    timeout_seconds: Annotated[Positive, Field(description="How long one answer of the key manager may take")] = 10.0


class ConnectionSettings(_Section):
    """How many connections a process keeps, and for how long each may wait."""

    per_worker: Annotated[
        int,
        Field(
            ge=1,
            description=(
                "Connections of one process, fewer if it may open too few files; above that, the one that has waited longest for a "
                "request is closed, and a new one gets 503 while all have requests"
            ),
        ),
    ] = PER_WORKER
    head_seconds: Annotated[
        Positive, Field(description="How long the first line and headers of a request may take, whatever arrives")
    ] = HEAD_SECONDS
    idle_seconds: Annotated[
        Positive, Field(description="How long a connection is kept between requests; longer than a proxy keeps it")
    ] = IDLE_SECONDS
    unsent_bytes: Annotated[
        int,
        Field(
            ge=1,
            description=(
                "Memory of one process for whole answers that clients have not taken yet; above that, the client that takes its "
                "answer slowest is disconnected"
            ),
        ),
    ] = UNSENT_BYTES


class CacheSettings(_Section):
    """What each host keeps on a disk of its own of what it reads from its stores."""

    directory: Annotated[
        str, Field(description="The directory, of this host alone; empty: nothing is kept, and the cache API is not there")
    ] = ""
    size_bytes: Annotated[Count, Field(description="How much may lie there; what was not used for longest goes first")] = 10 << 30
    node: Annotated[
        str,
        Field(max_length=255, description="The URL by which administrators know this host; empty: of its host name and port"),
    ] = ""
    stores: Annotated[tuple[str, ...], Field(description="The stores that are slower than the directory; empty: all")] = ()


class SharingSettings(_Section):
    """What a share promises to the project that it is offered to."""

    default_notice: Annotated[
        str,
        Field(
            description="How long members of shares made under /v2 keep access after the owner ends the share: "
            "an ISO 8601 duration, or forever; P0D: not at all, as in Glance"
        ),
    ] = "P0D"

    @field_validator("default_notice")
    @classmethod
    def _is_a_notice(cls, default_notice: str) -> str:
        try:
            Notice.parse(default_notice)
        except problems.BodyInvalid as problem:
            raise ValueError(str(problem)) from problem
        return default_notice


class NotificationSettings(_Section):
    """Where other services are told what happened to images, in Glance's words, by oslo.messaging."""

    transport_url: Annotated[
        SecretStr, Field(description="The message bus, such as rabbit://user:password@host:5672/; empty: nobody is told")
    ] = SecretStr("")
    topics: Annotated[
        tuple[str, ...], Field(min_length=1, description="The topics that notifications go to; the priority is added to each")
    ] = ("notifications",)
    disabled_notifications: Annotated[
        tuple[str, ...], Field(description="Events that nobody is told of, such as image.send, or groups of them, such as task")
    ] = ()
    default_publisher_id: Annotated[str, Field(description="Who notifications are from")] = "image.localhost"


class LogSettings(_Section):
    """What is written to the standard error stream."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="The least that is written")] = "info"
    format: Annotated[Literal["text", "json"], Field(description="json: one object a line")] = "text"
