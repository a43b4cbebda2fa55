"""Scans that are there twice: under one id, or byte for byte."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from modelsgenesis.data.problems import Problem
from modelsgenesis.data.sources import Source

PEEK_BYTES = 2**16


def drop_duplicates(sources: list[Source]) -> tuple[list[Source], list[Problem]]:
    """Keep the first of each; a copy that counts as another patient would be in training and validation at once.

    Files are compared only where their sizes are equal, and wholly only where their ends are.

    Args:
        sources: in the order of preference.
    Returns:
        Those kept, and a problem for each of the others.
    """
    problems: list[Problem] = []
    first: dict[str, Source] = {}
    for source in sources:
        if source.series in first:
            what = f"two scans with one id: the other is {first[source.series].path}"
            problems.append(Problem(source.path, what, "remove one of them, or a row of the CSV"))
        else:
            first[source.series] = source
    alike = _alike([list(first.values())], lambda source: source.num_bytes)
    alike = _alike(_alike(alike, _peek), lambda source: source.format.content_hash(source))
    dropped = set()
    for original, *copies in alike:
        for copy in copies:
            dropped.add(copy.series)
            what = f"byte for byte the same as {original.path}"
            problems.append(Problem(copy.path, what, "remove one of them: only that one counts"))
    return [source for series, source in first.items() if series not in dropped], problems


def _alike(groups: Iterable[list[Source]], key: Callable[[Source], Hashable]) -> list[list[Source]]:
    """Split groups further by a key; those of a single source are left out."""
    alike: list[list[Source]] = []
    for group in groups:
        by_key: dict[Hashable, list[Source]] = defaultdict(list)
        for source in group:
            by_key[key(source)].append(source)
        alike.extend(members for members in by_key.values() if len(members) > 1)
    return alike


def _peek(source: Source) -> bytes:
    return b"".join(_hash_end(path) for path in source.files[:1] + source.files[-1:])


def _hash_end(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(-min(PEEK_BYTES, path.stat().st_size), 2)
        return hashlib.sha256(file.read()).digest()
