"""The settings in words: a documented sample file, and the values in effect with secrets masked. Prints nothing itself."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from partage.main.configuration.config import PREFIX, Settings
from partage.main.configuration.sections import StoreSettings

_MASK = "********"


def write_sample() -> str:
    """Write a TOML file that names every setting with its meaning and its default, all commented out."""
    head = (
        "# Partage: every setting with its default. Remove the # before a line to change it.\n"
        f"# An environment variable wins over this file: {PREFIX}PORT=9293, {PREFIX}IDENTITY__PASSWORD=...\n"
    )
    return "\n".join([head, *_write_section(Settings, "")])


def write_effective(settings: Settings) -> str:
    """Write the settings in effect as TOML, passwords masked."""
    lines: list[str] = []
    values = settings.model_copy(update={"database_url": SecretStr(settings.effective_database_url)})
    tables = [name for name in type(values).model_fields if isinstance(getattr(values, name), BaseModel)]
    lines += _write_assignments(values, leave_out={*tables, "stores"})
    for name in tables:
        lines += ["", f"[{name}]", *_write_assignments(getattr(values, name), leave_out=set())]
    for store in values.effective_stores:
        lines += ["", "[[stores]]", *_write_assignments(store, leave_out=set())]
    return "\n".join(lines)


def _write_assignments(model: BaseModel, *, leave_out: set[str]) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name not in leave_out and value is not None:
            yield f"{name} = {_to_toml(value)}"


def _write_section(model: type[BaseModel], table: str) -> Iterator[str]:
    if table:
        yield f"# {(model.__doc__ or '').splitlines()[0]}"
        yield f"[{table}]"
    sections = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[name] = field.annotation
        elif name != "stores":
            yield from _write_setting(name, field)
    for name, section in sections.items():
        yield from _write_section(section, name)
    if model is Settings:
        yield f"# {model.model_fields['stores'].description}"
        yield "# [[stores]]"
        for name, field in StoreSettings.model_fields.items():
            yield from _write_setting(name, field)


def _write_setting(name: str, field: FieldInfo) -> Iterator[str]:
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
