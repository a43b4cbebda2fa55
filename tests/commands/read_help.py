"""What `genesis VERB --help` prints, as data."""

import re

ENTRY = re.compile(r"^(?:│ |  )(--[a-z][a-z0-9-]*|[A-Z]{2,}\b)")
DEFAULT = re.compile(r"\((?:default: (.*?)|(required))\)$")


def flags_of(text: str) -> dict[str, str]:
    """The words and flags of a help text, each with its default as it is printed."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        words = line.strip("│ ").strip()
        if not words or not line.startswith(("│", " ")):  # with a frame on a terminal, without one elsewhere
            name = ""
        elif found := ENTRY.match(line):
            name = found[1]
            entries[name] = words
        elif name:
            entries[name] += f" {words}"
    return {flag: _default(entry) for flag, entry in entries.items()}


def _default(entry: str) -> str:
    found = DEFAULT.search(entry)
    return (found[1] or found[2] or "") if found else ""  # nothing is said of a default that is nothing
