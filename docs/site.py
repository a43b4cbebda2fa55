"""What `make docs` adds to the pages of this folder: the API, the notebooks, and pages that lie elsewhere in the clone.

MkDocs calls the functions here by their names. A link to a page outside docs/ leads to a copy of it under repository/;
a link to a file or folder that is no page, such as a source file, becomes its words alone, since a site is no clone.
"""

import posixpath
import re
from pathlib import Path

import jupytext
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PACKAGE = "modelsgenesis"
ELSEWHERE = "repository/"
ALWAYS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
TITLES = {"Api": "API", "Repository": "Elsewhere in the clone"}  # MkDocs names a section by its folder
LINK = re.compile(r"(?P<open>!?\[(?P<words>[^\]]*)\]\()(?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the API, the notebooks, and what pages link to elsewhere in the clone."""
    made = {"api/index.md": _api_index(), **{f"api/{room}.md": _api_of(room) for room in _rooms()}}
    for notebook in sorted((ROOT / "docs/notebooks").glob("*.py")):
        made[f"notebooks/{notebook.stem}.md"] = jupytext.writes(jupytext.read(notebook), fmt="md")
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=_without_header(content)))
    waiting = [*ALWAYS, *(f"docs/{file.src_uri}" for file in files.documentation_pages() if file.src_uri not in made)]
    known = set(waiting)
    for place in waiting:  # grows while it is walked
        if not place.startswith("docs/"):
            files.append(File.generated(config, _uri(place) or place, abs_src_path=str(ROOT / place)))
        text = (ROOT / place).read_text(encoding="utf-8")
        found = {_target(place, link["target"]) for link in LINK.finditer(text)}
        fresh = sorted(one for one in found if one.endswith(".md") and not one.startswith("docs/") and one not in known)
        waiting += fresh
        known |= {*fresh}
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their targets are in the site."""
    uri = page.file.src_uri
    place = uri.removeprefix(ELSEWHERE) if uri.startswith(ELSEWHERE) else f"docs/{uri}"

    def led(link: re.Match[str]) -> str:
        target = _target(place, link["target"])
        if not target:
            return link[0]  # MkDocs says that it is broken
        there = _uri(target)
        if there is None:
            return link["words"]
        return f"{link['open']}{posixpath.relpath(there, posixpath.dirname(uri) or '.')}{link['anchor'] or ''})"

    return LINK.sub(led, markdown)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Call the sections of the navigation what they are."""
    for section in nav.items:
        section.title = TITLES.get(section.title or "", section.title)
    return nav


def _target(place: str, target: str) -> str:
    """What a link on a page of the clone leads to, a folder's page for the folder; empty if it is not there."""
    full = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
    if full.startswith("..") or not (ROOT / full).exists():
        return ""
    return f"{full}/README.md" if (ROOT / full / "README.md").exists() else full


def _uri(place: str) -> str | None:
    """Where a file of the clone is in the site; None if it is not."""
    if place.startswith("docs/notebooks/"):
        return place.removeprefix("docs/").replace(".py", ".md")
    if place.startswith("docs/"):
        return None if (ROOT / place).is_dir() else place.removeprefix("docs/")
    return f"{ELSEWHERE}{place}" if place.endswith(".md") else None


def _rooms() -> list[str]:
    return sorted(place.parent.name for place in (ROOT / "src" / PACKAGE).glob("*/__init__.py"))


def _api_index() -> str:
    verbs = sorted(place.stem for place in (ROOT / "src" / PACKAGE / "commands").glob("[!_]*.py"))
    rooms = "\n".join(f"- [`{PACKAGE}.{room}`]({room}.md)" for room in _rooms())
    named = ", ".join(f"[`{verb}`][{PACKAGE}.commands.{verb}]" for verb in verbs)
    return (
        f"# API\n\nVerbs, `import {PACKAGE} as mg` and `mg.VERB(...)`: {named}.\n\n"
        f"Rooms, as [CONTRIBUTING](../../CONTRIBUTING.md) maps them:\n\n{rooms}\n"
    )


def _api_of(room: str) -> str:
    return f"# {PACKAGE}.{room}\n\n::: {PACKAGE}.{room}\n"


def _without_header(content: str) -> str:
    """A notebook's page without what jupytext notes about it at its top."""
    return re.sub(r"\A---\n.*?\n---\n", "", content, flags=re.DOTALL)
