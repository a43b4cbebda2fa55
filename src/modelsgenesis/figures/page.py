"""A web page in one file: its style inside, its pictures inside, nothing loaded from elsewhere."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from modelsgenesis.core.files import written_aside

LONGEST = 24  # letters of a word that is kept whole in a table
QUALITY = 92  # of WebP, at which a sheet takes a fifth of its PNG and no eye sees it

STYLE = """
:root { --ink: #1b2430; --pale: #5d6a7a; --line: #e1e6ec; --paper: #ffffff; --ground: #f4f6f8; --accent: #1f6fb4; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1440px; margin: 0 auto; padding: 40px 28px 64px; }
header { margin-bottom: 26px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 0 0 6px; }
p { margin: 0 0 10px; max-width: 78ch; }
.lead { font-size: 17px; color: var(--pale); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px;
  margin: 0 0 20px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 0 0 20px; }
.figure { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 14px 18px; }
.figure b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.figure.good b { color: #1c7a4a; } .figure.bad b { color: #b23a1f; }
.figure span { color: var(--pale); font-size: 13.5px; line-height: 1.35; display: block; }
img { display: block; width: 100%; height: auto; margin: 10px 0 4px; }
img.narrow { max-width: 1040px; }
.caption { color: var(--pale); font-size: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
table + table { margin-top: 24px; }
th { text-align: left; color: var(--pale); font-weight: 600; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { font-variant-numeric: tabular-nums; }
td.long { overflow-wrap: anywhere; }
pre { background: #1b2430; color: #e8edf3; border-radius: 8px; padding: 14px 16px; overflow-x: auto; margin: 8px 0 0;
  font: 13.5px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font: 0.92em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
details { border-top: 1px solid var(--line); padding: 8px 0; } summary { cursor: pointer; font-weight: 600; }
footer { color: var(--pale); font-size: 13.5px; }
@media print { body { background: white; } section, .figure { break-inside: avoid; } }
"""


@dataclass
class Page:
    """A page in the making; every text given is escaped.

    Attributes:
        title: its heading.
        lead: a sentence or two under it.
    """

    title: str
    lead: str
    parts: list[str] = field(default_factory=list)

    def figures(self, figures: Sequence[tuple[str, str, str]]) -> None:
        """Add a row of large numbers: (number, what it is, "good", "bad" or "")."""
        cells = (
            f'<div class="figure {escape(mood)}"><b>{escape(value)}</b><span>{escape(words)}</span></div>'
            for value, words, mood in figures
        )
        self.parts.append(f'<div class="figures">{"".join(cells)}</div>')

    def section(self, heading: str, *contents: str) -> None:
        """Add a section made of `paragraph`, `picture`, `table`, `code` and `folded`."""
        self.parts.append(f"<section><h2>{escape(heading)}</h2>{''.join(contents)}</section>")

    def html(self, footer: str = "") -> str:
        """The whole page."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>\n<body><main>"
            f'<header><h1>{escape(self.title)}</h1><p class="lead">{escape(self.lead)}</p></header>\n'
            + "\n".join(self.parts)
            + f"\n<footer>{escape(footer)}</footer></main></body></html>\n"
        )

    def write(self, path: Path | str, footer: str = "") -> Path:
        """Write the page, whole or not at all."""
        path = Path(path)
        with written_aside(path) as aside:
            aside.write_text(self.html(footer), encoding="utf-8")
        return path


def escape(text: str) -> str:
    """Text as HTML, quotes included."""
    return html.escape(text, quote=True)


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; kind "caption" is small and pale."""
    return f'<p class="{escape(kind)}">{escape(text)}</p>'


def picture(path: Path | str, description: str, *, narrow: bool = False) -> str:
    """A picture inside the page, as wide as its section unless narrow."""
    path = Path(path)
    data = base64.b64encode(path.read_bytes() if path.suffix == ".webp" else webp(path)).decode("ascii")
    kind = "narrow" if narrow else "wide"
    return f'<img class="{kind}" alt="{escape(description)}" src="data:image/webp;base64,{data}">'


def webp(path: Path | str) -> bytes:
    """A picture of any format, packed small."""
    packed = io.BytesIO()
    with Image.open(path) as opened:
        opened.convert("RGB").save(packed, "WEBP", quality=QUALITY)
    return packed.getvalue()


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A table, its first row of column names if given."""
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _cell(text: str) -> str:
    """A cell; only words that no column has room for, such as paths, may be broken."""
    long = any(len(word) > LONGEST for word in text.split())
    return f"<td{' class=long' if long else ''}>{escape(text)}</td>"


def pairs(values: Mapping[str, str]) -> str:
    """A table of names and values."""
    return table([(name, value) for name, value in values.items()])


def code(text: str) -> str:
    """Commands or code, as they are."""
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, content: str, *, unfolded: bool = False) -> str:
    """Content that opens on a click."""
    return f"<details{' open' if unfolded else ''}><summary>{escape(summary)}</summary>{content}</details>"
