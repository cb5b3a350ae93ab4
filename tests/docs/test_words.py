"""The words of docs/style.md: terms of the glossary occur in the source, riddles that they replace do not, functions are verbs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "partage"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef

REFUSED = {
    r"\btold\b": "report, pass, log, show",
    r"\blen(t|d|ds|ding|der)\b": "hand off, borrow",
    r"\bnear\b": "cached",
    r"\btakes? leave\b": "leave, end",
    r"rehears": "write known chunks again, hide deduplication timing",
    r"condemn": "mark",
    r"\b(a|new|the|under) sentence of\b": "mark time",
    r"\b(spare|spares|spared|sparing)\b": "unmark",
    r"\bhand(s|ed|ing)? over\b": "pass",
    r"\bwhoever\b": "name the caller",
    r"\berrands?\b": "import context",
    r"\bcrews?\b": "supervisor, workers",
    r"\bgo(es)? behind\b": "lower priority",
    r"\bof no use\b": "unusable",
    r"\bmakes? no sense\b": "is invalid",
    r"\blets? nobody in\b": "refuse",
    r"\bby chance\b": "random",
    r"\b(every|any|no|this|all) roads?\b": "route",
    r"\btaken for dead\b": "treated as dead",
    r"\bout of account\b": "ignored",
    r"\blocked away\b": "sandboxed",
    r"\bwithout more ado\b": "at once",
    r"\bfalls? silent\b": "times out",
    r"\bgives? out\b": "serve, send",
}
"""What no name and no text may use, and the field's words for it."""

REMAINING: dict[str, set[str]] = {"records": {r"condemn"}}
"""Phrases that a package still has. Take them out of this list with the package's last one; add none."""

EXEMPT = {
    "src/partage/main/configuration/renames.py",  # former names of settings, accepted for one release
    "docs/style.md",  # quotes what it refuses
}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "client" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "versions" not in path.parts]
MODULES += sorted((ROOT / "client" / "src").rglob("*.py"))

IRREGULAR = re.findall(
    r"\w+",
    """asked begun bent bought bound broken brought built caught chosen dealt done drawn driven fed felt forgotten found frozen
    given gone got grown heard held hidden kept known laid lain led left lent lost made meant met paid said seen sent shown
    sold spent spoken stood struck stuck sunk swept taken thought thrown told torn understood withdrawn won woken worn
    written""",
)
NO_PARTICIPLES = {"bring", "embed", "exceed", "feed", "need", "ping", "proceed", "seed", "speed", "string", "succeed"}
PREPOSITIONS = {
    "about",
    "above",
    "across",
    "after",
    "against",
    "as",
    "at",
    "before",
    "behind",
    "below",
    "beside",
    "between",
    "beyond",
}
PREPOSITIONS |= {"by", "during", "for", "from", "in", "inside", "into", "near", "of", "off", "on", "onto", "out", "outside", "over"}
PREPOSITIONS |= {"since", "through", "to", "under", "until", "up", "upon", "with", "within", "without"}
NOUNS = ("property", "cached_property", "setter", "contextmanager", "asynccontextmanager")
"""Decorators of what is used as a value or in a `with` statement; those may be nouns and adjectives."""

NO_VERBS: set[str] = {"up", "after"}
"""Functions that are still named by a participle or a preposition. Take them out as they get verbs; add none."""


def room(path: Path) -> str:
    """Name the package of a module, or `docs`."""
    if not path.is_relative_to(SOURCE):
        return "docs"
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def plain(text: str) -> str:
    """Write names as words, and text on one line, so that a phrase is found in all of them."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.replace("_", " "))
    return re.sub(r"[\s#]+", " ", text).lower()


def phrases_in(path: Path) -> set[str]:
    if str(path.relative_to(ROOT)) in EXEMPT:
        return set()
    text = path.read_text()
    if path.name == "configuration.md":
        text = text.split("## Former names")[0]
    return {phrase for phrase in REFUSED if re.search(phrase, plain(text))}


def functions_without_verb(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, FUNCTIONS) or any(ast.unparse(each).endswith(NOUNS) for each in node.decorator_list):
            continue
        first, *rest = node.name.strip("_").split("_")
        is_participle = first in IRREGULAR or (first.endswith(("ed", "ing")) and first not in NO_PARTICIPLES)
        if is_participle or (not rest and first in PREPOSITIONS):
            yield node.name


@pytest.mark.parametrize("path", [*MODULES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_text_uses_the_fields_terms(path: Path) -> None:
    found = phrases_in(path) - REMAINING.get(room(path), set())
    assert {phrase: REFUSED[phrase] for phrase in found} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_named_by_verbs(path: Path) -> None:
    assert set(functions_without_verb(path)) - NO_VERBS == set()


def test_names_of_tests_use_the_fields_terms() -> None:
    names = {node.name for path in TESTS for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTIONS)}
    names = {name for name in names if name.startswith("test_")} | {path.stem for path in TESTS}
    assert len(names) > 1000
    assert [name for name in sorted(names) if any(re.search(phrase, plain(name)) for phrase in REFUSED)] == []


def test_every_term_of_the_glossary_occurs_in_the_source() -> None:
    text = plain(" ".join(path.read_text() for path in MODULES))
    terms = re.findall(r"\*\*([^*]+)\*\*", (ROOT / "docs" / "glossary.md").read_text())
    assert len(terms) > 30
    assert [term for term in terms if plain(term) not in text] == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("def _told() -> None: ...", r"\btold\b"),
        ("class _ErrandOfAnImport: ...", r"\berrands?\b"),
        ("# the pack is\n# handed over", r"\bhand(s|ed|ing)? over\b"),
    ],
)
def test_refused_phrase_is_found_in_names_and_broken_lines(text: str, phrase: str) -> None:
    assert re.search(phrase, plain(text))
