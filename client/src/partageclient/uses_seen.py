"""What Nova, Cinder and Glance show of the uses of an image: servers and volumes that came from it, snapshots whose base it is."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as refusals

from partageclient import connections, errors, images, parallel
from partageclient.connections import Cloud

Row = dict[str, Any]
_PAGE = 500
_ADMIN = "admin"
_COMPUTE, _BLOCK_STORAGE = "compute", "block-storage"


@dataclass(frozen=True)
class Seen:
    """The ids of what one project has of an image; None is what could not be seen, and `notes` say why."""

    project_id: str
    servers: tuple[str, ...] | None
    volumes: tuple[str, ...] | None
    snapshots: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def has_uses(self) -> bool:
        """Whether there is any server or volume."""
        return bool(self.servers or self.volumes)


@dataclass(frozen=True)
class Looked:
    """What all profiles together see. `sees_all_projects`: one of them is an administrator's, so that nothing is hidden."""

    seen: tuple[Seen, ...]
    sees_all_projects: bool
    notes: tuple[str, ...]


def look(cloud: Cloud, image_id: str) -> Seen:
    """Look at the uses of an image in the project of a cloud. What cannot be seen is None; nothing is raised for it.

    Raises:
        NotSignedIn, Unreachable: the cloud gives no token.
    """
    found = _look(cloud, image_id, all_projects=False)
    return next((each for each in found if each.project_id == cloud.project_id), Seen(cloud.project_id, None, None, None))


def look_everywhere(
    cloud: Cloud, image_id: str, profiles: Collection[str] | None = None, progress: parallel.Progress | None = None
) -> Looked:
    """Look at the uses of an image with a cloud and with every profile of clouds.yaml that belongs to the same cloud.

    Raises:
        Interrupted: Ctrl-C was pressed.
    """
    clouds, notes = _find_clouds(cloud, profiles)
    found = parallel.read(lambda each: _look_without_failing(each, image_id), clouds, progress=progress)
    rows = [row for seen, _all, _note in found for row in seen]
    notes += [note for _seen, _all, note in found if note]
    return Looked(_merge(rows), any(sees_all for _seen, sees_all, _note in found), tuple(notes))


def _find_clouds(cloud: Cloud, profiles: Collection[str] | None) -> tuple[list[Cloud], list[str]]:
    """Return the cloud, and one cloud for each other project that profiles are for."""
    host, region = _find_host(cloud), getattr(cloud.connection.config, "region_name", None)

    def find(name: str) -> Cloud | str | None:
        try:
            other = connections.connect(name, region)
            is_of_this_cloud = profiles is not None or _find_host(other) == host
            project_id = other.project_id if is_of_this_cloud else ""  # it signs in here, where a failure is a note
        except errors.ClientError as problem:
            return f"The profile {name} cannot look: {problem.obstacle}"
        return other if project_id else None

    names = connections.list_profiles() if profiles is None else sorted(profiles)
    found = parallel.read(find, [each for each in names if each != cloud.name])
    others = {each.project_id: each for each in reversed(found) if isinstance(each, Cloud)}
    return list({**others, cloud.project_id: cloud}.values()), [each for each in found if isinstance(each, str)]


def _find_host(cloud: Cloud) -> str:
    """Return the host and port of the identity service that a profile signs in at."""
    auth = cloud.connection.config.config.get("auth") or {}
    return urlsplit(str(auth.get("auth_url") or "")).netloc.lower()


def _look_without_failing(cloud: Cloud, image_id: str) -> tuple[list[Seen], bool, str]:
    """Look with one profile: in all projects if it is an administrator's, and in its own otherwise."""
    try:
        if _is_administrator(cloud):
            found = _look(cloud, image_id, all_projects=True)
            if all(None not in (each.servers, each.volumes) for each in found):
                return found, True, ""
        return _look(cloud, image_id, all_projects=False), False, ""
    except errors.ClientError as problem:
        return [], False, f"The profile {cloud.name or 'in use'} cannot look: {problem.obstacle}"


def _is_administrator(cloud: Cloud) -> bool:
    session: Any = cloud.connection.session
    try:
        return _ADMIN in (session.auth.get_access(session).role_names or ())
    except Exception as error:
        raise connections.translate(error, "Sign in") from error


def _look(cloud: Cloud, image_id: str, *, all_projects: bool) -> list[Seen]:
    notes: list[str] = []
    everything: dict[str, str | int] = {"all_tenants": 1} if all_projects else {}
    servers = _list(cloud, _COMPUTE, "servers", {"image": image_id, **everything}, notes)
    volumes = _list(cloud, _BLOCK_STORAGE, "volumes", everything, notes)
    snapshots = _list_snapshots(cloud, image_id, all_projects=all_projects, notes=notes)
    servers_of = _group(servers, "tenant_id", lambda each: _image_of(each) == image_id)
    volumes_of = _group(volumes, "os-vol-tenant-attr:tenant_id", lambda each: _image_of_volume(each) == image_id)
    snapshots_of = _group(snapshots, "owner", lambda _each: True)
    projects = {cloud.project_id}.union(*(each for each in (servers_of, volumes_of, snapshots_of) if each))
    return [
        Seen(
            each,
            _ids(servers_of, each),
            _ids(volumes_of, each),
            _ids(snapshots_of, each),
            tuple(notes) if each == cloud.project_id else (),
        )
        for each in sorted(projects)
    ]


def _ids(by_project: dict[str, list[str]] | None, project_id: str) -> tuple[str, ...] | None:
    return None if by_project is None else tuple(by_project.get(project_id, ()))


def _group(rows: list[Row] | None, project: str, belongs: Any) -> dict[str, list[str]] | None:
    if rows is None:
        return None
    found: dict[str, list[str]] = defaultdict(list)
    for each in rows:
        if belongs(each):
            found[str(each.get(project) or "")].append(str(each["id"]))
    return found


def _image_of(server: Row) -> str | None:
    image = server.get("image")
    return str(image.get("id")) if isinstance(image, Mapping) else None


def _image_of_volume(volume: Row) -> str | None:
    metadata = volume.get("volume_image_metadata")
    return str(metadata.get("image_id")) if isinstance(metadata, Mapping) else None


def _list(cloud: Cloud, service: str, noun: str, query: Mapping[str, str | int], notes: list[str]) -> list[Row] | None:
    """List everything of a service, page by page; None and a note if it cannot be listed."""
    try:
        return list(_list_pages(cloud, service, noun, query))
    except errors.ClientError as problem:
        notes.append(_note(noun, cloud, problem))
        return None


def _note(noun: str, cloud: Cloud, problem: errors.ClientError) -> str:
    """Say why something is unknown; what is the same for every profile is said in the same words, and so once."""
    to_whom = "" if isinstance(problem, errors.Unsupported) else f" to {cloud.name or 'the connection in use'}"
    return f"{noun.capitalize()} are unknown{to_whom}: {problem.obstacle}"


def _list_pages(cloud: Cloud, service: str, noun: str, query: Mapping[str, str | int]) -> Iterator[Row]:
    asked, marker, seen = f"List the {noun}", None, set[str]()
    url = _find_address(cloud, service, asked)
    while True:
        sent = {**query, "limit": _PAGE, **({"marker": marker} if marker else {})}
        try:
            answer = cloud.connection.session.get(
                f"{url}/{noun}/detail",
                params=sent,
                headers={"Accept": "application/json"},
                raise_exc=False,
                timeout=connections.TIMEOUT_SECONDS,
            )
        except Exception as error:
            raise connections.translate(error, asked) from error
        document = connections.read_document(answer)
        if answer.status_code != 200 or not isinstance(document, dict) or not isinstance(document.get(noun), list):  # noqa: PLR2004
            raise connections.error_of_status(answer.status_code, _unwrap(document), asked)
        page = [each for each in document[noun] if each["id"] not in seen]
        yield from page
        seen.update(str(each["id"]) for each in page)
        if not page or not document.get(f"{noun}_links"):
            return
        marker = page[-1]["id"]


def _unwrap(document: Any) -> Any:
    """Return what is in Nova's and Cinder's errors: `{"itemNotFound": {"code": 404, "message": …}}`."""
    inner = next(iter(document.values()), None) if isinstance(document, dict) else None
    return inner if isinstance(inner, dict) else document


def _find_address(cloud: Cloud, service: str, asked: str) -> str:
    """Return the address of Nova or Cinder with its version: that of the profile, or that of the catalog.

    openstacksdk would ask the service for its versions first, and gives up where a proxy hides them.

    Raises:
        Unsupported: the catalog has no such service.
        ClientError: the identity service gives no catalog.
    """
    config, session = cloud.connection.config, cloud.connection.session
    try:
        url = config.get_endpoint(service) or session.get_endpoint(
            service_type=service, interface=config.get_interface(service), region_name=config.get_region_name(service)
        )
    except refusals.EndpointNotFound:
        url = None
    except Exception as error:
        raise connections.translate(error, asked) from error
    if not url:
        raise errors.Unsupported(asked, f"the catalog has no {service} service for this region and interface")
    address = str(url).rstrip("/")
    if re.search(r"/v\d", address):
        return address
    return f"{address}/v2.1" if service == _COMPUTE else f"{address}/v3/{cloud.project_id}"


def _list_snapshots(cloud: Cloud, image_id: str, *, all_projects: bool, notes: list[str]) -> list[Row] | None:
    query = {"base_image_ref": image_id, **({} if all_projects else {"owner": cloud.project_id})}
    try:
        return list(images.list_images(cloud, query, asked="List snapshots"))
    except errors.ClientError as problem:
        notes.append(_note("snapshots", cloud, problem))
        return None


def _merge(rows: list[Seen]) -> tuple[Seen, ...]:
    """Make one row of those of each project: what one profile does not see, another may."""
    merged: dict[str, Seen] = {}
    for each in rows:
        other = merged.get(each.project_id)
        if other is None:
            merged[each.project_id] = each
            continue
        merged[each.project_id] = Seen(
            each.project_id,
            _union(other.servers, each.servers),
            _union(other.volumes, each.volumes),
            _union(other.snapshots, each.snapshots),
            tuple(dict.fromkeys(other.notes + each.notes)),
        )
    return tuple(merged[key] for key in sorted(merged))


def _union(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(dict.fromkeys(one + other))
