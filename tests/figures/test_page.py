"""Pages that hold all they show."""

import base64
import hashlib
import html
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from modelsgenesis.figures.page import Code, Folded, Page, Paragraph, Table, pairs, picture, viewer_beside

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Notes tags that are closed in the wrong order, and every address that a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        """Remember an opened tag and what it loads."""
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        """Check that the last opened tag is closed first."""
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def full_page(tmp_path) -> str:
    """A page with one of everything."""
    Image.new("RGB", (40, 30), (10, 120, 240)).save(tmp_path / "dot.png")
    page = Page("A <title>", 'A "lead" & more')
    page.headline([("31 %", "of <something>", "good"), ("7", "others", "")])
    page.section("Heading", Paragraph("words"), picture(tmp_path / "dot.png", "a dot"))
    page.section("More", Table([("a", "b")], ("x", "y")), pairs({"n": "<1>"}), Code("x < 1"))
    page.section("Less", Folded("see <all>", [Paragraph("pale & small", "caption"), Table([("c",)])], unfolded=True))
    return page.write(tmp_path / "page.html", "the end").read_text(encoding="utf-8")


def test_page_is_whole_and_loads_nothing(tmp_path):
    """Every tag is closed in order, and all that is loaded lies inside the page, whose policy allows no more."""
    text = full_page(tmp_path)
    balance = Balance()
    balance.feed(text)
    assert balance.wrong == []
    assert balance.open == []
    assert all(address.startswith("data:image/webp;base64,") for address in balance.loaded)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    allowed = dict(rule.split(" ", 1) for rule in html.unescape(policy[1]).split("; "))
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert allowed.pop(rule) == f"'sha256-{digest}'"
    assert allowed == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    assert "http" not in text.replace("http-equiv", "")


def test_viewer_is_a_link_where_it_is_and_else_the_command_that_writes_it(tmp_path):
    """No link leads nowhere; the command can be pasted in the page's folder, whatever that is called."""
    scores = tmp_path / "my scores"
    scores.mkdir()
    page = Page("a", "b")
    page.section("c", viewer_beside(scores / "report.html", scores))
    text = page.html()
    assert "<a " not in text
    assert "<pre>genesis view . view.html</pre>" in text
    (scores / "view.html").write_text("")
    page = Page("a", "b")
    page.section("c", viewer_beside(scores / "report.html", scores))
    assert '<a href="view.html">' in page.html()
    assert "<pre>genesis view . view.html</pre>" in page.html()
    page = Page("a", "b")
    page.section("c", viewer_beside(tmp_path / "pages" / "report.html", scores, "--cases", "2"))
    assert "<pre>genesis view &#39;../my scores&#39; view.html --cases 2</pre>" in page.html()


def test_text_is_escaped(tmp_path):
    """What a file's name or a value holds cannot become markup."""
    text = full_page(tmp_path)
    assert "<h1>A &lt;title&gt;</h1>" in text
    assert "A &#34;lead&#34; &amp; more" in text
    assert "&lt;1&gt;" in text
    assert "x &lt; 1" in text
    assert "<summary>see &lt;all&gt;</summary>" in text
    assert "pale &amp; small" in text


def test_only_words_too_long_for_a_column_may_be_broken(tmp_path):
    """A path in a cell wraps anywhere; words of people do not."""
    page = Page("", "")
    page.section("", Table([("/a/path/longer/than/any/column", "words of people, however many")]))
    assert "<td class=long>/a/path" in page.html()
    assert "<td>words of people" in page.html()


def test_a_page_is_its_template_and_its_parts_alone():
    """The style is in it, and nothing of the templates' own language is left."""
    text = Page("a", "b").html("the end")
    assert text.startswith("<!doctype html>")
    assert "max-width: 1440px" in text
    assert "<footer>the end</footer>" in text
    assert "{%" not in text
    assert "{{" not in text


def test_pictures_travel_inside(tmp_path):
    """A picture decoded from the page has its size and, to a few grey values, its colour."""
    data = re.findall(r"data:image/webp;base64,([^\"]+)", full_page(tmp_path))
    with Image.open(io.BytesIO(base64.b64decode(data[0]))) as opened:
        assert opened.size == (40, 30)
        assert np.allclose(np.asarray(opened).mean((0, 1)), (10, 120, 240), atol=6)
