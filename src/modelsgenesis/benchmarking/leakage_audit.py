"""Whether pre-training saw the test cases: files, patients and voxels that it was trained on, held against them."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import FILE as MADE
from modelsgenesis.core.provenance import Provenance, is_unchanged, lineage, read_provenance
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.core.tables import read_rows, read_table, write_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.fingerprints import Fingerprint, Fingerprints, fingerprint_of
from modelsgenesis.data.intensity_statistics import fill_missing
from modelsgenesis.data.patient_names import PATIENTS, is_salted, keep_names, with_raw_patients
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.scan import hashed
from modelsgenesis.data.store.store import Store, find_salts
from modelsgenesis.pretraining.labelled_sets import SETS
from modelsgenesis.tasks.case_finder import with_modality
from modelsgenesis.tasks.case_tables import CASES
from modelsgenesis.training.run_folder import BEST, LAST
from modelsgenesis.weights.files import EXPORTED, OWN
from modelsgenesis.weights.registry import BOX

NO_CACHE = Cache(None, 500.0)
FILE = "audit.csv"
COLUMNS = ("arm", "case", "patient", "why", "allowed")
MOST_NAMED = 5  # hits in an error; the table has them all
NETWORKS = {  # that a stage writes into its folder; any other file there may come from anywhere
    "pretrain": (BEST, LAST), "finetune": (BEST, LAST), "weights recalibrate": (BEST,), "export": (OWN, EXPORTED),
}  # fmt: skip


Searched = dict[Path, tuple[list[tuple[Case, str]], tuple[str, ...]]]  # of stores: cases found, and what is lost


@dataclass(frozen=True)
class Hit:
    """A reason not to trust a comparison, such as a test case that a network has seen.

    Attributes:
        arm: whose pre-training it is about.
        case: of the test set; empty where nothing could be looked up.
        patient: of that case, raw; salted in audit.csv.
        why: what was found.
    """

    arm: str
    case: str
    patient: str
    why: str


@dataclass(frozen=True)
class _TrainedOn:
    """What a network was trained on: the scans of a store, or the cases of a fine-tuning.

    Attributes:
        where: in words.
        hashes: of the files.
        knows: whether one is of the patient of a case, of whom this is an image.
        fingerprints: of the images.
        lost: what of it cannot be looked up.
    """

    where: str
    hashes: set[str]
    knows: Callable[[Case, Source], bool]
    fingerprints: Fingerprints
    lost: tuple[str, ...] = ()

    def search(self, cases: Sequence[Case]) -> Iterator[tuple[Case, str]]:
        """Find the test cases among these images, each with the reason."""
        for case in cases:
            for source in case.images:
                try:
                    why = self._why(case, source)
                except UnreadableError as error:
                    why = f"its image cannot be read ({error.problem}), so nobody can know whether it is {self.where}"
                if why:
                    yield case, why

    def _why(self, case: Case, source: Source) -> str:
        if _hash_of(source) in self.hashes:
            return f"the file is {self.where}"
        if self.knows(case, source):
            return f"its patient is {self.where}"
        return (
            f"the same voxels, saved anew, are {self.where}"
            if self.fingerprints.hold(_fingerprint_of(source.whole()))
            else ""
        )


def audit(
    arm: str, start: Path, cases: Sequence[Case], cache: Cache = NO_CACHE, searched: Searched | None = None
) -> list[Hit]:
    """Look for test cases among what a network was trained on.

    Args:
        arm: the name of the start.
        start: a run, or a weights file.
        cases: of the test set.
        cache: for stores that the lineage names by URL; without one they count as gone.
        searched: kept from arm to arm of the same cases, so that each store is searched once; filled here.
    Returns:
        What was found; also where the lineage leads nowhere, so that something could not be looked up.
    """
    hits: list[Hit] = []
    doubts, searched = _doubts_of(cases), {} if searched is None else searched
    looked: set[Path] = set()
    waiting: list[tuple[str | Path, str, str]] = [
        (start, "", "")
    ]  # what to look at, the verb of the stage that used it, and its fingerprint then
    while waiting:
        named, used_by, was = waiting.pop(0)
        try:
            place = here(named, cache)
        except DataError as error:
            doubts.append(str(error))
            continue
        home = place if place.is_dir() else place.parent
        if home == BOX:
            hits += [Hit(arm, case.id, case.patient, why) for case, why in _scans_listed(place).search(cases)]
            continue
        made = _provenance_of(place)
        if made is None:
            unknown = f"no provenance says what {place if used_by else 'it'} was pre-trained on"
            doubts.append(f"its store {place} is no longer there" if used_by == "pretrain" else unknown)
            continue
        if used_by and not is_unchanged(place, was):
            doubts.append(f"{place} was made anew after genesis {used_by} had used it")
        if home in looked:
            continue
        looked.add(home)
        sets = sorted(path.parent for path in home.glob(f"{SETS}/*/{CASES}")) if made.verb == "pretrain" else []
        waiting += [(name, made.verb, hash_) for name, hash_ in _origins(made, bool(sets)).items()]
        for place in [home] if made.verb in ("prepare", "finetune") else sets:
            if place not in searched:
                trained_on = _scans_of(place) if made.verb == "prepare" else _cases_of(place)
                searched[place] = list(trained_on.search(cases)), trained_on.lost
            found, lost = searched[place]
            hits += [Hit(arm, case.id, case.patient, why) for case, why in found]
            doubts += lost
    hits += [Hit(arm, "", "", f"{why}, so nobody can know whether it saw the test cases") for why in doubts]
    return list(dict.fromkeys(hits))  # a case of several channels has the same reason several times


def _doubts_of(cases: Sequence[Case]) -> list[str]:
    """What cannot be looked up of the test cases: patients of whom only a salted name is known."""
    unknown = [case for case in cases if all(is_salted(_patient_of(case, source)) for source in case.images)]
    what = (
        f"the table of {many(len(unknown), 'test case')} is without its {PATIENTS}, so that their patients are unknown"
    )
    return [what] if unknown else []


def stop_at(hits: Sequence[Hit], into: Path, *, arms: Sequence[str], allow: Sequence[str]) -> None:
    """Write down what the audit found, if only that it is nothing, and refuse to go on with what is not allowed.

    Args:
        hits: of these arms.
        arms: that were looked at now; what is written there of others stays.
        into: the folder that gets audit.csv.
        allow: arms whose hits are no reason to stop.
    Raises:
        DataError: there is such a hit.
    """
    before = read_rows(into / FILE) if (into / FILE).is_file() else []
    names = keep_names(into, [(hit.patient, hit.case) for hit in hits])
    salted = [replace(hit, patient=names.salted(hit.patient, hit.case)) for hit in hits]
    rows = [{**vars(hit), "allowed": "yes" if hit.arm in allow else "no"} for hit in salted]
    write_table(into / FILE, COLUMNS, [row for row in before if row["arm"] not in arms] + rows)
    wrong = [hit for hit in hits if hit.arm not in allow]
    if wrong:
        some = "; ".join(f"{hit.arm}: {hit.case + ': ' if hit.case else ''}{hit.why}" for hit in wrong[:MOST_NAMED])
        more = "" if len(wrong) <= MOST_NAMED else f"; and {len(wrong) - MOST_NAMED} more"
        raise DataError(
            f"{many(len(wrong), 'reason')} not to trust this comparison, listed in {into / FILE}: {some}{more}. "
            f"Pre-train without the test patients, or name the arm with --allow {wrong[0].arm}"
        )


def _provenance_of(place: Path) -> Provenance | None:
    """Read the provenance of a folder, or of a weights file's folder if its stage writes a file of this name."""
    chain = lineage(place if place.is_dir() else place.parent)
    made = chain[0][1] if chain else None
    own = made is not None and (place.is_dir() or place.name in NETWORKS.get(made.verb, ()))
    return made if own else None


def _origins(made: Provenance, labelled: bool) -> dict[str, str]:
    """The inputs that a network was trained on before; not the labelled cases, which the run's folder lists."""
    skipped = {"prepare": None, "finetune": 1}.get(made.verb, int(labelled))
    return {} if skipped is None else dict(list(made.inputs.items())[skipped:])


def _scans_of(path: Path) -> _TrainedOn:
    """The hashes and fingerprints of a store's scans."""
    store = Store.open(path)
    salts, why = find_salts(path)
    hashes = {scan.sha256 for scan in store.scans}
    patients = _patients_in(store, hashes)
    known = [Fingerprint.read(scan.fingerprint) for scan in store.scans if scan.fingerprint]
    unknown = len(store.scans) - len(known)
    lost = [f"{path} holds {many(unknown, 'scan')} without a fingerprint, such as official cubes"] if unknown else []
    lost += [f"{why}, so that nothing is found by patient"] if why else []
    return _TrainedOn(
        where=f"in the store {path}",
        hashes=hashes,
        knows=lambda case, source: any(
            hashed(salt, "patient", _patient_of(case, source)) in patients for salt in salts
        ),
        fingerprints=Fingerprints(known),
        lost=tuple(lost),
    )


def _patients_in(store: Store, hashes: set[str]) -> set[str]:
    """The patients of the scans with these hashes, by every name: joined stores keep one of a patient's two."""
    patients = {scan.patient for scan in store.scans if scan.sha256 in hashes}
    places = [Path(place) for place in read_provenance(store.path, "prepare").inputs] if store.is_joined else []
    there = [Store.open(place) for place in places if (place / MADE).is_file()]
    return patients.union(*(_patients_in(one, hashes) for one in there))


def _scans_listed(weights: Path) -> _TrainedOn:
    """The hashes and fingerprints of the scans that weights of the package learned from, as listed beside them."""
    rows = read_rows(weights.with_suffix(".csv"))
    return _TrainedOn(
        where=f"among the scans that {weights.stem} learned from",
        hashes={row["sha256"] for row in rows},
        knows=lambda case, source: False,  # its patients have no names that others would use
        fingerprints=Fingerprints([Fingerprint.read(row["print"]) for row in rows]),
    )


def _cases_of(path: Path) -> _TrainedOn:
    """The hashes and fingerprints of the cases that a run was fine-tuned on; its own table names them."""
    rows, columns = read_table(path / CASES) if (path / CASES).is_file() else ([], [])
    rows = with_raw_patients([row for row in rows if row["role"] in ("train", "val")], path)
    hashes, fingerprints, gone = set(), [], []
    for row in rows:
        try:
            for column in columns:
                if column == "image" or column.startswith("image_"):
                    source = with_modality(one_source(Path(row[column]), path), row["modality"])
                    hashes.add(_hash_of(source))
                    fingerprints.append(_fingerprint_of(source.whole()))
        except UnreadableError:
            gone.append(row["id"])
    patients = {row["patient"] for row in rows}  # raw, or salted by the same salt as those of the test cases
    named = {row["patient"] for row in rows if row["patient"] != row["id"]}  # others are called after their case
    lost = [] if rows else [f"{path / CASES} names no case"]
    if any(map(is_salted, patients)):
        lost.append(f"{path} is without its {PATIENTS}, so that nothing is found by patient")
    lost += (
        [f"{len(gone)} of the {many(len(rows), 'case')} of {path / CASES} are no longer there, {gone[0]} first"]
        if gone
        else []
    )
    return _TrainedOn(
        where=f"among the cases of {path}",
        hashes=hashes,
        knows=lambda case, source: (
            not patients.isdisjoint({case.patient, _patient_of(case, source)})
            if case.patient != case.id
            else case.patient in named
        ),
        fingerprints=Fingerprints(fingerprints),
        lost=tuple(lost),
    )


def _patient_of(case: Case, source: Source) -> str:
    """The raw name of a case's patient; of one whom a table names by a salted name, the header's, if it has one."""
    known = source.patient if source.patient != source.series else ""
    return (known or case.patient) if is_salted(case.patient) else case.patient or source.patient


def _hash_of(source: Source) -> str:
    """The identity of a scan: the hash of its bytes, read once for all boxes and volumes of a file."""
    scan = source.whole()
    return _hash_of_scan(scan if scan.array else replace(scan, index=None))


@functools.cache
def _hash_of_scan(scan: Source) -> str:
    return scan.format.content_hash(scan)


@functools.cache
def _fingerprint_of(scan: Source) -> Fingerprint:
    return fingerprint_of(fill_missing(read_volume(scan).values)[0])
