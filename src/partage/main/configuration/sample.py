"""Format settings as TOML: a documented sample file, and the settings in effect with secrets masked. Prints nothing."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from partage.main.configuration.config import PREFIX, Settings
from partage.main.configuration.store_types import list_fields

_MASK = "********"


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
            yield f"{name} = {_to_toml(value)}"


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
        yield "# [[stores]]"
        for name, field in list_fields():
            yield from _format_setting(name, field)


def _format_setting(name: str, field: FieldInfo) -> Iterator[str]:
    yield f"# {field.description}"
    default = "" if field.is_required() or field.default is None else field.default
    yield f"# {name} = {_to_toml(default)}"
    yield ""


def _to_toml(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = _mask_secret(value.get_secret_value())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_to_toml(each) for each in value)}]"
    text = str(value) if isinstance(value, Path | IPv4Network | IPv6Network) else value
    return json.dumps(text, ensure_ascii=False)


def _mask_secret(secret: str) -> str:
    if "://" not in secret:
        return _MASK if secret else ""
    parts = urlsplit(secret)
    if "@" not in parts.netloc:
        return secret
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}:{_MASK}@{parts.netloc.rpartition('@')[2]}"))
