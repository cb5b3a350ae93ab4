"""Build the service and its application from the settings. The only module that knows every layer."""

import dataclasses
import json
import secrets
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from partage import problems
from partage.content.decompression import Expansion
from partage.conversion import convert
from partage.http.app import Application, application
from partage.http.options import EdgeOptions
from partage.identity import keystone
from partage.identity.catalog import Catalog
from partage.identity.cloud import Cloud
from partage.identity.limits import LimitScope, UnifiedLimits
from partage.identity.projects import Projects
from partage.identity.sealing import TokenSeal
from partage.identity.tokens import TokenCache
from partage.main.composition.glance_stores import build_originals
from partage.main.composition.measuring import build_meter
from partage.main.composition.message_bus import import_bus_module
from partage.main.configuration.config import Settings
from partage.main.configuration.sections import IdentitySettings, ImportSettings, NotificationSettings
from partage.main.configuration.store_types import StoreSettings, build_driver
from partage.main.process import liveness, priority
from partage.measures import Meter, Unmetered
from partage.metrics.sheets import Sheets
from partage.model import image_schema
from partage.model.document import ATTRIBUTES, DISALLOWED, KnownFormats, check_allowed
from partage.model.event import EventRetention
from partage.model.ids import StoreID
from partage.model.image_schema import PropertySchemas
from partage.model.import_request import ImportMethod
from partage.model.limits import Limits
from partage.model.partial_upload import PartialUploadRules
from partage.model.terms import Notice, Terms
from partage.model.webhook import WebhookRules
from partage.notifications.bus import Bus, Connection
from partage.operations.failures import FailureLog
from partage.operations.import_plugins import ImportPlugins
from partage.operations.other_regions import OtherRegions
from partage.operations.readiness import Readiness
from partage.operations.service import (
    Announcer,
    Cache,
    Features,
    Formats,
    HTTPStore,
    Integrations,
    NamedStore,
    Nobody,
    Process,
    Service,
    SharingRules,
    Stores,
)
from partage.operations.signing import Signatures, Unverifiable
from partage.outbound.rules import Rules, operators_rules
from partage.policies.authority import Authority
from partage.policies.properties import PropertyProtections
from partage.records.database import Database
from partage.signatures import certificates
from partage.stores.cache.cache_directory import Bounds, CacheDirectory
from partage.stores.cache.copies import LIFE_BYTES
from partage.stores.cache.fills import Fills
from partage.stores.cache.yielding_store import YieldingStore
from partage.stores.engine.reader import ReadAhead
from partage.stores.engine.resources import WriterResources
from partage.stores.identity import Identity
from partage.stores.measured_store import MeasuredStore
from partage.stores.store import Store

_READERS = 8
"""Threads for reads from PostgreSQL: they mostly wait for the server."""

_CONNECTIONS_OF_SQLITE = 40
"""One for each thread that may write: writers queue inside SQLite, and no server can run out of connections."""

_LISTERS = 2
"""Threads for lists, so that a long list delays only other lists."""

_READERS_OF_SQLITE = 2
"""SQLite computes in this process, and the GIL lets one thread at a time process rows, so more than two threads only take turns.
With eight threads, a show took 50 % longer under load."""


def build_service(
    settings: Settings,
    *,
    with_cache: bool = False,
    identities: Mapping[StoreID, Identity] = MappingProxyType({}),
    sheets: Sheets | None = None,
    traced: bool = False,
    life: bytes | None = None,
) -> Service:
    """Build the `Service` that every operation receives. Opens no connection yet.

    A store in `identities` works only while it has this identity; `readiness.check_stores` returns them. Use `with_cache` for
    downloads only. `life` is the same in all processes of one start of the service: they trust each other's copies of images. This
    process writes its measurements to one of the `sheets`; without them nothing is measured. Only where `traced`, it sends traces,
    if they are on.

    Raises:
        Unavailable: the policy file cannot be read, the database URL is invalid, or something that a setting needs is missing.
        Invalid: the URL of the message bus or the schema of images is invalid.
    """
    cache = _build_cache(settings, life or secrets.token_bytes(LIFE_BYTES)) if with_cache else None
    worker = liveness.name_own_process()
    meter = build_meter(settings.tracing, worker, sheets, traced=traced)
    stores = [_build_store(each, cache, identities.get(StoreID(each.id)), meter) for each in settings.keeping_stores]
    authority = Authority(settings.policy_file)
    return Service(
        database=_build_database(settings, meter),
        stores=Stores(
            by_id={each.id: each for each in stores},
            default=StoreID(settings.effective_default_store),
            http=None if settings.http_store is None else _build_http_store(settings.http_store),
            originals=build_originals(settings),
            cache=cache,
            read_ahead=ReadAhead(threads=settings.read_ahead_threads, budget_bytes=settings.read_ahead_bytes),
            writer_resources=WriterResources(buffer_bytes=settings.uploads.buffer_bytes),
        ),
        authority=authority,
        protections=_load_protections(settings, authority),
        limits=build_limits(settings),
        formats=_build_formats(settings),
        features=Features(
            hash_algorithm=settings.os_hash_algo,
            hide_deduplication_timing=settings.hide_deduplication_timing,
            delayed_delete=settings.delayed_delete,
            scrub_time=timedelta(seconds=settings.scrub_time_seconds),
            partial_uploads=PartialUploadRules(
                per_project=settings.resumable_uploads.per_project,
                idle=timedelta(seconds=settings.resumable_uploads.idle_seconds),
            ),
            locations_shown=settings.show_multiple_locations,
            http_locations=settings.imports.http_locations,
        ),
        sharing=_build_sharing_rules(settings),
        process=Process(worker=worker, worker_lives=liveness.is_alive, meter=meter, failures=FailureLog(meter=meter)),
        integrations=_build_integrations(settings),
        clock=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid.uuid4()),
    )


@contextmanager
def open_service(
    settings: Settings,
    *,
    with_cache: bool = False,
    identities: Mapping[StoreID, Identity] = MappingProxyType({}),
    sheets: Sheets | None = None,
    traced: bool = False,
    life: bytes | None = None,
) -> Iterator[Service]:
    """Build a service as `service` does, and close its threads and connections when the block ends.

    Raises:
        Unavailable: as `service` does.
        Invalid: as `service` does.
    """
    built = build_service(settings, with_cache=with_cache, identities=identities, sheets=sheets, traced=traced, life=life)
    try:
        yield built
    finally:
        built.close()


def list_unused_rules(settings: Settings) -> list[str]:
    """List the rules of the policy file that no operation checks.

    Raises:
        Unavailable: the policy file or the file of property protections cannot be used.
    """
    authority = Authority(settings.policy_file)
    protections = _load_protections(settings, authority)
    return authority.list_unused_rules(protections.policies if protections else ())


def _build_sharing_rules(settings: Settings) -> SharingRules:
    return SharingRules(
        names_resolved=settings.sharing.resolve_names,
        event_retention=EventRetention(
            days=settings.events.days,
            rows_per_project=settings.events.rows_per_project,
            rows_by_others=settings.events.rows_by_others,
        ),
        webhooks=WebhookRules(
            per_project=settings.webhooks.per_project,
            most_failures=settings.webhooks.max_failures,
            timeout_seconds=settings.webhooks.timeout_seconds,
        ),
        default_terms=Terms(notice=Notice.parse(settings.sharing.default_notice)),
        notice_bounds=settings.sharing.bounds,
        while_used=settings.sharing.while_used,
        while_used_grace=settings.sharing.grace,
        notice_bounds_of_domains=settings.sharing.bounds_of_domains,
        claims=settings.sharing.claim_rules,
        guard=settings.sharing.guard,
        guard_cool_down=settings.sharing.cool_down,
    )


def _build_formats(settings: Settings) -> Formats:
    return Formats(
        match_required=settings.formats.require_image_format_match,
        vmdk_types=settings.formats.vmdk_allowed_types,
        gpt_nonfatal=settings.formats.gpt_safety_checks_nonfatal,
        known=KnownFormats(
            disk=settings.formats.disk_formats,
            container=settings.formats.container_formats,
            properties=_load_property_schemas(settings.image_schema_file),
        ),
    )


def _build_integrations(settings: Settings) -> Integrations:
    return Integrations(
        fetch=build_fetch_rules(settings),
        import_plugins=_build_plugins(settings.imports),
        unified_limits=_build_unified_limits(settings) if settings.limits.use_keystone_limits else None,
        projects=_build_projects(settings.identity) if settings.identity.check_members else None,
        recipients=_build_projects(settings.identity),
        other_regions=_build_other_regions(settings) if ImportMethod.GLANCE_DOWNLOAD in settings.imports.methods else None,
        signatures=_build_signatures(settings),
        announcer=_build_announcer(settings.notifications),
        tokens_cached=timedelta(seconds=settings.identity.cache_seconds),
    )


def _build_database(settings: Settings, meter: Meter) -> Database:
    url = settings.effective_database_url
    return Database(
        url,
        connections=_CONNECTIONS_OF_SQLITE if url.startswith("sqlite") else settings.database_connections,
        wait_seconds=settings.database_wait_seconds,
        idle_seconds=settings.database_idle_seconds,
        meter=meter,
    )


def build_limits(settings: Settings) -> Limits:
    """Build the limits of the service; Keystone's unified limits are not among them."""
    own = settings.limits.model_dump(include={each.name for each in dataclasses.fields(Limits)})
    return Limits(**own, uploads_per_project=settings.uploads.max_concurrent_per_project)


def build_fetch_rules(settings: Settings) -> Rules:
    """Build the rules for URLs that the service opens on a user's behalf."""
    fetch = settings.fetch.model_dump()
    return Rules(
        silence_seconds=fetch.pop("read_timeout_seconds"), slowest_bytes_per_second=fetch.pop("min_bytes_per_second"), **fetch
    )


def build_keystone(settings: Settings, authority: Authority, meter: Meter | None = None) -> keystone.Keystone:
    """Build the client of Keystone. Sends nothing yet."""
    given = settings.identity
    cache = TokenCache(seconds=given.cache_seconds, refused_seconds=given.refused_cache_seconds)
    return keystone.Keystone(
        keystone.connect(_build_credentials(given)),
        cache,
        is_admin=authority.is_admin,
        allow_expired=given.allow_expired,
        meter=meter,
    )


def build_cloud(given: IdentitySettings) -> Cloud:
    """Build the client of Nova and Cinder, which are in the catalog of the service's account. Sends nothing yet."""
    return Cloud(keystone.connect(_build_credentials(given)), given.interface or "public")


def _build_projects(given: IdentitySettings) -> Projects:
    return Projects(keystone.connect(_build_credentials(given), system=True), seconds=given.cache_seconds)


def _build_unified_limits(settings: Settings) -> UnifiedLimits:
    given = settings.limits
    whose = LimitScope(
        endpoint_id=given.keystone_endpoint_id or None,
        service_type=given.keystone_service_type,
        region=given.keystone_region or None,
    )
    return UnifiedLimits(keystone.connect(_build_credentials(settings.identity)), whose, seconds=given.keystone_cache_seconds)


def _build_other_regions(settings: Settings) -> OtherRegions:
    keys = [each.get_secret_value() for each in settings.imports.token_keys]
    if not keys:
        raise problems.Unavailable(
            "imports.methods has glance-download, which stores encrypted user tokens and needs a key in imports.token_keys, "
            "the same in every process; generate one with openssl rand -hex 32"
        )
    return OtherRegions(
        catalog=Catalog(keystone.connect(_build_credentials(settings.identity))),
        seal=TokenSeal(keys),
        rules=operators_rules(build_fetch_rules(settings), cafile=settings.identity.cafile),
        copied=settings.imports.glance_download_properties,
    )


def _build_signatures(settings: Settings) -> Signatures:
    file, identity_ = settings.signatures.castellan_file, settings.identity
    if not certificates.IS_POSSIBLE:
        if file:
            raise problems.Unavailable(
                "signatures.castellan_file needs partage[signatures], which is not installed; install it or leave the setting empty"
            )
        return Unverifiable()
    auth_url = keystone.append_version(identity_.url)
    keys = certificates.open_key_manager(Path(file)) if file else certificates.barbican(auth_url=auth_url, cafile=identity_.cafile)
    return certificates.KeyManagerSignatures(keys, auth_url=auth_url, timeout_seconds=settings.signatures.timeout_seconds)


def _build_credentials(given: IdentitySettings) -> keystone.Credentials:
    return keystone.Credentials(
        url=given.url,
        username=given.username,
        password=given.password.get_secret_value(),
        project_name=given.project_name,
        user_domain_name=given.user_domain_name,
        project_domain_name=given.project_domain_name,
        region=given.region or None,
        interface=given.interface or None,
        timeout_seconds=given.timeout_seconds,
        ca_file=given.cafile or None,
    )


def build_edge_options(settings: Settings, built: Service, readiness: Readiness | None = None) -> EdgeOptions:
    """Build the options of the HTTP layer."""
    disabled_by = settings.healthcheck.disable_by_file_path
    return EdgeOptions(
        www_authenticate_uri=settings.identity.www_authenticate_uri or settings.identity.url,
        public_endpoint=settings.public_endpoint or None,
        trusted_proxies=settings.trusted_proxies,
        formats=built.formats.known,
        import_methods=settings.imports.methods,
        allow_anonymous=settings.allow_anonymous_access,
        show_direct_url=settings.show_image_direct_url,
        has_cache=built.stores.cache is not None,
        stall_seconds=settings.stall_seconds,
        reading_threads=_READERS_OF_SQLITE if built.database.dialect == "sqlite" else _READERS,
        listing_threads=_LISTERS,
        validation_threads=settings.identity.validation_threads,
        validations_waiting=settings.identity.max_pending_validations,
        data_thread_begins=priority.lower_thread_priority,
        readiness=Readiness() if readiness is None else readiness,
        disabled_by=Path(disabled_by) if disabled_by else None,
        uploads_at_once=settings.uploads.max_concurrent,
        slowest_bytes_per_second=settings.uploads.min_bytes_per_second,
        window_seconds=settings.uploads.min_rate_window_seconds,
    )


def build_application(settings: Settings, built: Service, identity: keystone.Keystone, readiness: Readiness) -> Application:
    """Build the ASGI application around a service."""
    return application(
        service=built,
        identity=identity,
        options=build_edge_options(settings, built, readiness),
    )


def _load_protections(settings: Settings, authority: Authority) -> PropertyProtections | None:
    file = settings.property_protection_file
    return None if file is None else PropertyProtections(authority, file, settings.property_protection_rule_format)


def _load_property_schemas(file: Path | None) -> PropertySchemas:
    if file is None:
        return PropertySchemas()
    try:
        found = image_schema.parse(json.loads(file.read_text()))
        for name in (*found.by_name, *found.required):
            _require_custom(name, described=name in found.by_name)
    except OSError as error:
        raise problems.Invalid(
            f"The image schema file {file} cannot be read: {error.strerror}; correct image_schema_file"
        ) from error
    except (ValueError, problems.Problem) as error:
        raise problems.Invalid(
            f"The image schema file {file} is invalid: {error}; correct it, or the setting image_schema_file"
        ) from error
    return found


def _require_custom(name: str, *, described: bool) -> None:
    if name in DISALLOWED or (described and name in ATTRIBUTES):
        raise problems.Invalid(f"'{name}' is an attribute of every image; a schema can neither describe nor require it")
    check_allowed(name)


def _build_announcer(settings: NotificationSettings) -> Announcer:
    url = settings.transport_url.get_secret_value()
    if not url:
        return Nobody()
    module = import_bus_module("connection", setting="notifications.transport_url")
    connection: Connection = module.Connection(url, topics=settings.topics, publisher_id=settings.default_publisher_id)
    return Bus(connection, disabled=settings.disabled_notifications)


def _build_plugins(settings: ImportSettings) -> ImportPlugins:
    if settings.convert_to and not convert.is_possible():
        raise problems.Unavailable(
            "imports.convert_to needs qemu-img, which is not installed; install it or leave the setting empty"
        )
    return ImportPlugins(
        decompress=settings.decompress,
        convert_to=settings.convert_to,
        inject={name: value for name, _colon, value in (each.partition(":") for each in settings.inject)},
        ignored_roles=settings.inject_not_for_roles,
        work_directory=Path(settings.work_directory) if settings.work_directory else None,
        expansion=Expansion(ratio=settings.max_decompression_ratio, free_bytes=settings.decompression_allowance_bytes),
    )


def _build_cache(settings: Settings, life: bytes) -> Cache | None:
    given, root = settings.cache, settings.cache_directory
    if root is None:
        return None
    directory = CacheDirectory(root, bounds=Bounds(free_share=given.free_share, most_bytes=given.size_bytes), life=life)
    return Cache(
        node=find_cache_node(settings),
        fills=Fills(directory, thread_begins=priority.lower_thread_priority),
    )


def find_cache_node(settings: Settings) -> str:
    """Return the name of this host's cache."""
    return settings.cache.node or f"http://{socket.gethostname()}:{settings.port}"


def _build_store(settings: StoreSettings, cache: Cache | None, identity: Identity | None, meter: Meter) -> NamedStore:
    store: Store = build_driver(settings, identity)
    if not isinstance(meter, Unmetered):
        store = MeasuredStore(store, settings.id, meter)
    if cache is not None and settings.directory is not None:
        store = YieldingStore(store, settings.directory, cache.directory)
    return NamedStore(
        id=StoreID(settings.id),
        store=store,
        type=settings.type,
        description=settings.description,
        weight=settings.weight,
        read_only=settings.read_only,
        pack_bytes=settings.pack_bytes,
        properties=settings.properties,
    )


def _build_http_store(settings: StoreSettings) -> HTTPStore:
    return HTTPStore(id=StoreID(settings.id), description=settings.description, weight=settings.weight)
