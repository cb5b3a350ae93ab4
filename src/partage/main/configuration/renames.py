"""Former names of settings, and settings that have no effect any more. They are accepted with a warning for one release."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from partage import problems

RENAMES: Mapping[str, str] = MappingProxyType(
    {
        "rehearse_known_bytes": "hide_deduplication_timing",
        "identity.refused_seconds": "identity.refused_cache_seconds",
        "identity.validations_waiting": "identity.max_pending_validations",
        "uploads.at_once": "uploads.max_concurrent",
        "uploads.per_project": "uploads.max_concurrent_per_project",
        "uploads.slowest_bytes_per_second": "uploads.min_bytes_per_second",
        "uploads.window_seconds": "uploads.min_rate_window_seconds",
        "imports.at_once": "imports.max_concurrent",
        "imports.per_project": "imports.max_concurrent_per_project",
        "imports.downloads_at_once": "imports.max_concurrent_downloads",
        "imports.downloads_per_project": "imports.max_concurrent_downloads_per_project",
        "imports.expansion_ratio": "imports.max_decompression_ratio",
        "imports.expansion_free_bytes": "imports.decompression_allowance_bytes",
        "imports.remote_properties": "imports.glance_download_properties",
        "fetch.silence_seconds": "fetch.read_timeout_seconds",
        "fetch.slowest_bytes_per_second": "fetch.min_bytes_per_second",
        "connections.head_seconds": "connections.header_timeout_seconds",
        "connections.unsent_bytes": "connections.max_unsent_bytes",
    },
)
"""Former dotted name → present dotted name, in the same section."""

REMOVED: Mapping[str, str] = MappingProxyType(
    {"cache.stores": "the cache keeps images, from whatever store they are read; cache.enabled switches it off"}
)
"""Dotted name of a setting that has no effect any more → why."""

_LOG = logging.getLogger(__name__)


def rename_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a file, or of variables that hold whole sections, under their present names; log each former name.

    Raises:
        Invalid: a setting is there under both names.
    """
    renamed = {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}
    for old, new in RENAMES.items():
        section_name, _dot, old_key = old.rpartition(".")
        section = renamed.get(section_name) if section_name else renamed
        if isinstance(section, dict) and old_key in section:
            new_key = new.rpartition(".")[2]
            _require_one(old, new, is_twice=new_key in section)
            _warn(old, new)
            section[new_key] = section.pop(old_key)
    for name, reason in REMOVED.items():
        section_name, _dot, key = name.rpartition(".")
        if isinstance(renamed.get(section_name), dict) and key in renamed[section_name]:
            _warn_removed(name, reason)
            del renamed[section_name][key]
    return renamed


def rename_variables(environment: Mapping[str, str], prefix: str, *, warn: bool = False) -> dict[str, str]:
    """Return the variables under their present names; with `warn`, log each former name. Letters may have any case.

    Raises:
        Invalid: a variable is there under both names.
    """
    present = {_format_variable(old, prefix): _format_variable(new, prefix) for old, new in RENAMES.items()}
    removed = {_format_variable(name, prefix): reason for name, reason in REMOVED.items()}
    renamed: dict[str, str] = {}
    names = {name.upper() for name in environment}
    for name, value in environment.items():
        if name.upper() in removed:
            if warn:
                _warn_removed(name, removed[name.upper()])
            continue
        new = present.get(name.upper())
        if new is not None:
            _require_one(name, new, is_twice=new in names)
            if warn:
                _warn(name, new)
        renamed[new or name] = value
    return renamed


def _format_variable(name: str, prefix: str) -> str:
    return f"{prefix}{name}".replace(".", "__").upper()


def _require_one(old: str, new: str, *, is_twice: bool) -> None:
    if is_twice:
        raise problems.Invalid(f"The configuration has {new} and its former name {old}; remove {old}")


def _warn_removed(name: str, reason: str) -> None:
    _LOG.warning("%s has no effect any more, and is accepted until the next release: %s", name, reason)


def _warn(old: str, new: str) -> None:
    _LOG.warning("%s was renamed to %s; the former name is accepted until the next release", old, new)
