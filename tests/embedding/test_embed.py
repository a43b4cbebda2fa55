"""Embedding: vectors equal to a forward pass by hand, one failure at a time, stopped and gone on."""

import functools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from pyarrow import parquet
from tests.data.scan_files import make_ct, make_image
from tests.radiographs import write_picture
from torch.nn import functional

import modelsgenesis as mg
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth, Window
from modelsgenesis.data.intensity_statistics import sample_of, summarise
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights.files import save_network

quietly = functools.partial(mg.embed, quiet=True, accelerator="cpu", precision="32-true")
SIDE = 16


def write_network(path: Path, axes: int = 3) -> UNet3D:
    """Write a small network with weights at random, and how its images were read."""
    torch.manual_seed(7)
    network = UNet3D(1, 1, width=2, axes=axes).eval()
    reading = Reading(Window() if axes == 3 else BitDepth())
    save_network(path, network, {"reading": describe(reading), "patch": [SIDE] * axes})
    return network


def write_scan(path: Path, values: np.ndarray) -> np.ndarray:
    """Write a volume (X, Y, Z) in HU, and return it as a network sees it."""
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(make_image(values), str(path))
    return np.clip((values.astype(np.float32) + 1000) / 2000, 0, 1)


def ct(seed: int = 0, size: tuple[int, ...] = (SIDE,) * 3) -> np.ndarray:
    """Make a CT whose right third is air, (X, Y, Z)."""
    values = make_ct(seed, size)
    values[: size[0] // 3] = -1000
    return values


def encoded(network: UNet3D, seen: np.ndarray) -> list[torch.Tensor]:
    """The features of one window, (channels, *coarse) each."""
    with torch.no_grad():
        return [each[0].double() for each in network.encode(torch.from_numpy(seen)[None, None])]


def weighed(features: torch.Tensor, region: np.ndarray) -> np.ndarray:
    """The mean of features, each weighed by its share of a region, with loops of our own."""
    steps = [whole // coarse for whole, coarse in zip(region.shape, features.shape[1:], strict=True)]
    shares = torch.from_numpy(region.astype(np.float64))
    for axis, step in enumerate(steps):
        shares = shares.unflatten(axis, (-1, step)).mean(axis + 1)
    return ((features * shares).flatten(1).sum(1) / shares.sum()).numpy()


def test_vector_is_the_mean_of_the_deepest_features_over_the_foreground(tmp_path: Path) -> None:
    """Equal to a forward pass by hand; of all scales one after another; of all voxels a plain mean."""
    network, values = write_network(tmp_path / "net.safetensors"), ct()
    seen = write_scan(tmp_path / "scans" / "one.nii.gz", values)
    features = encoded(network, seen)
    body = values > summarise(values[None], sample_of(values[None]), "CT").foreground
    assert 0.1 < body.mean() < 0.95
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "deep", modality="CT")
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), weighed(features[-1], body), rtol=1e-5)
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "all", modality="CT", features="all")
    every = np.concatenate([weighed(each, body) for each in features])
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), every, rtol=1e-5)
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "plain", foreground=False)
    plain = features[-1].flatten(1).mean(1).numpy()
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), plain, rtol=1e-5)


def test_windows_of_a_larger_scan_count_alike(tmp_path: Path) -> None:
    """Two windows side by side: the mean of both; and a table of id, region, image and vector."""
    network, values = write_network(tmp_path / "net.safetensors"), ct(1, (2 * SIDE, SIDE, SIDE))
    seen = write_scan(tmp_path / "scans" / "long.nii.gz", values)
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "out", foreground=False, overlap=0.0)
    halves = [encoded(network, half)[-1].flatten(1).mean(1).numpy() for half in np.split(seen, 2)]
    vector = np.load(out / "vectors" / "long.npy")
    np.testing.assert_allclose(vector, np.mean(halves, axis=0), rtol=1e-5)
    (row,) = parquet.read_table(out / "embeddings.parquet").to_pylist()
    assert (row["id"], row["region"], Path(row["image"]).name) == ("long", "", "long.nii.gz")
    np.testing.assert_array_equal(np.array(row["vector"], np.float32), vector)
    made = read_provenance(out, "embed")
    assert made.arguments["networks"] == [sha256(tmp_path / "net.safetensors")]
    words = f"genesis embed {tmp_path}/net.safetensors {tmp_path}/scans out --no-foreground --overlap 0"
    assert command("out", made) == f"{words} --accelerator cpu --precision 32-true"


def test_masks_give_a_vector_for_each_label(tmp_path: Path) -> None:
    """Each label's voxels alone, equal to a forward pass by hand; a scan without a mask is a line in failures.csv."""
    network, values = write_network(tmp_path / "net.safetensors"), ct()
    seen = write_scan(tmp_path / "scans" / "one.nii.gz", values)
    write_scan(tmp_path / "scans" / "two.nii.gz", values)
    mask = np.zeros(values.shape, np.uint8)
    mask[:9, 2:7, 5:], mask[11:, 9:, :4] = 3, 7
    (tmp_path / "masks").mkdir()
    sitk.WriteImage(make_image(mask), str(tmp_path / "masks" / "one.nii.gz"))
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "out", masks=tmp_path / "masks")
    by_hand = [weighed(encoded(network, seen)[-1], mask == label) for label in (3, 7)]
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), by_hand, rtol=1e-5)
    rows = parquet.read_table(out / "embeddings.parquet").to_pylist()
    assert [(row["id"], row["region"]) for row in rows] == [("one", "3"), ("one", "7")]
    (failed,) = read_rows(out / "failures.csv")
    assert Path(failed["path"]).name == "two.nii.gz"
    assert "no mask" in failed["problem"]
    mask[:9, 2:7, 5:] = 0  # a label map that was corrected is read again
    mask[2:6, 2:7, 5:] = 3
    sitk.WriteImage(make_image(mask), str(tmp_path / "masks" / "one.nii.gz"))
    quietly(tmp_path / "net.safetensors", tmp_path / "scans", out, masks=tmp_path / "masks")
    by_hand = [weighed(encoded(network, seen)[-1], mask == label) for label in (3, 7)]
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), by_hand, rtol=1e-5)


def test_started_again_it_gives_the_same_bytes_and_one_bad_scan_is_one_line(tmp_path: Path) -> None:
    """What was done stays, what is missing is done, and the table is the same as that of one go."""
    write_network(tmp_path / "net.safetensors")
    for number in range(3):
        write_scan(tmp_path / "scans" / f"s{number}.nii.gz", ct(number))
    (tmp_path / "scans" / "bad.nii.gz").write_bytes(b"no scan")
    whole = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "whole")
    (failed,) = read_rows(whole / "failures.csv")
    assert Path(failed["path"]).name == "bad.nii.gz"
    before = (whole / "embeddings.parquet").read_bytes()
    kept = (whole / "vectors" / "s0.npy").stat().st_mtime_ns
    for name in ("made.json", "embeddings.parquet", "records/s1.json", "vectors/s2.npy"):
        (whole / name).unlink()  # as if killed before
    (whole / "vectors" / ".s2.npy.part").write_bytes(b"half")
    quietly(tmp_path / "net.safetensors", tmp_path / "scans", whole)
    assert (whole / "embeddings.parquet").read_bytes() == before
    assert (whole / "vectors" / "s0.npy").stat().st_mtime_ns == kept
    assert not (whole / "vectors" / ".s2.npy.part").exists()
    with pytest.raises(DataError, match="features is deepest there, all now"):
        quietly(tmp_path / "net.safetensors", tmp_path / "scans", whole, features="all")


def test_network_of_ct_reads_other_scans_by_their_own_percentiles(tmp_path: Path) -> None:
    """As finetune does; a unit of the scanner makes no difference then."""
    write_network(tmp_path / "net.safetensors")
    values = np.abs(ct()).astype(np.float32)
    for name, factor in (("one", 1.0), ("twice", 2.0)):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", values * factor)
    out = quietly(tmp_path / "net.safetensors", tmp_path / "scans", tmp_path / "out", modality="MR")
    one, twice = (np.load(out / "vectors" / f"{name}.npy") for name in ("one", "twice"))
    np.testing.assert_allclose(one, twice, rtol=1e-3)


def test_network_of_pictures_works_on_volumes_slice_by_slice(tmp_path: Path) -> None:
    """The mean over the slices of what it says of each; pictures themselves are shrunk or enlarged to its size."""
    network = write_network(tmp_path / "flat.safetensors", axes=2)
    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 5)).astype(np.uint8)
    values[0, 0, 0], values[1, 0, 0] = 0, 255
    write_scan(tmp_path / "scans" / "volume.nii.gz", values)
    write_picture(tmp_path / "pictures" / "p.png", values[..., 0].T)
    with pytest.raises(GenesisError, match="--size 16 16: the windows of these scans have 3 sides"):
        quietly(tmp_path / "flat.safetensors", tmp_path / "scans", tmp_path / "bad", modality="MR", size=(16, 16))
    of_pictures = quietly(tmp_path / "flat.safetensors", tmp_path / "pictures", tmp_path / "p", foreground=False)
    first = encoded(network, (values[..., 0] / 255).astype(np.float32))[-1].flatten(1).mean(1).numpy()
    np.testing.assert_allclose(np.load(of_pictures / "vectors" / "p.npy"), first, rtol=1e-5)
    out = quietly(
        tmp_path / "flat.safetensors", tmp_path / "scans", tmp_path / "v", foreground=False, size=(SIDE, SIDE, 5)
    )
    each = [encoded(network, (values[..., k] / 255).astype(np.float32))[-1].flatten(1).mean(1) for k in range(5)]
    np.testing.assert_allclose(np.load(out / "vectors" / "volume.npy"), torch.stack(each).mean(0).numpy(), atol=1e-5)


def test_networks_at_random_are_those_of_the_seed(tmp_path: Path) -> None:
    """The kind of network of a recipe or file, its weights drawn by the seed."""
    write_network(tmp_path / "net.safetensors")
    write_scan(tmp_path / "scans" / "one.nii.gz", ct())
    like = f"like:{tmp_path / 'net.safetensors'}"
    found = [
        np.load(quietly(network, tmp_path / "scans", tmp_path / name, seed=seed) / "vectors" / "one.npy")
        for name, network, seed in (
            ("a", like, 0),
            ("b", like, 0),
            ("c", like, 1),
            ("d", str(tmp_path / "net.safetensors"), 0),
        )
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    assert not np.allclose(found[0], found[3])


def test_baselines_know_grey_values_and_sizes_alone(tmp_path: Path) -> None:
    """Raw is the mean of each cell of a small grid, size is voxels, spacing, extent and ratios."""
    values = ct(2, (32, 48, 16))
    seen = write_scan(tmp_path / "scans" / "one.nii.gz", values)
    out = quietly("raw", tmp_path / "scans", tmp_path / "raw", modality="CT")
    cells = seen.reshape(16, 2, 16, 3, 16, 1).mean((1, 3, 5))
    np.testing.assert_allclose(np.load(out / "vectors" / "one.npy"), cells.ravel(), rtol=1e-5)
    out = quietly("size", tmp_path / "scans", tmp_path / "size")
    vector = np.load(out / "vectors" / "one.npy")
    np.testing.assert_allclose(vector, [32, 48, 16, 1, 1, 1, 32, 48, 16, 1.5, 0.5])


def test_features_of_one_region_are_weighed_by_their_share() -> None:
    """The reference of these tests is itself the plain pooling of torch."""
    region = np.random.default_rng(0).random((8, 8, 8)) > 0.5
    features = torch.rand(3, 2, 2, 2, dtype=torch.float64)
    share = functional.avg_pool3d(torch.from_numpy(region.astype(np.float64))[None, None], 4)[0]
    np.testing.assert_allclose(weighed(features, region), ((features * share).sum((1, 2, 3)) / share.sum()).numpy())


def test_images_of_medmnist_are_those_that_a_table_names(tmp_path: Path) -> None:
    """All of them, of all splits, by the names that they have as cases, with the same vectors; not without labels."""
    save_network(tmp_path / "net.safetensors", UNet3D(1, 1, width=2), {"patch": [SIDE] * 3})
    volumes = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, SIDE), np.uint8)
    labels = np.zeros((3, 1), np.uint8)
    arrays = {"train_images": volumes[:2], "train_labels": labels[:2], "test_images": volumes[2:]}
    np.savez(tmp_path / "organs.npz", **arrays, test_labels=labels[2:])
    rows = [f"{split}_{number},organs.npz#{split}_images:{number}" for split, number in (("train", 1), ("test", 0))]
    (tmp_path / "table.csv").write_text("\n".join(["id,image", *rows]), encoding="utf-8")
    whole = quietly(tmp_path / "net.safetensors", tmp_path / "organs.npz", tmp_path / "whole")
    named = quietly(tmp_path / "net.safetensors", tmp_path / "table.csv", tmp_path / "named")
    assert parquet.read_table(whole / "embeddings.parquet")["id"].to_pylist() == ["train_0", "train_1", "test_0"]
    for id_ in ("train_1", "test_0"):
        np.testing.assert_array_equal(np.load(whole / f"vectors/{id_}.npy"), np.load(named / f"vectors/{id_}.npy"))
    np.savez(tmp_path / "bare.npz", **{name: arrays[name] for name in ("train_images", "test_images")})
    with pytest.raises(DataError, match="has no array train_labels"):
        quietly(tmp_path / "net.safetensors", tmp_path / "bare.npz", tmp_path / "bare")
