"""Compare the recorded uses with the lists of Nova and Cinder, for messages that were lost or never sent.

A promise is never shortened by what may be an accident. A use is removed only if all lists are complete, the use was seen last
before they began, and its server or volume either has another image or project in its list, or is unknown to every region when
asked for by its id. A server or volume that has no image by its list may use the one that its project has recorded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from partage.identity.cloud import Cloud, Endpoint, ListIncomplete
from partage.model.ids import ImageID, ProjectID
from partage.model.use import ImageUses, Resource, UseKey, UseKind
from partage.operations.service import Service
from partage.operations.sharing import learning
from partage.operations.sharing.learning import Outcome
from partage.records import images, uses

_BATCH = 500


@dataclass
class Reconciled:
    """What a reconciliation has done, or with `dry_run` would do.

    `cleared` are projects that counted as users of an image because they had too many uses, and no longer do. `missing` are kinds
    that no service of the catalog has. `failures` say which lists are incomplete: then nothing was removed.
    """

    listed: dict[UseKind, int] = field(default_factory=lambda: dict.fromkeys(UseKind, 0))
    regions: int = 0
    added: int = 0
    removed: int = 0
    cleared: int = 0
    exceeded: int = 0
    missing: Sequence[UseKind] = ()
    failures: list[ListIncomplete] = field(default_factory=list)


def reconcile(service: Service, cloud: Cloud, *, dry_run: bool = False) -> Reconciled:
    """Record the uses that are missing, and remove those that the complete lists do not have.

    Uses that are recorded after the start of the lists stay.

    Raises:
        IdentityUnavailable: Keystone does not return its catalog.
    """
    return _Reconciliation(service, cloud, dry_run=dry_run).run()


def list_recorded(service: Service) -> Iterator[ImageUses]:
    """Yield how many uses of each image and kind are recorded, by image."""
    found: list[ImageUses] = []
    while not found or len(found) == _BATCH:
        after = (found[-1].image_id, found[-1].kind) if found else None
        with service.database.read() as tx:
            found = uses.count_by_image(tx, limit_rows=_BATCH, after=after)
        if not found:
            return
        yield from found


class _Reconciliation:
    """One comparison of the lists with the records."""

    def __init__(self, service: Service, cloud: Cloud, *, dry_run: bool) -> None:
        """Begin now: what is seen from now on stays."""
        self._service, self._cloud, self._dry_run = service, cloud, dry_run
        self._began_at = service.clock()
        self._endpoints = cloud.list_endpoints()
        self._listed: dict[tuple[UseKind, str], Resource] = {}
        self._exceeded: list[UseKey] = []
        self._done = Reconciled(
            regions=len({each.region for each in self._endpoints}),
            missing=[kind for kind in UseKind if kind not in {each.kind for each in self._endpoints}],
        )

    def run(self) -> Reconciled:
        """Read all lists, record what is missing, and change the rest only if they are complete."""
        for endpoint in self._endpoints:
            try:
                for resource in self._cloud.list_resources(endpoint):
                    self._note(resource)
            except ListIncomplete as problem:
                self._done.failures.append(problem)
        for kind, _ in self._listed:
            self._done.listed[kind] += 1
        if not self._done.failures:
            self._remove_stale()
        still_exceeded = {(key.image_id, key.project_id) for key in self._exceeded if not self._add(key)}
        self._done.exceeded = len(still_exceeded)
        if not self._done.failures and not self._done.missing:
            self._clear_exceeded(still_exceeded)
        return self._done

    def _note(self, resource: Resource) -> None:
        self._listed[resource.kind, resource.use_id] = resource
        if resource.image_id is None:
            return
        key = UseKey(image_id=resource.image_id, project_id=resource.project_id, kind=resource.kind, use_id=resource.use_id)
        if self._is_missing(key) and not self._add(key):
            self._exceeded.append(key)

    def _is_missing(self, key: UseKey) -> bool:
        with self._service.database.read() as tx:
            if uses.find(tx, key) is not None or uses.has_ended(tx, key.kind, key.use_id):
                return False
            return images.find_or_none(tx, key.image_id) is not None

    def _add(self, key: UseKey) -> bool:
        """Record a use; return whether there was room for it."""
        outcome = Outcome.RECORDED if self._dry_run else learning.add(self._service, key, seen=self._began_at)
        self._done.added += outcome is Outcome.RECORDED
        return outcome is not Outcome.EXCEEDED

    def _remove_stale(self) -> None:
        try:
            stale = [key for key in self._list_recorded() if self._is_stale(key)]
        except ListIncomplete as problem:
            self._done.failures.append(problem)
            return
        for key in stale:
            self._done.removed += self._dry_run or learning.remove(self._service, key, seen_until=self._began_at)

    def _list_recorded(self) -> Iterator[UseKey]:
        found: list[UseKey] = []
        while not found or len(found) == _BATCH:
            with self._service.database.read() as tx:
                found = uses.list_all(tx, seen_until=self._began_at, limit_rows=_BATCH, after=found[-1] if found else None)
            if not found:
                return
            yield from (key for key in found if key.kind not in self._done.missing)

    def _is_stale(self, key: UseKey) -> bool:
        resource = self._listed.get((key.kind, key.use_id))
        if resource is None:
            return not any(self._cloud.has(each, key.use_id) for each in self._list_endpoints(key.kind))
        return resource.image_id is not None and (resource.image_id, resource.project_id) != (key.image_id, key.project_id)

    def _list_endpoints(self, kind: UseKind) -> list[Endpoint]:
        return [each for each in self._endpoints if each.kind is kind]

    def _clear_exceeded(self, still_exceeded: set[tuple[ImageID, ProjectID]]) -> None:
        before = self._began_at + timedelta(microseconds=1)  # the first attempt to record a use may have noted it at the start
        for image_id, project_id in self._list_exceeded(before):
            if (image_id, project_id) not in still_exceeded and (
                self._dry_run or learning.clear_exceeded(self._service, image_id, project_id, before=before)
            ):
                self._done.cleared += 1

    def _list_exceeded(self, before: datetime) -> Iterator[tuple[ImageID, ProjectID]]:
        found: list[tuple[ImageID, ProjectID]] = []
        while not found or len(found) == _BATCH:
            with self._service.database.read() as tx:
                found = uses.list_exceeded(tx, before=before, limit_rows=_BATCH, after=found[-1] if found else None)
            if not found:
                return
            yield from found
