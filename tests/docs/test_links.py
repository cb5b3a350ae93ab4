"""What a page leads to is there: files, folders and headings; and no page mentions a place that only its writer has."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pages() -> list[Path]:
    """List the pages of this project, whether they are committed yet or not; not those of what is installed beside it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return [page for page in ROOT.rglob("*.md") if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)]


def anchor(heading: str) -> str:
    """Name a heading as the web pages of repositories do."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(line.lstrip("#")) for line in page.read_text().splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        found = (page.parent / name) if name else page
        assert found.exists(), f"{page.relative_to(ROOT)} leads to {target}"
        if fragment and found.suffix == ".md":
            assert fragment in anchors(found), f"{page.relative_to(ROOT)} leads to {target}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:src|tests|docs|bench|demo|scripts)/[\w./-]*\w)`", page.read_text()):
        assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


@pytest.mark.parametrize("name", ["architecture.md", "life-of-a-request.md"])
def test_modules_and_folders_that_a_map_names_exist(name: str) -> None:
    source = ROOT / "src" / "partage"
    folders = "|".join(path.name for path in source.iterdir() if path.is_dir() and path.name != "__pycache__")
    named = re.findall(rf"`((?:{folders})/[\w/]*(?:\.py)?)(?::\w+)?`", (ROOT / "docs" / name).read_text())
    assert len(named) > 10
    assert [each for each in named if not (source / each).exists()] == []


def test_every_page_of_the_documentation_is_led_to() -> None:
    led_to = set()
    for page in pages():
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            led_to.add((page.parent / target).resolve())
    lonely = [page.name for page in (ROOT / "docs").glob("*.md") if page.resolve() not in led_to]
    assert lonely == []
