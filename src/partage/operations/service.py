"""The parameters of every operation: database, stores, policy, limits, integrations, clock and ids."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

from partage import problems
from partage.measures import Meter, Unmetered
from partage.model.announcement import Announcement, Event, Subject
from partage.model.caller import Caller
from partage.model.claim_code import ClaimRules
from partage.model.closing import ProjectState
from partage.model.document import KnownFormats
from partage.model.event import EventRetention
from partage.model.guard import GuardMode
from partage.model.ids import ProjectID, StoreID
from partage.model.limits import Limits
from partage.model.offer import NamesResolved, Project
from partage.model.partial_upload import PartialUploadRules
from partage.model.terms import Notice, NoticeBounds, Terms
from partage.model.webhook import WebhookRules
from partage.operations.failures import FailureLog
from partage.operations.import_plugins import ImportPlugins
from partage.operations.leases import Lease
from partage.operations.noted_downloads import LastDownloads
from partage.operations.other_regions import OtherRegions
from partage.operations.signing import Signatures, Unverifiable
from partage.operations.silence import Listener
from partage.outbound.cancelling import Cancellation
from partage.outbound.rules import Rules
from partage.policies.authority import Authority
from partage.policies.properties import PropertyProtections
from partage.records.database import Database
from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.cache.fills import Fills
from partage.stores.engine import pack
from partage.stores.engine.reader import ReadAhead
from partage.stores.engine.resources import WriterResources
from partage.stores.originals.reader import OriginalReader
from partage.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStore:
    """A store as the operator configured it. Only administrators can see `type` and `properties`."""

    id: StoreID
    store: Store
    type: str
    description: str = ""
    weight: int = 0
    read_only: bool = False
    pack_bytes: int = pack.TARGET_BYTES
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPStore:
    """The store of type http, which keeps no data: its images are read from the web on each request."""

    id: StoreID
    description: str = ""
    weight: int = 0
    type: Literal["http"] = "http"
    read_only: Literal[True] = True
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Which disk images are accepted: format checks, and which VMDKs and partition tables are permitted."""

    match_required: bool = True
    vmdk_types: tuple[str, ...] = ("streamOptimized", "monolithicSparse")
    gpt_nonfatal: tuple[str, ...] = ()
    known: KnownFormats = field(default_factory=KnownFormats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The cache of this host, and the host's unique name in the database: a URL. `fills` are those of this process."""

    node: str
    fills: Fills

    @property
    def directory(self) -> CacheDirectory:
        """The directory with the copies."""
        return self.fills.directory


class Projects(Protocol):
    """Looks up projects in the identity service."""

    def has(self, project_id: ProjectID, *, asked_by: ProjectID | None) -> bool:
        """Return whether a project of that id exists. `asked_by` is the caller's project; each has a fair share of look-ups.

        Raises:
            IdentityUnavailable: the identity service does not answer.
        """


class RecipientSearch(Protocol):
    """The look-ups of one request, with bounds. For one thread.

    Every method raises TooMany if the request needs too many look-ups, and IdentityUnavailable if the identity service does not
    respond, or not fast enough.
    """

    def find(self, project_id: ProjectID) -> Project | None:
        """Return the project of that id."""

    def find_by_name(self, name: str, domain_id: str) -> Project | None:
        """Return the project of that name in a domain."""

    def find_domain(self, domain: str) -> str | None:
        """Return the id of the domain that has this id or name."""

    def find_in_domain(self, project_id: ProjectID, domain_id: str) -> Project | None:
        """Return the project of that id, if it is in the domain."""

    def load(self, domain_id: str, *, ids: Iterable[ProjectID] = (), names: Iterable[str] = ()) -> None:
        """Look for projects of one domain together, where that saves look-ups."""


class Recipients(Protocol):
    """Looks up the projects to which images can be offered. Thread-safe."""

    def search(self, asked_by: ProjectID | None) -> RecipientSearch:
        """Begin the search of a request of a project. Each project has a fair share of look-ups."""

    def read_state(self, project_id: ProjectID) -> ProjectState:
        """Ask Keystone whether it has the project at this moment, and whether it is enabled.

        Raises:
            IdentityUnavailable: the identity service does not respond.
        """


class UnifiedLimits(Protocol):
    """Looks up projects' limits. Thread-safe."""

    def find_limits(self, project_id: ProjectID, *, fresh: bool = False) -> Mapping[str, int]:
        """Return a project's limits by their names in Keystone; -1 is unlimited. `fresh`: bypass the cache.

        Raises:
            IdentityUnavailable: they cannot be had.
        """


class Announcer(Protocol):
    """Sends notifications. Thread-safe."""

    def announce(self, announcement: Announcement) -> None:
        """Queue a notification. Never waits, never fails; a notification that cannot be sent is lost."""

    def close(self) -> None:
        """Send the queued notifications for a few seconds at most, and accept no more."""


class Nobody:
    """Discards notifications."""

    def announce(self, announcement: Announcement) -> None:
        """Discard it."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores, and what their readers and writers share.

    `http` None: what is on the web is fetched and stored. `originals` read what is still in the stores of a Glance that was taken
    over, by the names of its stores. `read_ahead` is shared by all readers of image data;
    `writer_resources` are the threads and buffers of all writers.
    """

    by_id: Mapping[StoreID, NamedStore]
    default: StoreID
    http: HTTPStore | None = None
    originals: Mapping[str, OriginalReader] = field(default_factory=dict)
    cache: Cache | None = None
    read_ahead: ReadAhead = field(default_factory=ReadAhead)
    writer_resources: WriterResources = field(default_factory=WriterResources)

    @property
    def all(self) -> list[NamedStore | HTTPStore]:
        """Every store that users may see, by name."""
        found: list[NamedStore | HTTPStore] = list(self.by_id.values())
        if self.http is not None:
            found.append(self.http)
        return sorted(found, key=lambda store: store.id)

    def has(self, store_id: StoreID) -> bool:
        """Return whether a store of that name is configured, of type http or another."""
        return store_id in self.by_id or self.is_http(store_id)

    def is_http(self, store_id: StoreID | None) -> bool:
        """Return whether this is the store of type http."""
        return self.http is not None and self.http.id == store_id

    def find(self, store_id: StoreID | None) -> NamedStore:
        """Return the store of that name, or the default one.

        Raises:
            StoreUnknown: no store of that name is configured.
        """
        found = self.by_id.get(self.default if store_id is None else store_id)
        if found is None:
            raise problems.StoreUnknown(f"Store for identifier {store_id} not found; configured: {', '.join(sorted(self.by_id))}")
        return found

    def find_writable(self, store_id: StoreID | None) -> NamedStore:
        """Return the store of that name, or the default one, to store new image data in.

        Raises:
            StoreUnknown: no store of that name is configured.
            StoreReadOnly: the store takes no new image data.
        """
        if self.is_http(store_id):
            raise _takes_nothing(store_id)
        found = self.find(store_id)
        if found.read_only:
            raise _takes_nothing(found.id)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the operator has chosen for images and their data.

    With `delayed_delete` a deleted image can be restored for `scrub_time`. With `locations_shown` users see where image data
    is, and owners may change that. With `hide_deduplication_timing` an upload takes as long when its chunks are known.
    """

    hash_algorithm: str
    hide_deduplication_timing: bool = True
    delayed_delete: bool = False
    scrub_time: timedelta = timedelta(days=1)
    partial_uploads: PartialUploadRules = field(default_factory=PartialUploadRules)
    locations_shown: bool = False
    http_locations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingRules:
    """What the operator has chosen for shares.

    `default_terms` are those of a share whose owner gives none. `notice_bounds`, of the cloud or of a domain, limit the terms of
    others. `guard` is that of images whose owner has not switched it; from block to off a switch takes `guard_cool_down`.
    """

    names_resolved: NamesResolved = NamesResolved.OWN_DOMAIN
    event_retention: EventRetention = field(default_factory=EventRetention)
    webhooks: WebhookRules = field(default_factory=WebhookRules)
    default_terms: Terms = field(default_factory=Terms)
    notice_bounds: NoticeBounds = field(default_factory=NoticeBounds)
    while_used: bool = False
    while_used_grace: timedelta = timedelta(days=1)
    notice_bounds_of_domains: Mapping[str, NoticeBounds] = field(default_factory=dict)
    claims: ClaimRules = field(default_factory=ClaimRules)
    guard: GuardMode = GuardMode.OFF
    guard_cool_down: timedelta = timedelta(days=1)

    def notice_bounds_of(self, caller: Caller) -> NoticeBounds:
        """Return what notice the caller may promise: by the domain of its project, or by the cloud."""
        return self.notice_bounds_of_domains.get(caller.project_domain_id, self.notice_bounds)

    def check_notice(self, caller: Caller, notice: Notice) -> None:
        """Check a notice that the caller promises. `while-used` is as long as its grace, and has no longest duration.

        Raises:
            TermsRefused: it is too short or too long, or depends on uses, which this cloud does not know.
        """
        bounds = self.notice_bounds_of(caller)
        if not notice.while_used:
            bounds.check(notice)
        elif not self.while_used:
            raise problems.TermsRefused(
                f"This service cannot promise a notice of {notice}: it does not know the uses of images; name a duration or forever"
            )
        else:
            bounds.check_least(Notice(self.while_used_grace))

    def default_terms_of(self, caller: Caller) -> Terms:
        """Return the terms of a share whose owner, the caller, names none."""
        notice = self.notice_bounds_of(caller).default
        return self.default_terms if notice is None else replace(self.default_terms, notice=notice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """This process among all that share the database, and its running work.

    - `worker` names this process. `worker_lives` says whether another process of this machine still runs; None for a process of
      another machine. `listener` knows for how long those have been silent.
    - `running_uploads` are the tokens of the uploads of this process, `running_tasks` the claims of its tasks, each with what
      cancels the run. `leases` are those of its maintenance jobs, by their tokens. `last_downloads` are not written yet.
    - `failures` logs what the operator has to know, `meter` takes measurements.
    """

    worker: str
    worker_lives: Callable[[str], bool | None]
    running_uploads: set[str] = field(default_factory=set)
    running_tasks: dict[str, Cancellation | None] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    listener: Listener = field(default_factory=Listener)
    failures: FailureLog = field(default_factory=FailureLog)
    meter: Meter = field(default_factory=Unmetered)
    last_downloads: LastDownloads = field(default_factory=LastDownloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrations:
    """Other services, and plugins that work on image data.

    `unified_limits` None: the configured limits apply. `projects` None: members are not looked up. `recipients` None:
    recipients of the sharing API are not looked up. `other_regions` None: no images are imported from other regions.
    `announcer` gets every change after its commit. `tokens_cached` is for how long a token is accepted after Keystone has revoked
    it.
    """

    fetch: Rules = field(default_factory=Rules)
    import_plugins: ImportPlugins = field(default_factory=ImportPlugins)
    unified_limits: UnifiedLimits | None = None
    projects: Projects | None = None
    recipients: Recipients | None = None
    other_regions: OtherRegions | None = None
    signatures: Signatures = field(default_factory=Unverifiable)
    announcer: Announcer = field(default_factory=Nobody)
    tokens_cached: timedelta = timedelta()

    def require_regions(self) -> OtherRegions:
        """Return what imports from other regions need.

        Raises:
            FeatureOff: they are not switched on here.
        """
        if self.other_regions is None:
            raise problems.FeatureOff("The import method 'glance-download' is not available here; see the list of those that are")
        return self.other_regions


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What every operation of one process needs. Thread-safe, because everything in it is."""

    database: Database
    stores: Stores
    authority: Authority
    protections: PropertyProtections | None = None
    limits: Limits
    formats: Formats
    features: Features
    sharing: SharingRules = field(default_factory=SharingRules)
    process: Process
    integrations: Integrations = field(default_factory=Integrations)
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    def close(self) -> None:
        """End the threads after their current work, send queued notifications and traces, and close the database."""
        if self.stores.cache is not None:
            self.stores.cache.fills.close()
        self.stores.read_ahead.close()
        self.stores.writer_resources.close()
        self.integrations.announcer.close()
        self.database.close()
        self.process.meter.close()

    def announce(self, event: Event, subject: Subject, *, failed: bool = False) -> None:
        """Send a notification, after the transaction: the last step of an operation. Never waits, never fails."""
        self.integrations.announcer.announce(Announcement(event=event, subject=subject, at=self.clock(), failed=failed))


def _takes_nothing(store_id: StoreID | None) -> problems.StoreReadOnly:
    return problems.StoreReadOnly(f"The store {store_id} takes no new image data; name another one in X-Image-Meta-Store")
