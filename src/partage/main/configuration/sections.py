"""The sections of the settings: the tables of the configuration file. `config.py` reads them."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from partage import problems
from partage.http.server.connections import HEAD_SECONDS, IDLE_SECONDS, PER_WORKER, UNSENT_BYTES
from partage.main.configuration.masking import PlainURL
from partage.model.claim_code import ClaimRules
from partage.model.document import KnownFormats
from partage.model.guard import GuardMode
from partage.model.import_request import ImportMethod
from partage.model.limits import Limits
from partage.model.offer import NamesResolved
from partage.model.remote_image import COPIED
from partage.model.terms import Notice, NoticeBounds
from partage.outbound.addresses import Network
from partage.outbound.rules import Rules
from partage.stores.engine.resources import BUFFER_BYTES, LEAST_BUFFER_BYTES

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

_MIN_KEY_CHARACTERS = 32
_FORMATS = KnownFormats()
_LIMITS = Limits()
_RULES = Rules()
_CLAIMS = ClaimRules()


class Section(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _require_certificates(cafile: str) -> str:
    if cafile and not Path(cafile).is_file():
        raise ValueError("the file does not exist")
    try:
        if cafile:
            ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise ValueError("the file cannot be read, or has no certificates in PEM format") from error
    return cafile


class IdentitySettings(Section):
    """The identity service (Keystone), and the account of this service in it."""

    url: Annotated[PlainURL, Field(description="The URL of Keystone, with or without /v3")] = "http://127.0.0.1:5000"
    username: Annotated[str, Field(description="The user of this service; it needs the role service in identity.project_name")] = (
        "partage"
    )
    password: Annotated[SecretStr, Field(description="The password of identity.username")] = SecretStr("")
    project_name: Annotated[str, Field(description="The project of identity.username")] = "service"
    user_domain_name: Annotated[str, Field(description="The domain of identity.username")] = "Default"
    project_domain_name: Annotated[str, Field(description="The domain of identity.project_name")] = "Default"
    region: Annotated[
        str, Field(description="With identity.interface: the region of Keystone's endpoint in the catalog; empty: any region")
    ] = ""
    interface: Annotated[
        Literal["", "public", "internal", "admin"],
        Field(description="Validate tokens at Keystone's endpoint of this interface in the catalog; empty: at identity.url"),
    ] = ""
    timeout_seconds: Annotated[Positive, Field(description="Timeout for one response of Keystone; then the response is 503")] = 5.0
    cache_seconds: Annotated[
        float,
        Field(ge=0, le=300, description="Valid tokens are cached for this time; a revoked token works this much longer"),
    ] = 10.0
    refused_cache_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="Refused tokens are cached for this time, and at most for cache_seconds",
        ),
    ] = 2.0
    validation_threads: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Threads of one process that validate unknown tokens; as many more validate tokens that were valid before",
        ),
    ] = 5
    max_pending_validations: Annotated[
        int,
        Field(ge=1, description="Maximum unknown tokens of one process that are validated or queued; above it the response is 503"),
    ] = 64
    www_authenticate_uri: Annotated[
        PlainURL, Field(description="The Keystone URL in the WWW-Authenticate header of a 401 response; empty: identity.url")
    ] = ""
    cafile: Annotated[
        str,
        Field(
            description="A PEM file of certificate authorities for Keystone and the endpoints in its catalog; empty: the system's"
        ),
    ] = ""
    check_members: Annotated[
        bool,
        Field(description="Accept only existing projects as members; identity.username then needs the system role reader"),
    ] = False
    allow_expired: Annotated[
        bool,
        Field(
            description="Accept an expired user token together with a valid service token, for long operations of Nova and Cinder"
        ),
    ] = True

    @field_validator("cafile")
    @classmethod
    def _require_certificate_file(cls, cafile: str) -> str:
        return _require_certificates(cafile)


class LimitSettings(Section):
    """Limits and quotas."""

    image_size_cap_bytes: Annotated[Count, Field(description="Maximum size of one image; above it the response is 413")] = (
        _LIMITS.image_size_cap_bytes
    )
    images_per_project: Annotated[Count, Field(description="Maximum images of one project; 0: no limit")] = (
        _LIMITS.images_per_project
    )
    storage_per_project_bytes: Annotated[
        Count, Field(description="Maximum total size of the images of one project; 0: no limit")
    ] = _LIMITS.storage_per_project_bytes
    tags: Annotated[int, Field(ge=-1, description="Maximum tags of one image; -1: no limit")] = _LIMITS.tags
    properties: Annotated[int, Field(ge=-1, description="Maximum custom properties of one image; -1: no limit")] = (
        _LIMITS.properties
    )
    members: Annotated[int, Field(ge=-1, description="Maximum members of one image; -1: no limit")] = _LIMITS.members
    locations: Annotated[int, Field(ge=-1, description="Maximum locations of one image; -1: no limit")] = _LIMITS.locations
    uses: Annotated[int, Field(ge=-1, description="Maximum recorded uses of an image by one project; -1: no limit")] = _LIMITS.uses
    use_keystone_limits: Annotated[
        bool,
        Field(description="Use Keystone's unified limits instead of images_per_project and storage_per_project_bytes"),
    ] = False
    keystone_endpoint_id: Annotated[
        str,
        Field(description="The id of the endpoint whose limits apply; empty: found by keystone_service_type and keystone_region"),
    ] = ""
    keystone_service_type: Annotated[str, Field(description="The service type for which the limits are registered")] = "image"
    keystone_region: Annotated[
        str, Field(description="The region for which the limits are registered; empty: there is only one")
    ] = ""
    keystone_cache_seconds: Annotated[
        float,
        Field(ge=0, le=10, description="Limits of Keystone are cached for this time; a raised limit applies immediately"),
    ] = 10.0
    one_upload_may_exceed: Annotated[
        bool,
        Field(description="Let one upload of unknown size at a time exceed a unified limit; Glance lets every upload exceed it"),
    ] = False
    page_default: Annotated[int, Field(ge=1, description="Page size of a list without the parameter limit")] = _LIMITS.page_default
    page_max: Annotated[int, Field(ge=1, description="Maximum page size of a list")] = _LIMITS.page_max
    page_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum bytes of one page of a list, or of one metadef namespace; a page has at least one image",
        ),
    ] = _LIMITS.page_bytes
    document_bytes: Annotated[
        int,
        Field(
            ge=1024,
            description="Maximum bytes of the tags, properties and locations of one image together, or of the input of one task",
        ),
    ] = _LIMITS.document_bytes
    patch_operations: Annotated[int, Field(ge=1, description="Maximum operations of one PATCH request")] = _LIMITS.patch_operations


class UploadSettings(Section):
    """Running uploads and stagings: their number, rate and memory."""

    max_concurrent: Annotated[
        int, Field(ge=1, le=4096, description="Maximum concurrent uploads of one process; above it the response is 503")
    ] = 128
    max_concurrent_per_project: Annotated[
        Count,
        Field(description="Maximum concurrent uploads of one project in all processes; above it the response is 503; 0: no limit"),
    ] = _LIMITS.uploads_per_project
    min_bytes_per_second: Annotated[
        Count,
        Field(description="Minimum upload rate while the service waits for the client; a slower upload gets 408; 0: no minimum"),
    ] = 256
    min_rate_window_seconds: Annotated[Positive, Field(description="The time over which min_bytes_per_second is averaged")] = 300.0
    buffer_bytes: Annotated[
        int,
        Field(ge=LEAST_BUFFER_BYTES, description="Buffer memory of one process for arriving image data; all uploads share it"),
    ] = BUFFER_BYTES


class FormatSettings(Section):
    """Which disk images are accepted."""

    require_image_format_match: Annotated[
        bool, Field(description="Refuse image data that does not match the declared disk_format")
    ] = True
    vmdk_allowed_types: Annotated[
        tuple[str, ...], Field(description="Accepted VMDK subformats; other subformats can reference files of the host")
    ] = ("streamOptimized", "monolithicSparse")
    gpt_safety_checks_nonfatal: Annotated[
        tuple[Literal["mbr", "gptmbr"], ...],
        Field(description="Partition table faults to accept: mbr accepts all, gptmbr those of a GPT's MBR, such as a hybrid MBR"),
    ] = ()
    disk_formats: Annotated[tuple[str, ...], Field(description="Accepted values of disk_format")] = _FORMATS.disk
    container_formats: Annotated[tuple[str, ...], Field(description="Accepted values of container_format")] = _FORMATS.container


class ImportSettings(Section):
    """Imports of image data."""

    methods: Annotated[tuple[ImportMethod, ...], Field(description="The enabled import methods")] = (
        ImportMethod.GLANCE_DIRECT,
        ImportMethod.WEB_DOWNLOAD,
        ImportMethod.COPY_IMAGE,
    )
    http_locations: Annotated[
        bool,
        Field(description="Let image owners, not only services, add http locations; always on with a store of type http"),
    ] = False
    decompress: Annotated[bool, Field(description="Decompress imported gzip files, and zip files that contain one file")] = False
    convert_to: Annotated[
        Literal["", "qcow2", "raw", "vmdk"],
        Field(description="Convert imported data to this disk format with qemu-img; empty: no conversion"),
    ] = ""
    inject: Annotated[tuple[str, ...], Field(description="Properties to add to every imported image, each as name:value")] = ()
    inject_not_for_roles: Annotated[
        tuple[str, ...], Field(description="Users with one of these roles get no injected properties")
    ] = ("admin",)
    work_directory: Annotated[
        str,
        Field(description="The directory for conversion, with space for two files of an image's size; empty: the system's"),
    ] = ""
    max_concurrent: Annotated[
        int,
        Field(ge=1, le=64, description="Maximum concurrent imports of staged data and copies between stores in one import worker"),
    ] = 4
    max_concurrent_per_project: Annotated[
        int,
        Field(
            ge=1, le=64, description="How many of max_concurrent one project may use; one slot is always left for other projects"
        ),
    ] = 2
    max_concurrent_downloads: Annotated[
        int, Field(ge=1, le=256, description="Maximum concurrent imports from the web and from other regions in one import worker")
    ] = 16
    max_concurrent_downloads_per_project: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="How many of max_concurrent_downloads one project may use; one slot is always left for others",
        ),
    ] = 4
    max_decompression_ratio: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum ratio of decompressed to compressed size (decompression bombs); 0: only quota and size cap apply",
        ),
    ] = 200
    decompression_allowance_bytes: Annotated[
        Count, Field(description="Decompressed data up to this size is accepted at any ratio")
    ] = 4 << 30
    glance_download_properties: Annotated[
        tuple[str, ...], Field(description="Name prefixes of the properties that glance-download copies from the other region")
    ] = COPIED
    token_keys: Annotated[
        tuple[SecretStr, ...],
        Field(description="Keys that encrypt user tokens for glance-download; the first encrypts, all decrypt (key rotation)"),
    ] = ()

    @field_validator("inject")
    @classmethod
    def _require_names(cls, inject: tuple[str, ...]) -> tuple[str, ...]:
        for each in inject:
            if not each.partition(":")[0] or ":" not in each:
                raise ValueError(f"{each} does not have the form name:value")
        return inject

    @field_validator("token_keys")
    @classmethod
    def _require_long_keys(cls, token_keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(each.get_secret_value()) < _MIN_KEY_CHARACTERS for each in token_keys):
            raise ValueError(
                f"a key needs at least {_MIN_KEY_CHARACTERS} random characters; generate one with openssl rand -hex 32"
            )
        return token_keys


class FetchSettings(Section):
    """Which URLs the service opens on a user's behalf, for imports and locations (SSRF protection)."""

    schemes: Annotated[tuple[Literal["http", "https"], ...], Field(description="Permitted URL schemes")] = ("http", "https")
    ports: Annotated[tuple[Port, ...], Field(description="Permitted ports, explicit or by the URL's scheme")] = (80, 443)
    hosts_allowed: Annotated[
        tuple[str, ...],
        Field(
            description="Permitted hosts; .example.org includes subdomains; empty: every host; addresses are checked in any case"
        ),
    ] = ()
    hosts_denied: Annotated[tuple[str, ...], Field(description="Forbidden hosts; takes precedence over hosts_allowed")] = ()
    networks_allowed: Annotated[
        tuple[Network, ...],
        Field(description="Permitted networks in addition to public addresses, such as 10.1.0.0/16; every user can reach them"),
    ] = ()
    networks_denied: Annotated[
        tuple[Network, ...], Field(description="Forbidden networks among the public addresses, such as the cloud's own")
    ] = ()
    redirects: Annotated[int, Field(ge=0, le=10, description="Maximum redirects to follow")] = _RULES.redirects
    total_seconds: Annotated[Positive, Field(description="Timeout for fetching one image")] = _RULES.total_seconds
    connect_seconds: Annotated[
        Positive,
        Field(description="Timeout until the response begins; failures before that are reported after this time (side channel)"),
    ] = _RULES.connect_seconds
    read_timeout_seconds: Annotated[Positive, Field(description="Timeout while no byte arrives")] = _RULES.silence_seconds
    min_bytes_per_second: Annotated[Count, Field(description="Minimum transfer rate, averaged over read_timeout_seconds")] = (
        _RULES.slowest_bytes_per_second
    )
    header_bytes: Annotated[int, Field(ge=1024, description="Maximum size of the response headers")] = _RULES.header_bytes
    cafile: Annotated[str, Field(description="A PEM file of certificate authorities; empty: the system's")] = ""

    @field_validator("cafile")
    @classmethod
    def _require_certificate_file(cls, cafile: str) -> str:
        return _require_certificates(cafile)


class SignatureSettings(Section):
    """The key manager that has the certificates of image signatures; needs partage[signatures]."""

    castellan_file: Annotated[
        str,
        Field(description="A castellan file with the sections key_manager, barbican or vault; empty: Barbican from the catalog"),
    ] = ""
    timeout_seconds: Annotated[Positive, Field(description="Timeout for one response of the key manager")] = 10.0


class ConnectionSettings(Section):
    """Connections of one process: their number, timeouts and memory."""

    per_worker: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum connections of one process; above it the connection that is idle for longest is closed",
        ),
    ] = PER_WORKER
    header_timeout_seconds: Annotated[Positive, Field(description="Timeout for receiving the request line and headers")] = (
        HEAD_SECONDS
    )
    idle_seconds: Annotated[
        Positive,
        Field(description="An idle connection is closed after this time (keep-alive); longer than the proxy's own timeout"),
    ] = IDLE_SECONDS
    max_unsent_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum memory of one process for unsent responses; above it the slowest client is disconnected",
        ),
    ] = UNSENT_BYTES


class CacheSettings(Section):
    """The cache of images on a local disk of each host."""

    enabled: Annotated[
        bool,
        Field(description="Keep the images that are downloaded as plain files; off: no cache, and /v2/cache responds with 404"),
    ] = True
    directory: Annotated[
        str, Field(description="The cache directory, on a local disk of this host; empty: the folder cache in the data directory")
    ] = ""
    free_share: Annotated[
        float,
        Field(
            gt=0, le=1, description="Share of its disk's space that would be free without it; least recently used images go first"
        ),
    ] = 0.25
    size_bytes: Annotated[Count, Field(description="Maximum size of the cache, also if free_share would permit more; 0: none")] = 0
    node: Annotated[
        PlainURL,
        Field(max_length=255, description="The URL of this host in the cache API; empty: built from host name and port"),
    ] = ""


def _check_notice(notice: str) -> str:
    try:
        is_while_used = Notice.parse(notice).while_used
    except problems.BodyInvalid as problem:
        raise ValueError(str(problem)) from problem
    if is_while_used:
        raise ValueError("give a duration or forever; while_used says whether owners can name while-used")
    return notice


_LONGEST_COOL_DOWN = timedelta(days=365)

NoticeText = Annotated[str, AfterValidator(_check_notice)]


def _check_duration(text: str) -> str:
    if not Notice.parse(_check_notice(text)).duration:
        raise ValueError("it must be a duration of at least a second, such as P7D or PT12H")
    return text


DurationText = Annotated[str, AfterValidator(_check_duration)]


class DomainSharingSettings(Section):
    """The notice of shares that projects of one domain offer. What is None is the cloud's."""

    default_notice: NoticeText | None = None
    least_notice: NoticeText | None = None
    longest_notice: NoticeText | None = None


class SharingSettings(Section):
    """What a share promises to the member."""

    default_notice: Annotated[
        NoticeText,
        Field(description="Members keep access for this time after a share ends: an ISO 8601 duration or forever; P0D: no notice"),
    ] = "P0D"

    least_notice: Annotated[NoticeText, Field(description="The shortest notice that an owner can name in the sharing API")] = "P0D"
    longest_notice: Annotated[NoticeText, Field(description="The longest notice that an owner can name in the sharing API")] = (
        "forever"
    )
    domains: Annotated[
        dict[str, DomainSharingSettings],
        Field(
            description="By domain id, default_notice, least_notice and longest_notice for the shares that its projects offer; "
            "each that a domain lacks is the cloud's"
        ),
    ] = {}
    while_used: Annotated[
        bool,
        Field(
            description="Owners can name the notice while-used in the sharing API; switch it on where uses are learned from the "
            "message bus, or recorded by services"
        ),
    ] = False
    while_used_grace: Annotated[
        NoticeText, Field(description="With the notice while-used members keep access for this duration after their last use")
    ] = "P1D"
    guard: Annotated[
        GuardMode,
        Field(
            description="block: a call that would end the access of projects that use an image within the cool-down is refused, "
            "unless acknowledged; off: as in Glance; owners can set another for each image"
        ),
    ] = GuardMode.OFF
    guard_cool_down: Annotated[
        NoticeText,
        Field(
            description="For this time a switch of the guard from block to off is pending, and members that use an image keep "
            "access after an acknowledged end: an ISO 8601 duration"
        ),
    ] = "P1D"
    resolve_names: Annotated[
        NamesResolved,
        Field(
            description="Projects that owners can name by their names in the sharing API: none, those of their own-domain, "
            "or all; all lets every user list the names of projects"
        ),
    ] = NamesResolved.OWN_DOMAIN
    claim_code_validity: Annotated[
        DurationText, Field(description="Validity of a claim code whose owner names no expires_at: an ISO 8601 duration")
    ] = "P7D"
    longest_claim_code_validity: Annotated[
        DurationText, Field(description="The longest validity of a claim code: an ISO 8601 duration")
    ] = "P30D"
    claim_codes_per_project: Annotated[
        Count, Field(description="Maximum claim codes of one project that have not expired; above it the response is 413")
    ] = _CLAIMS.codes_per_project
    failed_claims_per_project: Annotated[
        Count, Field(description="Maximum failed claims of one project in ten minutes; above it the response is 429; 0: no limit")
    ] = _CLAIMS.failures_per_project
    failed_claims_per_address: Annotated[
        Count,
        Field(
            description="Maximum failed claims from one client address in ten minutes; above it the response is 429; 0: no limit"
        ),
    ] = _CLAIMS.failures_per_address

    @property
    def bounds(self) -> NoticeBounds:
        """What owners of the cloud can promise."""
        return self._merge_bounds(DomainSharingSettings())

    @property
    def bounds_of_domains(self) -> dict[str, NoticeBounds]:
        """What owners of each domain can promise."""
        return {domain: self._merge_bounds(given) for domain, given in self.domains.items()}

    def _merge_bounds(self, given: DomainSharingSettings) -> NoticeBounds:
        return NoticeBounds(
            default=Notice.parse(given.default_notice or self.default_notice),
            least=Notice.parse(given.least_notice or self.least_notice),
            longest=Notice.parse(given.longest_notice or self.longest_notice),
        )

    @model_validator(mode="after")
    def _require_order(self) -> Self:
        for domain, bounds in [("", self.bounds), *self.bounds_of_domains.items()]:
            try:
                bounds.check(bounds.default or Notice())
            except problems.TermsRefused as problem:
                of = f" of domain {domain}" if domain else ""
                message = f"default_notice{of} must be between least_notice and longest_notice: {problem}"
                raise ValueError(message) from problem
        return self

    @property
    def claim_rules(self) -> ClaimRules:
        """What holds for claim codes."""
        return ClaimRules(
            validity=Notice.parse(self.claim_code_validity).duration or _CLAIMS.validity,
            longest_validity=Notice.parse(self.longest_claim_code_validity).duration or _CLAIMS.longest_validity,
            codes_per_project=self.claim_codes_per_project,
            failures_per_project=self.failed_claims_per_project,
            failures_per_address=self.failed_claims_per_address,
        )

    @model_validator(mode="after")
    def _require_validity_in_bounds(self) -> Self:
        if self.claim_rules.validity > self.claim_rules.longest_validity:
            raise ValueError("claim_code_validity must not be longer than longest_claim_code_validity")
        return self

    @property
    def grace(self) -> timedelta:
        """The grace of the notice while-used."""
        return Notice.parse(self.while_used_grace).duration or timedelta()

    @model_validator(mode="after")
    def _require_duration(self) -> Self:
        if Notice.parse(self.while_used_grace).duration is None:
            raise ValueError("while_used_grace must be a duration, such as P1D")
        return self

    @property
    def cool_down(self) -> timedelta:
        """For how long switching the guard off is pending."""
        return Notice.parse(self.guard_cool_down).duration or timedelta()

    @model_validator(mode="after")
    def _require_short_cool_down(self) -> Self:
        if not Notice(_LONGEST_COOL_DOWN).covers(Notice.parse(self.guard_cool_down)):
            raise ValueError(f"guard_cool_down must be at most {Notice(_LONGEST_COOL_DOWN)}")
        return self


class NotificationSettings(Section):
    """Notifications in Glance's format, sent with oslo.messaging."""

    transport_url: Annotated[
        SecretStr,
        Field(
            description="The transport URL of the message bus, such as rabbit://user:password@host:5672/; empty: no notifications"
        ),
    ] = SecretStr("")
    topics: Annotated[
        tuple[str, ...], Field(min_length=1, description="The topics of notifications; the priority is appended to each")
    ] = ("notifications",)
    disabled_notifications: Annotated[
        tuple[str, ...], Field(description="Events that are not sent, such as image.send, or groups of events, such as task")
    ] = ()
    default_publisher_id: Annotated[str, Field(description="The publisher_id of notifications")] = "image.localhost"


class LogSettings(Section):
    """The log on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="The lowest level that is written")] = "info"
    format: Annotated[Literal["text", "json"], Field(description="The log format; json writes one object a line")] = "text"
