"""One part of a store, on any machine: `genesis prepare SCANS STORE --part K/N`."""

import contextlib
import functools
import shutil
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.lease import held
from modelsgenesis.core.process_id import this_process
from modelsgenesis.core.words import many
from modelsgenesis.data.archives import is_archive
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.options import Part, PrepareOptions
from modelsgenesis.data.store.parts import (
    ARCHIVE,
    FOLDER,
    LIST,
    LISTING,
    read_list,
    read_summed,
    write_list,
    write_part,
)
from modelsgenesis.data.store.prepare import (
    begin,
    check,
    counted,
    each,
    find_scans,
    prepare_one,
)
from modelsgenesis.data.store.preparing import Settings, name_scan
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import SCANS
from modelsgenesis.data.store.writer import summed_up


def prepare_part(source: Path, into: Path, options: PrepareOptions) -> Path:
    """Do a part of a store, or list its scans for all parts; `commands.prepare` describes the arguments and errors."""
    check(source, into, options)
    if options.part is not None and options.list:
        raise DataError("--list makes the list for all parts, and --part does one of them; give one of the two")
    part = None if options.part is None else Part.parse(options.part)
    console = make_console(quiet=options.quiet)
    tell = teller("prepare", console)
    folder = into / FOLDER / ARCHIVE if is_archive(source) else source
    root = folder if folder.is_dir() or is_archive(source) else folder.parent
    with contextlib.ExitStack() as part_held:
        with held(into, LISTING, after=LISTING, tell=tell):
            settings = begin(into, options)
            (into / SCANS).mkdir(exist_ok=True)
            if options.list or not (into / FOLDER / LIST).is_file():
                _list_scans(source, into, root, options, settings, console)
            sources, num = read_list(into, part, root, options)
            if part is None:
                tell(f"{many(num, 'scan')} listed for --part")
                return into
            own = into / FOLDER / f"{part.number}-of-{part.of}.{this_process()}"
            part_held.enter_context(held(own, f"prepare --part {part}"))
        _refuse_absent(sources, source)
        results = _do(sources, into, own, settings, root, options, console)
    wrong = sum(isinstance(one, Problem) for _, one in results)
    tell(f"part {part}: {many(len(results) - wrong, 'scan')} in the store, {wrong} not prepared")
    return into


def _list_scans(
    source: Path, into: Path, root: Path, options: PrepareOptions, settings: Settings, console: Console
) -> None:
    """Look for the scans, and write the list."""
    shutil.rmtree(into / FOLDER / ARCHIVE, ignore_errors=True)  # of a process that was killed, or of before
    (into / FOLDER).mkdir(exist_ok=True)
    _, sources, _ = find_scans(source, into, into / FOLDER / ARCHIVE, options, settings, console)
    write_list(into, sources, root, options)


def _refuse_absent(sources: Iterable[Source], source: Path) -> None:
    """Refuse a folder that holds nothing of what is listed: it is another one, or is not mounted here."""
    first = None
    for one in sources:
        first = first or one
        if one.path.exists():
            return
    if first is not None:
        raise DataError(
            f"{source} holds none of the scans of this part, such as {first.path}; is it the folder that was listed, "
            "and is it mounted here?"
        )


def _do(
    sources: list[Source],
    into: Path,
    own: Path,
    settings: Settings,
    root: Path,
    options: PrepareOptions,
    console: Console,
) -> list[tuple[Source, Scan | Problem]]:
    """Prepare what is not there yet of a part's sources, and write down what became of all of them."""
    summed = read_summed(into)
    before = {name_scan(source, settings).id: _last_changed(source) for source in sources}
    do = functools.partial(prepare_one, into=into, settings=settings, root=root)
    tell = teller("prepare", console)
    results: list[tuple[Source, Scan | Problem]] = []
    changed: dict[str, int] = {}
    for source, one in counted(each(sources, into, settings, do, options, tell, {}), len(sources), console):
        if isinstance(one, Scan):
            one = summed_up(one, summed.get(one.id), into)
        elif (then := before[id_ := name_scan(source, settings).id]) and then == _last_changed(source):
            changed[id_] = then  # or it is away, with its disk perhaps: that is tried again
        results.append((source, one))
    write_part(own, results, changed, settings)
    return results


def _last_changed(source: Source) -> int | None:
    """When a source was last written; None where it is not there."""
    try:
        return source.last_changed
    except OSError:
        return None
