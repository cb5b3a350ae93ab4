"""Read an operator's policy file, and refuse errors that oslo.policy ignores.

oslo.policy turns a rule that it cannot parse into a rule that denies everybody, and uses its defaults if it finds no file.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oslo_policy import policy

from partage import problems


@dataclass(frozen=True, slots=True)
class Stamp:
    """Attributes of a file that change with its content."""

    inode: int
    size_bytes: int
    changed_ns: int


def stamp_of(file: Path) -> Stamp | None:
    """Return the file's stamp; None if the file cannot be accessed."""
    try:
        found = file.stat()
    except OSError:
        return None
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


def read(file: Path) -> Mapping[str, object]:
    """Read the rules of a policy file.

    Raises:
        Unavailable: the file cannot be read, is not a mapping of names to rules, or has a rule that does not parse.
    """
    try:
        rules: object = policy.parse_file_contents(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(file, f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unusable(file, "it is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"it is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(rules, dict):
        raise _unusable(file, 'it is not a mapping of names to rules, such as "get_images": "role:reader"')
    for name, rule in rules.items():
        fault = _fault(name, rule)
        if fault:
            raise _unusable(file, fault)
    return rules


def check_references(file: Path, rules: Mapping[str, object], defaults: Mapping[str, str]) -> None:
    """Check that the rules of the file, with the defaults, refer only to existing rules, and not to themselves.

    Raises:
        Unavailable: a rule refers to a missing rule, or to itself, directly or through others.
    """
    references = {name: _references(rule) for name, rule in {**defaults, **rules}.items()}
    for name in rules:
        unknown = sorted(references[name] - {*references})
        if unknown:
            raise _unusable(file, f"the rule {name} refers to the rule {unknown[0]}, which does not exist")
        reached, coming = set[str](), [*references[name]]
        while coming:
            each = coming.pop()
            if each not in reached:
                reached.add(each)
                coming += references.get(each, ())
        if name in reached:
            raise _unusable(file, f"the rule {name} refers to itself, directly or through other rules")


def list_unused(rules: Mapping[str, object], known: Collection[str]) -> list[str]:
    """List the names of unused rules: neither known nor referred to by another rule."""
    used = {name for own, rule in rules.items() for name in _references(rule) if name != own}
    return sorted({*rules} - {*known} - used - {"default"})


def _references(rule: object) -> set[str]:
    return {*re.findall(r"""\brule:([^\s()'"\],]+)""", str(rule))}


def _unusable(file: Path, fault: str) -> problems.Unavailable:
    return problems.Unavailable(f"The policy file {file} cannot be used: {fault}; correct it or the setting policy_file")


def _fault(name: object, rule: object) -> str:
    if not isinstance(name, str):
        return f"the name {name!r} of a rule is not text"
    if isinstance(rule, list):  # the old form: any member must pass; a member is a check or a list of checks that must all pass
        members = [each for some in rule for each in (some if isinstance(some, list) else [some])]
        if all(isinstance(each, str) and _is_check(each) for each in members):
            return ""
    if not isinstance(rule, str):
        return f'the rule {name} is not text; write "" for everybody and "!" for nobody'
    tokens = list(_tokens(rule))
    wrong = [each for each in tokens if each not in _SIGNS and not _is_check(each)]
    if wrong:
        return f"the rule {name} does not parse at {wrong[0]!r}: expected a check such as role:admin, or and, or, not, @ or !"
    if tokens and not _is_expression(tokens):
        return f"the rule {name} does not parse; check its parentheses and the operands of and, or and not"
    return ""


_SIGNS = ("and", "or", "not", "(", ")")


def _tokens(rule: str) -> Iterator[str]:
    """Split a rule as oslo.policy does: at spaces, with each parenthesis at the start or end of a word as its own token."""
    for word in rule.split():
        bare = word.lstrip("(")
        yield from "(" * (len(word) - len(bare))
        check = bare.rstrip(")")
        if check:
            yield check.lower() if check.lower() in _SIGNS else check
        yield from ")" * (len(bare) - len(check))


def _is_check(token: str) -> bool:
    return token in {"@", "!"} or re.match(r"[^:]+:", token) is not None


def _is_expression(tokens: list[str]) -> bool:
    """Whether checks, parentheses, `and`, `or` and `not` form an expression."""
    depth, wants_check = 0, True
    for token in tokens:
        if token in {"and", "or", ")"} and wants_check:
            return False
        if token not in {"and", "or", ")"} and not wants_check:
            return False
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            return False
        wants_check = token in {"and", "or", "not", "("}
    return depth == 0 and not wants_check
