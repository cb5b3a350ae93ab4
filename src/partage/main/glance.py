"""`partage manage import-glance` and `remove-originals`: take over a Glance, and remove what is no longer read of its files."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from partage import problems
from partage.main.composition import compose, readiness
from partage.main.composition.glance_stores import build_places, build_readers
from partage.main.configuration.config import Settings
from partage.main.configuration.glance_config import read_glance_config
from partage.operations import unneeded_originals
from partage.operations.service import Service
from partage.operations.taking_over import others, run
from partage.operations.taking_over.others import OtherReport
from partage.operations.taking_over.run import ImageReport
from partage.records.glance_database import GlanceDatabase
from partage.stores.originals.reader import OriginalReader

_MAX_LINES = 100


def import_glance(settings: Settings, file: Path | None, *, dry_run: bool) -> int:
    """Take over the Glance of a configuration file, or what it has changed since the last time; return 1 if something stays behind.

    Raises:
        Invalid: no file is named, or it cannot be read; the database is not that of a Glance; no store stands for one of Glance's.
        Unavailable: a database cannot be read or written.
    """
    named = file or settings.taking_over.glance_config
    if named is None:
        raise problems.Invalid("Name the configuration of the Glance with --config, such as /etc/glance/glance-api.conf")
    config = read_glance_config(named)
    glance = GlanceDatabase(config.database_url)
    glance.check()
    places = build_places(settings, config)
    with _open_service(settings, build_readers(config)) as service:
        node = None if settings.cache_directory is None else compose.find_cache_node(settings)
        images = run.take_images(service, glance, places, dry_run=dry_run)
        beside = others.take_others(service, glance, cache_node=node, dry_run=dry_run)
    _print_images(images, dry_run=dry_run)
    _print_others(beside, dry_run=dry_run)
    if images.in_place and settings.taking_over.glance_config is None:
        print(
            f'Set glance_config = "{named.absolute()}" in the section taking_over of this service\'s configuration before it '
            "starts: it reads the image data with the settings there"
        )
    return 1 if images.refused or images.kept else 0


def remove_originals(settings: Settings, *, is_confirmed: bool) -> int:
    """List Glance's files that nothing here reads any more, and remove them if that is confirmed; return 1 if one stays.

    Raises:
        Unavailable: the database cannot be read or written.
    """
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        found = unneeded_originals.list_unneeded(service)
        failed = 0
        for each in found:
            reason = unneeded_originals.remove(service, each) if is_confirmed else ""
            failed += bool(reason)
            print(f"{'Kept' if reason else 'Removed' if is_confirmed else 'Unneeded'}: {each.url}{f': {reason}' if reason else ''}")
    size_bytes = sum(each.size_bytes for each in found)
    if is_confirmed:
        print(f"Removed {len(found) - failed} of {len(found)} originals. Glance cannot be used again without them")
    else:
        print(f"{len(found)} originals, {size_bytes} bytes, are not read any more; --yes removes them, and with them the way back")
    return 1 if failed else 0


@contextmanager
def _open_service(settings: Settings, readers: Mapping[str, OriginalReader]) -> Iterator[Service]:
    """Yield a service that reads the stores of the Glance that is being taken over, whether its own settings name it or not."""
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        yield dataclasses.replace(service, stores=dataclasses.replace(service.stores, originals=readers))


def _print_images(report: ImageReport, *, dry_run: bool) -> None:
    would = "would be" if dry_run else "were"
    print(
        f"Images: {report.new} new and {report.changed} changed ones {would} taken over with {report.members} members, "
        f"{report.removed} {would} deleted, {report.unchanged} are unchanged"
    )
    print(
        f"Data: {report.in_place} images with {report.in_place_bytes} bytes stay in Glance's stores, "
        f"{report.referenced} have references to the web"
    )
    print(f"Ids of deleted images, which are not used again: {report.deleted_ids}")
    for title, lines in (
        ("Not taken over", report.refused),
        ("Kept as it is here", report.kept),
        ("Taken over incompletely", report.warnings),
    ):
        _print_lines(title, lines)


def _print_lines(title: str, lines: Mapping[str, str]) -> None:
    if lines:
        print(f"{title}: {len(lines)}")
    for number, (name, reason) in enumerate(lines.items()):
        if number == _MAX_LINES:
            print(f"  and {len(lines) - _MAX_LINES} more")
            return
        print(f"  {name}: {reason}")


def _print_others(report: OtherReport, *, dry_run: bool) -> None:
    would = "would be" if dry_run else "were"
    print(
        f"Metadata definitions: {report.namespaces} namespaces {would} taken over, {report.unchanged_namespaces} are unchanged"
        + (f", {len(report.kept_namespaces)} were here before and stay" if report.kept_namespaces else "")
    )
    running = f", {report.unfinished_tasks} have not ended and stay" if report.unfinished_tasks else ""
    print(f"Tasks: {report.tasks} ended ones {would} taken over{running}")
    if report.cached:
        print(f"Cache: {report.cached} images {would} queued for the cache of this host")
