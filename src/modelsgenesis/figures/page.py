"""A web page in one file: its style inside, its pictures inside, nothing loaded from elsewhere."""

import base64
import functools
import hashlib
import io
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from modelsgenesis.core.files import written_aside
from modelsgenesis.figures.embedding_map import EmbeddingMap

TEMPLATES = Path(__file__).parent / "templates"
LONGEST = 24  # letters of a word that is kept whole in a table
VIEWER = "view.html"  # beside a page: what it pictures, to scroll through
QUALITY = 92  # of WebP, at which a sheet takes a fifth of its PNG and no eye sees it

Headline = tuple[str, str, str]  # a large number, what it is, and "good", "bad" or ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text.

    Attributes:
        text: of the paragraph.
        look: "caption" is small and pale.
    """

    text: str
    look: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture that travels inside the page; made by `picture`.

    Attributes:
        packed: bytes of WebP.
        description: for those who do not see it.
        narrow: whether it keeps its width on a wide page.
    """

    packed: bytes
    description: str
    narrow: bool = False

    @property
    def base64(self) -> str:
        """The bytes of a picture as text."""
        return base64.b64encode(self.packed).decode("ascii")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        rows: each with as many cells as the first.
        head: the columns' names; none where the rows explain themselves.
    """

    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()


@dataclass(frozen=True)
class Code:
    """Commands or code, shown as they are."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Parts of a page that a click unfolds.

    Attributes:
        summary: what is to be seen while they are folded.
        contents: the parts.
        unfolded: whether it is open from the start.
    """

    summary: str
    contents: Sequence["Part"]
    unfolded: bool = False


@dataclass(frozen=True)
class Viewer:
    """Where what a page pictures can be scrolled through.

    Attributes:
        page: of the viewer, beside this one.
        command: that makes it.
        made: whether it is there, so that a link leads somewhere.
    """

    page: str
    command: str
    made: bool


Part = Paragraph | Picture | Table | Code | Folded | EmbeddingMap | Viewer


@dataclass(frozen=True)
class Section:
    """Parts of a page under a heading."""

    heading: str
    parts: tuple[Part, ...]


@dataclass
class Page:
    """A page in the making: its content as data; the templates beside this file decide how it looks.

    Attributes:
        title: its heading.
        lead: a sentence or two under it.
        blocks: sections and rows of large numbers, in their order.
    """

    title: str
    lead: str
    blocks: list[Section | list[Headline]] = field(default_factory=list)

    def headline(self, numbers: Sequence[Headline]) -> None:
        """Add a row of large numbers to the page."""
        self.blocks.append(list(numbers))

    def section(self, heading: str, *parts: Part) -> None:
        """Add parts under a heading to the page."""
        self.blocks.append(Section(heading, parts))

    @property
    def parts(self) -> list[Part]:
        """The parts of all sections."""
        return [part for block in self.blocks if isinstance(block, Section) for part in block.parts]

    def html(self, footer: str = "") -> str:
        """Render the whole page; every text in it is escaped, and its policy lets no request leave it."""
        mapped = ["map"] if any(isinstance(part, EmbeddingMap) for part in self.parts) else []
        style, script = (template_text(*(f"{name}.{kind}" for name in ("page", *mapped))) for kind in ("css", "js"))
        policy = policy_of({"script-src": hash_source(script.encode()), "style-src": hash_source(style.encode())})
        made = environment().get_template("page.html")
        return made.render(page=self, footer=footer, style=style, script=script, policy=policy)

    def write(self, path: Path | str, footer: str = "") -> Path:
        """Write the page whole or not at all."""
        path = Path(path)
        with written_aside(path) as aside:
            aside.write_text(self.html(footer), encoding="utf-8")
        return path


@functools.cache
def environment() -> Environment:
    """The templates, which escape every text that they show."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.tests["long"] = has_long_word
    return made


def template_text(*names: str) -> str:
    """The text of templates that are no more than text, such as scripts and styles, one after the other."""
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def hash_source(text: bytes) -> str:
    """The word of a content security policy that allows one script or style of just these bytes."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}'"


def policy_of(allowed: Mapping[str, str]) -> str:
    """A content security policy under which a page asks no one for anything but what is allowed."""
    usual = {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in {**usual, **allowed}.items())


def viewer_beside(page: Path, folder: Path, *options: str) -> Viewer:
    """The viewer of a folder, which `genesis view` writes beside a page, and the command that does, in that folder.

    It is a link where the viewer is there already; the command alone where it is not.
    """
    command = ["genesis", "view", os.path.relpath(folder, page.parent), VIEWER, *options]
    return Viewer(VIEWER, shlex.join(command), (page.parent / VIEWER).is_file())


def has_long_word(text: str) -> bool:
    """Whether a word is one that no column has room for, such as a path; only such words may be broken."""
    return any(len(word) > LONGEST for word in text.split())


def picture(path: Path | str, description: str, *, narrow: bool = False) -> Picture:
    """Read a picture of any format into a page, as wide as its section unless narrow."""
    path = Path(path)
    return Picture(path.read_bytes() if path.suffix == ".webp" else webp(path), description, narrow)


def webp(path: Path | str) -> bytes:
    """Encode a picture of any format as small WebP."""
    packed = io.BytesIO()
    with Image.open(path) as opened:
        opened.convert("RGB").save(packed, "WEBP", quality=QUALITY)
    return packed.getvalue()


def pairs(values: Mapping[str, str]) -> Table:
    """Make a table of names and values."""
    return Table(list(values.items()))
