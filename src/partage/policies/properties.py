"""Property protections: the operator's file of permissions on custom properties, in Glance's format.

Section names are regular expressions, searched anywhere in a property's name. The first match decides; without a match nobody has
access. Each section has permissions for create, read, update and delete: roles separated by commas, `@` for everybody, `!` for
nobody; or, with the format `policies`, the name of one policy rule. Administrators have no exemption unless the file has one. The
service's own properties (`os_glance...`) are not protected.

Source: Glance, "Property protections"; OSSN-0013 is why the first match decides and not the strictest.
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from partage import problems
from partage.model.caller import Caller
from partage.model.document import RESERVED_PREFIX, make_reserved_problem
from partage.model.image import Image
from partage.policies.authority import Authority

Format = Literal["roles", "policies"]

_EVERYBODY, _NOBODY = "@", "!"


class Action(StrEnum):
    """An action on a property."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class _Section:
    pattern: re.Pattern[str]
    permitted: Mapping[Action, frozenset[str]]


class PropertyProtections:
    """The rules of one file. Immutable, so thread-safe."""

    def __init__(self, authority: Authority, file: Path, form: Format = "roles") -> None:
        """Read the file.

        Raises:
            Unavailable: the file is missing or invalid. No default replaces an invalid file.
        """
        self._authority = authority
        self._form = form
        self._sections = tuple(_read(file, form, authority))

    def allows(self, caller: Caller, action: Action, name: str) -> bool:
        """Whether the caller may do this to a property with that name."""
        if name.startswith(RESERVED_PREFIX):
            return True
        found = next((each for each in self._sections if each.pattern.search(name)), None)
        if found is None:
            return False
        permitted = found.permitted[action]
        if _EVERYBODY in permitted or _NOBODY in permitted:
            return _EVERYBODY in permitted
        if self._form == "policies":
            return any(self._authority.allows(caller, rule, {}) for rule in permitted)
        return bool(permitted & {role.lower() for role in caller.roles | caller.service_roles})

    def hide_properties(self, caller: Caller, image: Image) -> Image:
        """Return the image without the properties that the caller may not read."""
        return replace(
            image,
            properties={name: value for name, value in image.properties.items() if self.allows(caller, Action.READ, name)},
        )

    def require_creation(self, caller: Caller, image: Image) -> None:
        """Check that the caller may create every property of a new image.

        Raises:
            AttributeReadOnly: the caller may not create one of them.
        """
        for name in image.properties:
            self._require(caller, Action.CREATE, name)

    def apply_changes(self, caller: Caller, was: Image, seen: Image, changed: Image, touched: frozenset[str]) -> Image:
        """Check the changes from `seen`, the image as the caller saw it, and add the properties that were hidden from the caller.

        Raises:
            AttributeReadOnly: the caller may not change one of the `touched` properties in this way.
        """
        for name in touched:
            if name in seen.properties and name in changed.properties:
                self._require(caller, Action.UPDATE, name)
            elif name in seen.properties:
                self._require(caller, Action.DELETE, name)
            elif name in changed.properties:
                self._require(caller, Action.CREATE, name)
        hidden = {name: value for name, value in was.properties.items() if name not in seen.properties}
        return replace(changed, properties={**hidden, **changed.properties})

    @property
    def policies(self) -> frozenset[str]:
        """The names of the policy rules that the protections use."""
        if self._form != "policies":
            return frozenset()
        return frozenset[str]().union(*(rules for section in self._sections for rules in section.permitted.values()))

    def _require(self, caller: Caller, action: Action, name: str) -> None:
        if not self.allows(caller, action, name):
            raise make_reserved_problem(name)


def _read(file: Path, form: Format, authority: Authority) -> list[_Section]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise problems.Unavailable(f"The property protections {file} cannot be read: {error}") from error
    sections = []
    for name in parser.sections():
        try:
            pattern = re.compile(name)
        except re.error as error:
            raise problems.Unavailable(
                f"The property protections {file} have a section [{name}] that is not a regular expression: {error}"
            ) from error
        permitted = {action: _read_permitted(file, parser[name], action, form) for action in Action}
        if form == "policies":
            _check_policies(file, name, permitted, authority)
        sections.append(_Section(pattern, permitted))
    return sections


def _read_permitted(file: Path, section: configparser.SectionProxy, action: Action, form: Format) -> frozenset[str]:
    if action not in section:
        raise problems.Unavailable(f"The property protections {file} have no {action} in [{section.name}]; ! is nobody")
    text = section[action].lower() if form == "roles" else section[action]
    permitted = frozenset(each.strip() for each in text.split(",") if each.strip())
    if {_EVERYBODY, _NOBODY} <= permitted:
        raise problems.Unavailable(f"The property protections {file} have both @ and ! for {action} in [{section.name}]")
    return permitted


def _check_policies(file: Path, name: str, permitted: Mapping[Action, frozenset[str]], authority: Authority) -> None:
    for action, rules in permitted.items():
        if len(rules) > 1:
            raise problems.Unavailable(
                f"The property protections {file} have several policies for {action} in [{name}]; combine them"
            )
        for rule in rules - {_EVERYBODY, _NOBODY}:
            if not authority.defines(rule):
                raise problems.Unavailable(
                    f"The property protections {file} name the policy {rule}, which the policy file does not define"
                )
