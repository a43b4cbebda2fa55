"""The site that `make docs` builds: whole, self-contained, with no link that leads nowhere."""

import functools
import html.parser
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.browser import browser, find_chromium

mkdocs_config = pytest.importorskip("mkdocs.config", reason="the extra docs is not installed")
mkdocs_build = pytest.importorskip("mkdocs.commands.build")
mkdocs_exceptions = pytest.importorskip("mkdocs.exceptions")
pytest.importorskip("material", reason="the extra docs is not installed")
pytest.importorskip("jupytext", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[2]
# Libraries of the site's own that warn of what they will drop; MkDocs keeps its handler of files open.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("link", "href")}


def build(into: Path, **changed: Any) -> Path:
    """Build the site with some settings changed."""
    mkdocs_build.build(mkdocs_config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(into), **changed))
    return into


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site without the pages of the API, which take most of the time."""
    return build(tmp_path_factory.mktemp("site"), plugins=["search"])


class Loaded(html.parser.HTMLParser):
    """What a page makes a browser load at once, and the places that it has names for."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of one tag."""
        self.addresses += [value or "" for name, value in attrs if (tag, name) in LOADS]


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    """Strict building found no broken link; each page of docs/, and each page they link to, has one of its own."""
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        relative = page.relative_to(ROOT / "docs")
        name = "index.html" if page.stem == "README" else f"{page.stem}.html"
        assert (site / relative.parent / name).is_file(), relative
        assert f'href="{(relative.parent / name).as_posix()}"' in index, f"{relative} cannot be reached"
    assert {"README", "CHANGELOG", "CONTRIBUTING"} >= {page.stem for page in ROOT.glob("C[HO]*.md")}
    for elsewhere in ("index", "CHANGELOG", "CONTRIBUTING", "benchmarks/results/peac", "examples/nnunet/index"):
        assert (site / "repository" / f"{elsewhere}.html").is_file()


def test_links_out_of_docs_lead_into_the_site_or_become_words(site: Path) -> None:
    """A page elsewhere in the clone is a page here; a source file or a folder without a page is no link."""
    page = (site / "how-to" / "choose.html").read_text(encoding="utf-8")
    assert "src/modelsgenesis/choosing/strategies" not in page
    assert 'href="../repository/benchmarks/results/pictures.html"' in (site / "how-to" / "pictures.html").read_text(
        encoding="utf-8"
    )
    for page_path in site.rglob("*.html"):
        for target in re.findall(r'href="([^"#:]+\.html)', page_path.read_text(encoding="utf-8")):
            assert target.startswith("/") or (page_path.parent / target).resolve().is_file(), (page_path.name, target)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are files of the site; styles ask for none of another place."""
    pages = [
        *site.glob("*.html"),
        *site.glob("how-to/*.html"),
        *site.glob("notebooks/*.html"),
        *site.glob("api/*.html"),
    ]
    assert len(pages) > 20
    for page in pages:
        addresses = Loaded(page).addresses
        assert addresses
        assert [one for one in addresses if re.match(r"(https?:)?//", one)] == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(
            r"(@import\s*[\"'(]|url\(\s*[\"']?)(url\()?[\"']?(https?:)?//", style.read_text("utf-8")
        ), style


def test_broken_link_stops_the_build(tmp_path: Path) -> None:
    """As would a page or an anchor that is not there: the settings are those of the site."""
    (tmp_path / "docs").mkdir()
    for text in ("[gone](gone.md)", "[anchor](#gone)"):
        (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
        with pytest.raises(mkdocs_exceptions.Abort, match="1 warnings in strict mode"):
            build(tmp_path / "site", docs_dir=str(tmp_path / "docs"), plugins=["search"], hooks=[])


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The site served on loopback."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *words: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; make browser installs it")
def test_site_is_searched_and_dark_without_a_request_elsewhere(served: str) -> None:
    """A real browser: no error, nothing asked of another machine, a word found, light and dark by the system."""
    with browser() as window:
        colours = {}
        for dark in (False, True):
            window.size(1400 if dark else 500, 900, dark=dark)
            window.open(f"{served}/index.html", ready="")
            colours[dark] = window.run("getComputedStyle(document.body).backgroundColor")
            assert window.run("document.documentElement.scrollWidth <= innerWidth")
        red = {dark: int(re.findall(r"\d+", colour)[0]) for dark, colour in colours.items()}
        assert red[False] > 200 > 60 > red[True]
        window.run(
            "(() => { const box = document.querySelector('[data-md-component=search-query]'); box.focus();"
            "box.value = 'landmarks'; for (const kind of ['keyup', 'input']) box.dispatchEvent(new Event(kind)); })()"
        )
        window.wait("document.querySelector('.md-search-result__item a[href*=landmarks]') !== null")
        assert window.strangers() == []
        assert window.errors == []


@pytest.mark.slow
def test_api_shows_what_is_public(tmp_path: Path) -> None:
    """Every verb, and classes of several rooms, with their docstrings; a private one is not there."""
    site = build(tmp_path / "site")
    commands = (site / "api" / "commands.html").read_text(encoding="utf-8")
    for verb in ("prepare", "pretrain", "finetune", "predict", "probe", "view"):
        assert f'id="modelsgenesis.commands.{verb}.{verb}"' in commands
    nets = (site / "api" / "nets.html").read_text(encoding="utf-8")
    assert 'id="modelsgenesis.nets.segresnet.SegResNet"' in nets
    assert "arXiv:1810.11654" in nets
    assert "modelsgenesis.nets.segresnet._Block" not in nets
