"""Whether the files of a store are still what was written: every byte, by the checksums in the manifest."""

import functools
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from modelsgenesis.core.errors import DataError, refusal
from modelsgenesis.core.files import sha256
from modelsgenesis.core.process_pool import usable_cores, work_through
from modelsgenesis.core.remote import is_here
from modelsgenesis.core.words import many
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store, lost_behind, scan_file

MOST_BYTES = 8 * 2**30  # read by a background check: some ten seconds of a core


def damage_of(scan: Scan, store: Store) -> str:
    """What is wrong with the file of a scan, in words; "" where it is as it was written, or has no checksum."""
    file = scan_file(store.path, scan.id)
    try:
        if not scan.stored_sha256 or sha256(file) == scan.stored_sha256:
            return ""
    except OSError as error:
        return f"{file}: {lost_behind(file) or refusal(error) or f'cannot be read ({error.strerror or error})'}"
    return f"{file}: is not what was written; delete it and run genesis prepare again"


def find_damage(
    store: Store, *, workers: int | None = None, progress: Callable[[int], None] = lambda done: None
) -> list[str]:
    """Compare every file of a store with its checksum.

    Args:
        store: to be looked through.
        workers: processes that read; by default one a core, 0 works in this one.
        progress: called with the number of scans looked at.
    Returns:
        What is wrong, a line a scan, in the order of the manifest.
    """
    found = {}
    do = functools.partial(damage_of, store=Store(store.path, []))
    num = usable_cores() if workers is None else workers
    for number, (scan, wrong) in enumerate(work_through(do, store.scans, num), start=1):
        found[scan.id] = f"{scan_file(store.path, scan.id)}: the process that read it died" if wrong is None else wrong
        progress(number)
    return [found[scan.id] for scan in store.scans if found[scan.id]]


class BackgroundCheck:
    """A look at a store's files beside the first steps of a run; of a large store, at as many as MOST_BYTES hold.

    Which ones is drawn anew at each start, so that a run that is stopped and goes on sees others.

    Args:
        store: that is trained on.
        scans: of it, that the run reads.
    """

    def __init__(self, store: Store, scans: Sequence[Scan]) -> None:
        self.store = store
        self.chosen = list(_within(MOST_BYTES, store, scans))
        self._wrong: list[str] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        for scan in self.chosen:
            if wrong := damage_of(scan, self.store):
                self._wrong.append(wrong)

    def raise_if_damaged(self, *, wait: bool = False) -> None:
        """Raise what was found so far.

        Args:
            wait: until all is looked at.
        Raises:
            DataError: a file is not what was written; it names all that were found.
        """
        if wait:
            self._thread.join()
        if self._wrong:
            raise DataError("\n".join(self._wrong))

    def in_words(self, num_scans: int) -> str:
        """How much is looked at; "" where it is everything.

        Args:
            num_scans: that the run reads.
        """
        if len(self.chosen) == num_scans:
            return ""
        return (
            f"the checksums of {len(self.chosen)} of {many(num_scans, 'scan')} are compared while the run begins; "
            f"those of all: genesis inspect {self.store.path} --verify"
        )


def _within(most_bytes: int, store: Store, scans: Sequence[Scan]) -> Iterable[Scan]:
    """Scans with a checksum in random order, as many as hold so many bytes; at least one."""
    held = 0
    for number in np.random.default_rng().permutation(len(scans)):
        scan = scans[int(number)]
        if held >= most_bytes:
            return
        file = scan_file(store.path, scan.id)
        if scan.stored_sha256 and is_here(file):  # another is compared when it comes
            held += file.stat().st_size if file.is_file() else 0
            yield scan
