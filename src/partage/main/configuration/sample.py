"""Format settings as TOML: a documented sample file, and the settings in effect with secrets masked. Prints nothing."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from partage.main.configuration.config import PREFIX, Settings
from partage.main.configuration.masking import mask_secret, mask_url
from partage.main.configuration.store_types import STORE_TYPES, list_fields

_URLS = ("url", "endpoint")
"""The names of settings that are URLs end so. Of another secret nothing is shown, whatever it looks like."""


def format_sample() -> str:
    """Format a TOML file with the meaning and default of every setting, commented out."""
    head = (
        "# Partage: every setting with its default. Remove the # before a line to change it.\n"
        f"# Environment variables take precedence over this file: {PREFIX}PORT=9293, {PREFIX}IDENTITY__PASSWORD=...\n"
    )
    return "\n".join([head, *_format_section(Settings, "")])


def format_effective_settings(settings: Settings) -> str:
    """Format the settings in effect as TOML, with passwords masked."""
    lines: list[str] = []
    values = settings.model_copy(update={"database_url": SecretStr(settings.effective_database_url)})
    tables = [name for name in type(values).model_fields if isinstance(getattr(values, name), BaseModel)]
    lines += _format_assignments(values, exclude={*tables, "stores"})
    for name in tables:
        lines += ["", f"[{name}]", *_format_assignments(getattr(values, name), exclude=set())]
    for store in values.effective_stores:
        lines += ["", "[[stores]]", *_format_assignments(store, exclude=set())]
    return "\n".join(lines)


def _format_assignments(model: BaseModel, *, exclude: set[str]) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name not in exclude and value is not None:
            yield f"{name} = {_to_toml(value, is_url=name.endswith(_URLS))}"


def _format_section(model: type[BaseModel], table: str) -> Iterator[str]:
    if table:
        yield f"# {(model.__doc__ or '').splitlines()[0]}"
        yield f"[{table}]"
    sections = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[name] = field.annotation
        elif name != "stores":
            yield from _format_setting(name, field)
    for name, section in sections.items():
        yield from _format_section(section, name)
    if model is Settings:
        yield f"# {model.model_fields['stores'].description}"
        for type_ in STORE_TYPES:
            yield f"# A store of type {type_}"
            yield "# [[stores]]"
            for name, field in list_fields(type_):
                yield from _format_setting(name, field, value=type_ if name == "type" else None)


def _format_setting(name: str, field: FieldInfo, *, value: str | None = None) -> Iterator[str]:
    """Format a setting with `value`, or else with its default."""
    yield f"# {field.description}"
    default = value or ("" if field.is_required() or field.default is None else field.default)
    yield f"# {name} = {_to_toml(default, is_url=name.endswith(_URLS))}"
    yield ""


def _to_toml(value: Any, *, is_url: bool) -> str:
    if isinstance(value, SecretStr):
        value = mask_secret(value.get_secret_value(), is_url=is_url)
    elif isinstance(value, str):
        value = mask_url(value)  # any URL may have been given with credentials
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_to_toml(each, is_url=is_url) for each in value)}]"
    text = str(value) if isinstance(value, Path | IPv4Network | IPv6Network) else value
    return json.dumps(text, ensure_ascii=False)
