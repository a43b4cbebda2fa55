"""One store of the scans of several: `genesis prepare --join STORE STORE INTO`; no voxel is copied."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import reason, sha256
from modelsgenesis.core.lease import held
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, fingerprint, read_provenance, write_provenance
from modelsgenesis.core.words import many
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.store.columns import Columns, Scans
from modelsgenesis.data.store.manifest import write_manifest
from modelsgenesis.data.store.scan import hashed
from modelsgenesis.data.store.slicing import PREFIX, UNSALTED
from modelsgenesis.data.store.store import SALT, SCANS, Store, find_salt, scan_file
from modelsgenesis.data.store.where import select
from modelsgenesis.data.store.writer import begin_store, has_provenance, stored_ids, write_problems

ALIKE = ("spacing_mm", "longest_side", "voi", "crop_borders")  # settings that all stores must share, with PREFIX's
# Another file system, one without hard links, a file of another user, or too many links to it.
UNLINKED = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
Rows = NDArray[np.intp]


def join_stores(stores: Sequence[Path], into: Path, where: str | None = None, *, quiet: bool = False) -> Path:
    """Make a store of the scans of several stores, or of those of one that a condition holds for.

    Files are hard links, which outlive the stores they come from, or, where the file system has none or is another,
    symbolic links by absolute paths, which do not. A scan that is in two stores (the same file, by its checksum) is
    taken once, of the store named first. A patient is in one fold: where stores of different salts give one patient
    two names, and a scan that both hold shows it, the patient has the first name.

    Args:
        stores: finished stores, of volumes or of pictures, prepared alike.
        into: the folder of the new one; joined again after a store grew, it goes on.
        where: a condition, as `select` takes it; by default all scans.
        quiet: nothing is printed.
    Raises:
        DataError: the stores do not fit together, none of their scans is left, or the folder cannot be written.
    """
    tell = teller("prepare", make_console(quiet=quiet))
    opened = [Store.open(path) for path in _distinct(stores, into)]
    settings = {"join": True, "where": where, **_alike(opened)}
    salt, doubt = _common_salt(opened)
    begin_store(into, settings, salt or UNSALTED)
    with held(into, "prepare"):
        _refuse_forgotten(stores, into)
        (into / SCANS).mkdir(exist_ok=True)
        pool = _Pool(opened)
        scans, kept = pool.joined(where)
        if not len(scans):
            raise DataError(f"--where {where!r} holds for none of the {many(len(pool.fresh), 'scan')}; nothing is left")
        for gone in set(stored_ids(into)) - {f"{id_:016x}" for id_ in scans.column("id").tolist()}:
            scan_file(into, gone).unlink()
        num_soft = sum(_link(old, scan_file(into, new)) for old, new in pool.files(scans, kept))
        write_problems(into, pool.copies())
        manifest = write_manifest(into, scans)
        asked = {GIVEN_OPTIONS: {name: settings[name] for name in ("join", "where") if settings[name]}}
        arguments = {**settings, **asked, "scans": len(scans), "manifest_sha256": sha256(manifest)}
        inputs = {str(store.path): fingerprint(store.path) for store in opened}
        if not has_provenance(into, arguments) or read_provenance(into, "prepare").inputs != inputs:
            write_provenance(into, "prepare", arguments, inputs=[store.path for store in opened])
    if salt is None:
        (into / SALT).unlink(missing_ok=True)
    for line in (doubt, *pool.in_words(len(scans), num_soft)):
        if line:
            tell(line)
    return into


def _distinct(stores: Sequence[Path], into: Path) -> Sequence[Path]:
    """The stores, if none is named twice, or is the new one."""
    places = [path.resolve() for path in stores]
    for path, place in zip(stores, places, strict=True):
        if place == into.resolve():
            raise DataError(f"{path} cannot be joined to itself; name another folder for the joined store, last of all")
        if places.count(place) > 1:
            raise DataError(f"{path} is named twice; name each store once")
    return stores


def _alike(stores: Sequence[Store]) -> dict[str, Any]:
    """The settings of the stores that decide what their voxels are.

    Raises:
        DataError: they differ, or some stores hold volumes and some pictures.
    """
    first = stores[0]
    made = [read_provenance(store.path, "prepare").arguments for store in stores]
    sliced = sorted({name for one in made for name in one if name.startswith(PREFIX)})
    for store, one in zip(stores, made, strict=True):
        if store.axes != first.axes:
            kinds = {3: "volumes", 2: "pictures"}
            raise DataError(
                f"{first.path} holds {kinds[first.axes]} and {store.path} {kinds[store.axes]}, which do not join"
            )
        for name in (*ALIKE, *sliced):
            if one.get(name) != made[0].get(name):
                raise DataError(
                    f"{first.path} was prepared with {name} = {made[0].get(name)} and {store.path} with "
                    f"{one.get(name)}; only stores that were prepared alike are joined: prepare one of them again"
                )
    return {name: made[0].get(name) for name in (*ALIKE, *sliced) if made[0].get(name) is not None}


def _common_salt(stores: Sequence[Store]) -> tuple[str | None, str]:
    """The salt that all stores have; else None, and what follows from that."""
    salts = [find_salt(store.path)[0] for store in stores]
    if len(stores) == 1 or (salts[0] is not None and len(set(salts)) == 1):
        return salts[0], ""
    why = "the salt of a store is gone" if None in salts else f"the stores have {len(set(salts))} salts"
    return None, (
        f"{why}: a patient who is in two of them may go by two names, and be trained on and held out at once, unless a "
        "scan that both hold shows it. Prepare the stores with one --salt if they share patients"
    )


def _refuse_forgotten(stores: Sequence[Path], into: Path) -> None:
    """Refuse to join again without a store whose scans are there: theirs may be the last links to them."""
    if not (into / PROVENANCE).is_file():
        return
    named = {path.resolve() for path in stores}
    for place in read_provenance(into, "prepare").inputs:
        if Path(place).resolve() not in named:
            raise DataError(f"{into} was joined from {place} too; name that again, or choose another folder")


class _Pool:
    """The scans of several stores, one store after the other.

    Args:
        stores: that are joined.
    Attributes:
        scans: all of them.
        of_store: (N,), the number of each one's store.
        first: (N,), the row of the same scan in the first store that holds it; its own, mostly.
        fresh: the rows that are taken.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores
        self.scans = Scans.joined([store.scans for store in stores])
        self.of_store: Rows = np.repeat(np.arange(len(stores)), [len(store.scans) for store in stores])
        self.first = self._firsts()
        self.fresh: Rows = np.flatnonzero(self.first == np.arange(len(self.scans)))
        self.leader = self._leaders()

    def _firsts(self) -> Rows:
        """Which row each scan is a copy of; scans of one store are never copies, such as the volumes of a 4D file."""
        seen: dict[tuple[str, str], int] = {}
        first = np.arange(len(self.scans))
        for row, name in enumerate(zip(self.scans.texts("sha256"), self.scans.texts("fingerprint"), strict=True)):
            owner = seen.setdefault(name, row)
            if self.of_store[owner] != self.of_store[row]:
                first[row] = owner
        return first

    def _leaders(self) -> Rows:
        """The first row of each scan's patient; two names are one patient's if a scan goes by both."""
        from scipy.sparse import coo_array  # here: only joining needs it
        from scipy.sparse.csgraph import connected_components

        names, of_row = np.unique(self.scans.column("patient"), return_inverse=True)
        copies = np.flatnonzero(self.first != np.arange(len(self.first)))
        shown = (np.ones(len(copies), np.int8), (of_row[copies], of_row[self.first[copies]]))
        group = connected_components(coo_array(shown, shape=(len(names), len(names))), directed=False)[1][of_row]
        leaders: Rows = np.unique(group, return_index=True)[1][group]
        return leaders

    def joined(self, where: str | None) -> tuple[Scans, Rows]:
        """The scans of the new store, and the row of each here."""
        own = self.scans
        sites = np.array([int(hashed("", "site", str(store.path)), 16) for store in self.stores], np.uint64)
        site = np.where(own.column("site") == 0, sites[self.of_store], own.column("site"))
        of_patients = {name: own.column(name)[self.leader] for name in ("patient", "fold")}
        numbers = {**own.columns.numbers, **of_patients, "site": site, "id": self._ids()}
        scans = Scans(Columns(numbers, own.columns.texts)).where(self.first == np.arange(len(own)))
        rows = self.fresh
        if where is not None:
            chosen = select(scans, where)
            scans, rows = scans.where(chosen), rows[chosen]
        return scans, rows

    def _ids(self) -> NDArray[np.uint64]:
        """Ids, new ones for scans that are called as another of an earlier store: files of one name, and one salt."""
        ids: NDArray[np.uint64] = self.scans.column("id").copy()
        earlier = np.unique(ids[self.fresh], return_index=True)[1]
        for row in np.delete(self.fresh, earlier).tolist():
            content = f"{ids[row]:016x} {self.scans.columns.texts['sha256'](row)}"
            ids[row] = int(hashed("", "scan", content), 16)
        return ids

    def files(self, scans: Scans, rows: Rows) -> Iterator[tuple[Path, str]]:
        """The file of each scan of the new store in its own store, and its id in the new one."""
        before = self.scans.column("id")
        for row, new in zip(rows.tolist(), scans.column("id").tolist(), strict=True):
            yield scan_file(self.stores[self.of_store[row]].path, f"{before[row]:016x}"), f"{new:016x}"

    def copies(self) -> Iterator[Problem]:
        """The scans that are not taken, since an earlier store holds them."""
        for row in np.flatnonzero(self.first != np.arange(len(self.first))).tolist():
            store, holder = (self.stores[self.of_store[one]].path for one in (row, self.first[row]))
            path = scan_file(store, f"{self.scans.column('id')[row]:016x}")
            yield Problem(path, f"the same scan is in {holder}", "nothing: it was taken from there", "warning")

    def in_words(self, num: int, num_soft: int) -> list[str]:
        """What the user should know: how many scans, by which links, and of whose patients the fold has changed."""
        changed = self.scans.column("fold") != self.scans.column("fold")[self.leader]
        moved = len(np.unique(self.leader[changed]))
        copies = len(self.scans) - len(self.fresh)
        lines = [f"{many(moved, 'patient')} of several folds: each is in the fold of the store named first now"]
        lines = lines if moved else []
        lines.append(f"{many(num, 'scan')} of {many(len(self.stores), 'store')}, by {_links_in_words(num, num_soft)}")
        return [*lines[:-1], lines[-1] + (f"; {copies} that several stores hold taken once" if copies else "")]


def _links_in_words(num: int, num_soft: int) -> str:
    hard = "hard links, which outlive the stores they come from"
    soft = "symbolic links, which lead nowhere once the stores they come from are deleted or moved"
    if not num_soft:
        return hard
    return soft if num_soft == num else f"{num - num_soft} {hard}, and {num_soft} {soft}"


def _link(file: Path, link: Path) -> bool:
    """Let a link lead to a file, a hard one where that can be; return whether it is a symbolic one."""
    file = file.resolve()  # the file itself, where the store was joined too
    try:
        if link.exists() and link.samefile(file):
            return link.is_symlink()
        link.unlink(missing_ok=True)
        file.stat()  # or a symbolic link would lead nowhere
        try:
            os.link(file, link)
        except OSError as error:
            if error.errno not in UNLINKED:
                raise
            link.symlink_to(file)
            return True
    except OSError as error:
        raise DataError(f"{error.filename or link}: could not be linked ({reason(error)})") from error
    return False
