"""Probes: what is planted in vectors is found, what is not is not, by every head and for every kind of label."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.radiographs import write_picture

import modelsgenesis as mg
from modelsgenesis.benchmarking.choices import vectors_of
from modelsgenesis.benchmarking.probe_heads import Head, probe
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.labels import Label
from modelsgenesis.core.lease import held
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.embedding.table import RECORDS, VECTORS, read_embeddings, write_embeddings
from modelsgenesis.finetuning.finetune import read_task
from modelsgenesis.finetuning.options import FineTuneOptions
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.targets.regression import Regression

NUM = 60
IDS = [f"case{number:02d}" for number in range(NUM)]
TRUE = [number % 3 == 0 for number in range(NUM)]
few = functools.partial(mg.probe, seeds=4, cases=("12", "all"))


def write_vectors(
    folder: Path,
    pictures: Path,
    vectors: np.ndarray,
    network: str = "raw",
    ids: Sequence[str] = IDS,
    files: Sequence[str] = [f"{id_}.png" for id_ in IDS],
) -> Path:
    """Write a finished folder of `genesis embed`."""
    (folder / VECTORS).mkdir(parents=True)
    records = []
    for id_, file, vector in zip(ids, files, vectors.astype(np.float32), strict=True):
        np.save(folder / VECTORS / f"{id_}.npy", vector)
        records.append({"id": id_, "image": str((pictures / file).resolve()), "regions": [""]})
        write_json(folder / RECORDS / f"{id_}.json", records[-1])
    write_embeddings(folder, records)
    write_provenance(folder, "embed", {"network": network}, inputs=[Path(network)])
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 60 cases, their labels, vectors that know the label and vectors that know nothing."""
    folder, rng = tmp_path_factory.mktemp("probe"), np.random.default_rng(0)
    for id_ in IDS:
        write_picture(folder / "images" / f"{id_}.png", rng.integers(0, 255, (8, 8), np.uint8))
    noise = rng.standard_normal((NUM, 6))
    planted = noise.copy()
    planted[:, 2] += 8 * np.array(TRUE)
    write_vectors(folder / "planted", folder / "images", planted, "like:small-2d")
    write_vectors(folder / "noise", folder / "images", rng.standard_normal((NUM, 6)))
    rows = [
        {"image": f"images/{id_}.png", "label": "ill" if true else "well", "sex": "FM"[number % 2], "id": id_}
        for number, (id_, true) in enumerate(zip(IDS, TRUE, strict=True))
    ]
    write_table(folder / "labels.csv", ["image", "label", "sex"], [{**row} | {} for row in _without(rows, "id")])
    write_table(folder / "ids.csv", ["id", "label"], [{"id": row["id"], "label": row["label"]} for row in rows])
    return folder


def _without(rows: list[dict[str, str]], column: str) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


def scores(out: Path, arm: str, cases: str) -> list[float]:
    """The values of an arm's runs with a number of cases."""
    rows = read_rows(out / "runs.csv")
    return [float(row["value"]) for row in rows if (row["arm"], row["cases"]) == (arm, cases)]


def test_planted_feature_gives_an_auc_of_1_and_noise_one_half(made: Path, tmp_path: Path) -> None:
    """A whole probe: runs, groups, audit, statistics and page; the same command gives the same bytes."""
    run = functools.partial(few, made / "planted", made / "labels.csv", with_=(f"noise={made / 'noise'}",))
    out = run(tmp_path / "out", groups=("sex",), reference="noise")
    assert scores(out, "planted", "12") == [1.0] * 4
    assert scores(out, "planted", "48") == [1.0]
    assert abs(np.mean(scores(out, "noise", "12")) - 0.5) < 0.25
    assert list(read_rows(out / "runs.csv")[0]) == ["task", "arm", "cases", "seed", "metric", "value"]
    groups = read_rows(out / "groups.csv")
    assert {row["group"] for row in groups} == {"F", "M"}
    assert {row["value"] for row in groups if row["arm"] == "planted"} == {"1"}
    assert sum(int(row["n"]) for row in groups if (row["arm"], row["seed"], row["cases"]) == ("noise", "0", "12")) == 12
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Each arm against noise" in page
    assert "Within groups" in page
    (compared,) = read_rows(out / "comparisons.csv")
    assert (compared["arm"], compared["reference"], compared["cases"]) == ("planted", "noise", "12")
    assert float(compared["difference"]) > 0.25
    assert list(read_provenance(out, "probe").inputs)[:2] == [str(made / "planted"), str(made / "noise")]
    before = {path.name: path.read_bytes() for path in out.glob("*.*")}
    with pytest.raises(DataError, match="is a probe, which writes its page itself"):
        mg.report(out)
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == before
    again = run(tmp_path / "again", groups=("sex",), reference="noise")
    assert (again / "runs.csv").read_bytes() == (out / "runs.csv").read_bytes()


def test_table_may_name_scans_by_the_ids_of_the_embeddings(made: Path, tmp_path: Path) -> None:
    """Without a column of images; several heads are arms each; a network at random is the reference by default."""
    out = few(made / "planted", made / "ids.csv", tmp_path / "out", head=("linear", "knn", "few-shot"), seeds=2)
    arms = ("planted-linear", "planted-knn", "planted-few-shot")
    assert {row["arm"] for row in read_rows(out / "runs.csv")} == set(arms)
    assert all(min(scores(out, arm, "48")) > 0.99 for arm in arms)
    assert read_rows(out / "failures.csv") == []
    rows = [*read_rows(made / "ids.csv"), {"id": "no-scan", "label": "ill"}]
    write_table(tmp_path / "more.csv", ("id", "label"), rows)
    (line,) = read_rows(few(made / "planted", tmp_path / "more.csv", tmp_path / "more", seeds=1) / "failures.csv")
    assert line["problem"] == f"no vector in {made / 'planted'} is called 'no-scan'"


def test_files_of_one_name_in_two_folders_are_told_apart(made: Path, tmp_path: Path) -> None:
    """Groups are those of a case's own file, and a vector of one site is never that of the other site's case."""
    rows, ids = [], []
    for number, true in enumerate(TRUE[:40]):
        site, name = f"site{number % 2}", f"{number // 2:02d}"
        write_picture(tmp_path / site / f"{name}.png", np.full((8, 8), number, np.uint8))
        rows.append({"image": f"{site}/{name}.png", "label": "ill" if true else "well", "site": site})
        ids.append(f"{site}_{name}")
    write_table(tmp_path / "labels.csv", ["image", "label", "site"], rows)
    vectors = np.random.default_rng(0).standard_normal((40, 3)) + 9 * np.array(TRUE[:40])[:, None]
    both = write_vectors(tmp_path / "both", tmp_path, vectors, ids=ids, files=[row["image"] for row in rows])
    out = few(both, tmp_path / "labels.csv", tmp_path / "out", groups=("site",), seeds=1, cases=("all",), test=0.5)
    tested = {row["group"]: int(row["n"]) for row in read_rows(out / "groups.csv")}
    assert sorted(tested) == ["site0", "site1"]
    assert sum(tested.values()) == 20
    few(both, tmp_path / "labels.csv", out, seeds=1, cases=("all",))
    assert not (out / "groups.csv").exists()  # of the probe before
    names = [f"{number:02d}" for number in range(20)]
    one = write_vectors(
        tmp_path / "one", tmp_path / "site1", vectors[1::2], ids=names, files=[f"{n}.png" for n in names]
    )
    found = vectors_of(read_embeddings(one), read_task(tmp_path / "labels.csv", FineTuneOptions()).cases)
    assert sorted(found) == [f"site1_{name}" for name in names]
    write_vectors(
        tmp_path / "alien", tmp_path / "elsewhere", vectors[:20], ids=names, files=[f"{n}.png" for n in names]
    )
    with pytest.raises(DataError, match="none of the 40 labelled cases has a vector in all arms"):
        few(tmp_path / "alien", tmp_path / "labels.csv", tmp_path / "none")


def test_tables_of_an_earlier_probe_do_not_stay(made: Path, tmp_path: Path) -> None:
    """One arm is compared with none: what was compared before in the folder goes; a wrong reference stops at once."""
    several = few(made / "planted", made / "labels.csv", tmp_path / "out", with_=(f"noise={made / 'noise'}",), seeds=2)
    assert read_rows(several / "comparisons.csv")
    few(made / "planted", made / "labels.csv", several, seeds=1)
    assert not (several / "comparisons.csv").exists()
    assert not (several / "savings.csv").exists()
    with pytest.raises(DataError, match="--reference nose: no such arm; there are planted"):
        few(made / "planted", made / "labels.csv", several, reference="nose")


def test_network_of_unknown_scans_stops_a_probe_unless_allowed(made: Path, tmp_path: Path) -> None:
    """As it stops a benchmark: nobody can know whether it saw the test cases."""
    vectors = np.random.default_rng(1).standard_normal((NUM, 3))
    write_vectors(tmp_path / "other", made / "images", vectors, str(tmp_path / "net.safetensors"))
    with pytest.raises(DataError, match="nobody can know whether it saw the test cases"):
        few(tmp_path / "other", made / "labels.csv", tmp_path / "out")
    few(tmp_path / "other", made / "labels.csv", tmp_path / "out", allow=("other",))


def test_arguments_in_the_wrong_order_are_refused(made: Path, tmp_path: Path) -> None:
    """And embeddings of which no case is labelled, with a case and a vector named."""
    with pytest.raises(DataError, match="order is genesis probe"):
        few(made / "labels.csv", made / "planted", tmp_path / "out")
    with pytest.raises(DataError, match="holds embeddings, not labels"):
        few(made / "planted", made / "noise", tmp_path / "out")
    with pytest.raises(DataError, match="write NAME=EMBEDDINGS"):
        few(made / "planted", made / "labels.csv", tmp_path / "out", with_=(str(made / "noise"),))


def planted(values: np.ndarray, train: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Vectors of which the first ones are the values, in training and test parts, and patients."""
    rng = np.random.default_rng(3)
    vectors = np.concatenate([5 * values, rng.standard_normal((len(values), 4))], axis=1) + 100
    patients = [f"p{number // 2}" for number in range(train)]
    return vectors[:train], values[:train], vectors[train:], values[train:], patients


@pytest.mark.parametrize("head", ["linear", "knn", "few-shot"])
def test_heads_tell_three_classes_and_labels_apart(head: Head) -> None:
    """Probabilities of each class, and of labels that may overlap, of which some are unknown."""
    rng = np.random.default_rng(0)
    number = rng.integers(0, 3, 120)
    train, _, test, _, patients = planted(np.eye(3)[number])
    target = Classification(tuple(Label(name) for name in "abc"))
    p = probe(head, train, number[:80, None].astype(float), patients, test, target)
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == number[80:]).all()
    values = rng.integers(0, 2, (120, 2)).astype(float)
    train, known, test, true, patients = planted(values)
    known = known.copy()
    known[::7, 0] = np.nan
    p = probe(head, train, known, patients, test, MultilabelClassification((Label("a"), Label("b"))))
    assert ((p > 0.5) == (true > 0.5)).mean() > 0.97


def test_numbers_are_learned_and_labels_without_sense_are_not() -> None:
    """A planted number to a few percent; permuted classes at chance; few-shot refuses numbers."""
    rng = np.random.default_rng(1)
    values = rng.uniform(20, 80, (160, 1))
    train, known, test, true, patients = planted(values)
    target = Regression((Label("age"),))
    assert np.abs(probe("linear", train, known, patients, test, target) - true).max() < 1
    assert np.abs(probe("knn", train, known, patients, test, target) - true).mean() < 20
    with pytest.raises(DataError, match="few-shot is of classes"):
        probe("few-shot", train, known, patients, test, target)
    wins = []
    for seed in range(30):
        classes = np.random.default_rng(seed).permutation(np.arange(160) % 2)
        two = Classification((Label("a"), Label("b")))
        p = probe("linear", train, classes[:80, None].astype(float), patients, test, two)[:, 1]
        ill, well = p[classes[80:] == 1], p[classes[80:] == 0]
        wins.append((ill[:, None] > well).mean() + (ill[:, None] == well).mean() / 2)
    assert abs(np.mean(wins) - 0.5) < 0.05


def test_vectors_that_are_all_alike_predict_the_share_of_the_classes() -> None:
    """As sizes are of pictures of one size; one class alone is certain."""
    same, target = np.ones((10, 3)), Classification((Label("a"), Label("b")))
    classes = (np.arange(10) % 5 == 0).astype(float)[:, None]
    p = probe("linear", same, classes, IDS[:10], same[:2], target)
    np.testing.assert_allclose(p, [[0.8, 0.2]] * 2, atol=1e-3)
    p = probe("linear", same, np.zeros((10, 1)), IDS[:10], same[:2], target)
    np.testing.assert_array_equal(p, [[1, 0]] * 2)


def test_two_never_fill_one_folder(made: Path, tmp_path: Path) -> None:
    """The second is refused."""
    with held(tmp_path / "out", "probe"), pytest.raises(DataError, match="another genesis probe works on"):
        few(made / "planted", made / "labels.csv", tmp_path / "out")
