"""Error messages for invalid settings: the setting's name, its value unless it is secret, and the allowed values.

Translates pydantic's errors, so that operators see none of its messages. Reads no settings itself.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from partage.main.configuration.masking import MASK, mask_url
from partage.main.configuration.store_types import list_fields

_MAX_VALUE_CHARACTERS = 80
_STORE_TYPE_AT = 2
_ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "int_": "a whole number",
        "float_": "a number",
        "finite_number": "a number",
        "bool_": "true or false",
        "string_type": "text",
        "string_too_short": "text of at least {min_length} characters",
        "string_too_long": "text of at most {max_length} characters",
        "too_short": "a list of at least {min_length} values",
        "tuple_type": "a list",
        "model_": "a table of settings",
        "path_type": "a path",
        "literal_error": "one of {expected}",
        "enum": "one of {expected}",
        "greater_than_equal": "at least {ge}",
        "greater_than": "more than {gt}",
        "less_than_equal": "at most {le}",
        "less_than": "less than {lt}",
    },
)
"""Prefix of an error's type → what is allowed. The longest prefix counts."""


def describe_errors(error: ValidationError, settings: type[BaseModel]) -> str:
    """Describe in one sentence which settings are invalid, and what is allowed for each."""
    return "; ".join(_describe_error(each, settings) for each in error.errors(include_url=False))


def describe_unknown_setting(name: str, known: Iterable[str]) -> str:
    """Describe an unknown setting, and suggest the closest known name."""
    return f"there is no setting {name}; {_suggest(name, known)}"


def list_settings(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """List all settings and sections by their dotted names."""
    for name, field in model.model_fields.items():
        yield f"{table}{name}", field
        section = find_section(field)
        if section is not None:
            yield from list_settings(section, f"{table}{name}.")


def find_section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section; None for a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def check_variables(environment: Mapping[str, str], settings: type[BaseModel], prefix: str) -> list[str]:
    """Describe variables that name no setting, and lists or sections in variables that are not JSON."""
    fields = {f"{prefix}{name.replace('.', '__')}".upper(): field for name, field in list_settings(settings)}
    return [words for name, value in environment.items() if (words := _check_variable(name, value, fields, prefix))]


def _check_variable(name: str, value: str, fields: Mapping[str, FieldInfo], prefix: str) -> str:
    if not name.upper().startswith(prefix):
        return ""
    field = fields.get(name.upper())
    if field is None:
        return f"the variable {name} names no setting; {_suggest(name.upper(), fields)}"
    if find_section(field) is None and not _is_list(field):
        return ""
    form = "a list" if _is_list(field) else "a table"
    try:
        # The message contains no part of the value, which may be a secret.
        right = isinstance(json.loads(value), list if _is_list(field) else dict)
    except ValueError:
        right = False
    example = '["a", "b"]' if _is_list(field) else '{"name": "value"}'
    return "" if right else f"the variable {name} is not {form} in JSON, such as {example}"


def _suggest(name: str, known: Iterable[str]) -> str:
    closest = difflib.get_close_matches(name, [*known], n=1, cutoff=0.6)
    return f"did you mean {closest[0]}?" if closest else "partage config --sample lists all"


def _is_list(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("tuple[")


def _describe_error(error: Any, settings: type[BaseModel]) -> str:
    place, type_ = _split_store_type(error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    name = ".".join(str(part) for part in place)
    if kind == "extra_forbidden":
        return describe_unknown_setting(name, _list_names_beside(place, type_, settings))
    if kind == "missing":
        return f"{name} is required"
    if kind == "value_error":
        words = error["msg"].removeprefix("Value error, ")
        return f"{name}: {words[:1].lower()}{words[1:]}" if name else words
    if kind == "union_tag_invalid":
        return f"{name}.type is {context['tag']!r}, but must be one of {context['expected_tags']}"
    beginning = max((each for each in _ALLOWED if kind.startswith(each)), key=len, default="")
    allowed = _ALLOWED[beginning].format(**context) if beginning else re.sub("^Input should be ", "", error["msg"])
    return f"{name} is {_format_value(place, error['input'], settings)}, but must be {allowed}"


def _split_store_type(place: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], str | None]:
    """Take out the type of a store, which pydantic names between the store's number and the setting."""
    if place[:1] == ("stores",) and len(place) > _STORE_TYPE_AT:
        return (*place[:_STORE_TYPE_AT], *place[_STORE_TYPE_AT + 1 :]), str(place[_STORE_TYPE_AT])
    return place, None


def _list_names_beside(place: tuple[int | str, ...], type_: str | None, settings: type[BaseModel]) -> Collection[str]:
    table = ".".join(str(part) for part in place[:-1])
    known = [name for name, _field in list_settings(settings)]
    if type_ is not None:
        return [f"{table}.{name}" for name, _field in list_fields(type_)]
    return [name for name in known if name.count(".") == len(place) - 1]


def _format_value(place: tuple[int | str, ...], value: object, settings: type[BaseModel]) -> str:
    words = tuple(part for part in place if isinstance(part, str))
    fields = dict(list_fields()) if words[:1] == ("stores",) else dict(list_settings(settings))
    field = fields.get(".".join(words).removeprefix("stores."))
    if field is None or SecretStr.__name__ in str(field.annotation):
        return MASK  # an unknown value may be a secret
    if isinstance(value, (dict, list, tuple)):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(mask_url(value) if isinstance(value, str) else value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[:_MAX_VALUE_CHARACTERS]}…"
