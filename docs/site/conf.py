"""The documentation as a site, built by `make docs` with Sphinx.

The pages stay what they are on the web page of a repository: CommonMark, whose links lead to files. The site adds nothing to them
but a menu, which it takes from the tables of docs/README.md, and titles of pages as the texts of links.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
INDEX = "docs/README"
INDEXES = {INDEX, "docs/decisions/README"}

project = "Partage"
author = "the Partage project"
version = re.findall(r'__version__ = "(.+)"', (ROOT / "src/partage/__init__.py").read_text())[0]
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
root_doc = INDEX
include_patterns = ["*.md", "docs/*.md", "docs/decisions/*.md", "client/README.md", "tests/README.md", "bench/README.md"]
nitpicky = True

myst_heading_anchors = 4  # the anchors that web pages of repositories give to headings
myst_links_external_new_tab = True
highlight_language = "none"  # most blocks are terminals
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True  # what a command prints is not copied; a block without prompts is, whole

html_theme = "furo"
html_title = f"Partage {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "forward.html"}
templates_path = ["templates"]
html_copy_source = False
html_use_index = False


def setup(app: Sphinx) -> None:
    """Have the pages changed while they are read. Source: Sphinx, which calls this."""
    app.connect("source-read", add_menu)
    app.connect("source-read", fit_links)


def add_menu(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add a menu to an index: each of its sections, with the pages that the table of the section leads to."""
    if name not in INDEXES:
        return
    for section in re.split(r"^##? ", source[0], flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        pages = re.findall(r"^\| \[[^]]+\]\(([^)]+\.md)\)", section, re.MULTILINE)
        entries = "\n".join(f"/{_name_page(Path(name).parent / page)}" for page in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {heading}\n\n{entries}\n```\n" if pages else ""


def _name_page(file: Path) -> Path:
    return (ROOT / file).resolve().relative_to(ROOT).with_suffix("")


def fit_links(_app: Sphinx, name: str, source: list[str]) -> None:
    """Show the title of a page where the text of a link is its file, and the text alone where a link leads to a directory."""

    def fit(link: re.Match[str]) -> str:
        text, target = link.groups()
        if (ROOT / name).parent.joinpath(target).is_dir():
            return text
        return f"[]({target})" if text == target and target.endswith(".md") else link[0]

    source[0] = re.sub(r"\[([^\]]+)\]\(([^)\s:]+)\)", fit, source[0])
