"""The map of embeddings: where points lie, what colours them, who is near, and that no patient is named."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarking.test_probe import IDS, NUM, TRUE, write_vectors
from tests.radiographs import write_picture

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit, sha256
from modelsgenesis.core.labels import COLOURS
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.tables import write_table
from modelsgenesis.embedding.table import read_embeddings
from modelsgenesis.figures.embedding_map import colouring, in_units, neighbours_of, projections
from modelsgenesis.reports.embedding_page import columns_of
from modelsgenesis.reports.run_page import map_of

DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of two groups, pictures of them, and a table with a hostile value."""
    folder, rng = tmp_path_factory.mktemp("map"), np.random.default_rng(0)
    for id_ in IDS:
        write_picture(folder / f"{id_}.png", rng.integers(0, 255, (90, 60), np.uint8))
    vectors = rng.standard_normal((NUM, 5)) + 6 * np.array(TRUE)[:, None]
    write_vectors(folder / "vectors", folder, vectors)
    rows = [
        {"id": id_, "class": "</script><b>ill" if ill else "well", "age": str(number), "patient": f"SMITH-{number}"}
        for number, (id_, ill) in enumerate(zip(IDS, TRUE, strict=True))
    ]
    write_table(folder / "labels.csv", ["id", "class", "age", "patient"], rows)
    return folder


def test_page_holds_map_colours_thumbnails_and_neighbours(made: Path, tmp_path: Path) -> None:
    """Coloured by any column but patients' names; neighbours are of one's own group; nothing is loaded."""
    page = mg.report(made / "vectors", tmp_path / "map.html", table=made / "labels.csv").read_text(encoding="utf-8")
    found = DATA.findall(page)
    assert len(found) == 1
    data = json.loads(found[0])
    assert data["ids"] == IDS
    assert [name for name, *_ in data["colourings"]] == ["class", "age"]
    (_, fills, legend), (_, ramp, _) = data["colourings"]
    assert len({fill for fill, ill in zip(fills, TRUE, strict=True) if ill}) == 1
    assert set(fills) == {COLOURS[0], COLOURS[1]}
    assert {words for _, words in legend} == {"</script><b>ill", "well"}
    assert (ramp[0], ramp[-1]) == ("#440154", "#fde725")
    assert page.count("<circle") == NUM
    assert all(TRUE[k] == TRUE[near] for k, some in enumerate(data["neighbours"]) for near in some)
    assert all(data["thumbnails"])
    assert "SMITH" not in page
    assert "<b>ill" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_colours_are_those_of_a_scan_s_own_file(tmp_path: Path) -> None:
    """By path, seen from the table, and not by a name that files of two folders share; a scan in no row has none."""
    files = [f"{site}/{number}.png" for number in range(3) for site in "ab"]
    for file in files:
        write_picture(tmp_path / file, np.full((8, 8), 90, np.uint8))
    vectors = np.random.default_rng(0).standard_normal((6, 4))
    ids = [fit(file.removesuffix(".png")) for file in files]
    write_vectors(tmp_path / "vectors", tmp_path, vectors, ids=ids, files=files)
    rows = [{"image": file, "site": file[0]} for file in files]
    write_table(tmp_path / "labels.csv", ["image", "site"], rows)
    found = read_embeddings(tmp_path / "vectors")
    assert columns_of(found, tmp_path / "labels.csv") == {"site": ["a", "b"] * 3}
    write_table(tmp_path / "some.csv", ["image", "site", "n"], [{**row, "n": k} for k, row in enumerate(rows[::2])])
    assert columns_of(found, tmp_path / "some.csv") == {"n": ["0", "", "1", "", "2", ""]}
    (tmp_path / "moved").mkdir()
    write_table(tmp_path / "moved" / "labels.csv", ["image", "site"], rows)
    with pytest.raises(DataError, match="names none of the scans"):
        columns_of(found, tmp_path / "moved" / "labels.csv")


def test_run_s_page_takes_no_map_of_another_network(made: Path, tmp_path: Path) -> None:
    """By the SHA-256 of the weights; vectors of a baseline, or of a network like it at random, are not its own."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    own, vectors = sha256(tmp_path / "model.safetensors"), made / "vectors"
    before = (vectors / "made.json").read_bytes()
    for network, networks in (("raw", []), ("runs/other", ["0" * 64]), (f"like:{tmp_path}", [own])):
        write_provenance(vectors, "embed", {"network": network, "networks": networks}, inputs=[])
        with pytest.raises(DataError, match=f"its vectors are by {network}, and not by the network of"):
            map_of(tmp_path, vectors, None)
    write_provenance(vectors, "embed", {"network": "moved/run", "networks": [own]}, inputs=[])
    assert len(map_of(tmp_path, vectors, None)) == 1
    (vectors / "made.json").write_bytes(before)


def test_page_of_a_benchmarks_folder_is_not_mistaken(made: Path, tmp_path: Path) -> None:
    """A table without embeddings colours nothing; one of other scans is refused; one scan is no map."""
    write_table(tmp_path / "other.csv", ["id", "class"], [{"id": "nobody", "class": "a"}])
    with pytest.raises(DataError, match="names none of the scans, such as case00"):
        mg.report(made / "vectors", tmp_path / "map.html", table=tmp_path / "other.csv")
    page = mg.report(made / "vectors", tmp_path / "map.html").read_text(encoding="utf-8")
    assert "<option>nothing</option>" in page


def test_options_that_a_page_makes_no_use_of_are_refused(made: Path, tmp_path: Path) -> None:
    """Rather than left aside in silence."""
    with pytest.raises(DataError, match="a folder of embeddings makes no use of --sample and --embeddings"):
        mg.report(made / "vectors", tmp_path / "map.html", sample=3, embeddings=made / "vectors")
    (tmp_path / "runs.csv").touch()
    with pytest.raises(DataError, match="a benchmark makes no use of --table; leave that out"):
        mg.report(tmp_path, table=tmp_path / "runs.csv")


def test_projection_is_that_of_the_singular_value_decomposition() -> None:
    """Up to signs; as far apart along both axes as the vectors are."""
    vectors = np.random.default_rng(1).standard_normal((30, 4)) * [5, 2, 1, 1]
    centred = vectors - vectors.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    mine = in_units(left[:, :2] * singular[:2])
    places, share = projections(vectors)
    apart, own = (np.linalg.norm(each[:, None] - each[None], axis=2) for each in (places["PCA"], mine))
    np.testing.assert_allclose(apart, own, atol=1e-6)
    assert share == pytest.approx((singular[:2] ** 2).sum() / (singular**2).sum())
    assert places["PCA"].min() >= 0
    assert places["PCA"].max() <= 1000


def test_umap_lays_out_groups_apart_where_it_is_installed(made: Path, tmp_path: Path) -> None:
    """Offered beside the principal components, the same points each time, each group by itself."""
    pytest.importorskip("umap", reason="UMAP is an extra: pip install -c constraints.txt '.[umap]'")
    page = mg.report(made / "vectors", tmp_path / "map.html").read_text(encoding="utf-8")
    places = {name: np.array(xy) for name, xy in json.loads(DATA.findall(page)[0])["places"].items()}
    assert list(places) == ["PCA", "UMAP"]
    assert "<option>UMAP</option>" in page
    assert "is not installed" not in page
    groups = [places["UMAP"][np.array(TRUE) == group] for group in (0, 1)]
    apart = np.linalg.norm(groups[0].mean(axis=0) - groups[1].mean(axis=0))
    assert apart > 2 * max(np.linalg.norm(group - group.mean(axis=0), axis=1).max() for group in groups)
    again = mg.report(made / "vectors", tmp_path / "again.html").read_text(encoding="utf-8")
    assert json.loads(DATA.findall(again)[0])["places"] == json.loads(DATA.findall(page)[0])["places"]


def test_page_without_umap_says_how_to_get_it(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The principal components are there alone, with the line that installs it."""
    monkeypatch.setitem(sys.modules, "umap", None)
    page = mg.report(made / "vectors", tmp_path / "map.html").read_text(encoding="utf-8")
    assert list(json.loads(DATA.findall(page)[0])["places"]) == ["PCA"]
    assert "Laid out by" not in page
    assert "pip install -c constraints.txt &#39;.[umap]&#39;" in page


def test_neighbours_are_the_nearest_others() -> None:
    """By plain distances, the nearest first, never oneself."""
    vectors = np.random.default_rng(2).standard_normal((12, 3))
    found = neighbours_of(vectors, 4)
    for k, near in enumerate(found):
        apart = np.linalg.norm(vectors - vectors[k], axis=1)
        assert near.tolist() == [n for n in np.argsort(apart) if n != k][:4]


def test_colours_tell_values_apart() -> None:
    """Few values have the house's colours, the rarest beyond seven none; numbers have a ramp, what is missing grey."""
    names = colouring("site", [*"aabbccddeeffgg", "rare", ""])
    assert len(set(names.fills[:14])) == 7
    assert names.fills[14] == names.fills[15] == "#9aa5b1"
    assert ("#9aa5b1", "other or unknown") in names.legend
    ages = colouring("age", [*map(str, range(20)), ""])
    assert len(set(ages.fills)) == 21
    assert [words for _, words in ages.legend] == ["0", "4.75", "9.5", "14.25", "19", "other or unknown"]
