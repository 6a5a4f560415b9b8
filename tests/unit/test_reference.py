"""The documentation says what the program does: generated pages, links, declarations shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor.service.loading import parse_json
from conductor.service.model import Service
from tools import reference

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_JSON = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(
    r"^cat > \S*conductor-service\.json <<'END'\n(.*?)^END$", re.DOTALL | re.MULTILINE
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", ["declaration.md", "commands.md"])
def test_a_generated_page_is_what_the_code_says_now(name: str) -> None:
    written = (reference.DOCS / name).read_text()
    assert written == reference.pages()[name], "run: make docs"


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of a page's headings: where links into it may lead."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        there = page.parent / path if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{target} leads to no heading"


def declarations(page: Path) -> Iterator[Any]:
    """Yield the whole declarations that a page shows."""
    text = page.read_text()
    for shown in (*_JSON.findall(text), *_FILE.findall(text)):
        if '"app_name"' in shown:
            yield parse_json(shown.encode(), name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_declaration_that_is_shown_is_one_that_is_taken(page: Path) -> None:
    for data in declarations(page):
        Service.model_validate(data)


def test_the_declarations_that_are_shown_are_found() -> None:
    assert sum(1 for page in PAGES for _ in declarations(page)) > 8
