"""2D pictures through the same stages as volumes, and an ImageNet network as the start of both."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.balls import blob, write_image
from tests.radiographs import radiograph, write_picture
from tests.weights.formats.test_torchvision_convnext import draw as draw_convnext
from tests.weights.formats.test_torchvision_resnet import DEPTHS, draw
from torch import Tensor

import modelsgenesis as mg
from modelsgenesis.commands.benchmark import benchmark
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.finetune import finetune
from modelsgenesis.core.device import find_machine
from modelsgenesis.core.errors import DataError, ShapeError, TrainingError, WeightsError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.sources import find_sources
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import find_fine_tuned
from modelsgenesis.inference.volume_prediction import find_evidence
from modelsgenesis.inference.windows import Windows
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.weights.files import read_notes, save_network

QUICK = {"steps": 4, "batch_size": 2, "precision": "32-true", "quiet": True}
PATCH = 32  # pixels
TINY = {**QUICK, "width": 2, "size": (32, 32)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of two sizes, grey, of three equal colours, PNG and JPEG, in a table of classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = ["image,label,patient"]
    for number in range(10):
        values = radiograph(number, ill=bool(number % 2), size=(40, 32) if number < 5 else (64, 60))
        if number == 3:
            values = np.stack([values] * 3, -1)
        name = f"chest{number}.{'jpg' if number == 4 else 'png'}"
        write_picture(folder / name, values)
        rows.append(f"{name},{'ill' if number % 2 else 'well'},p{number // 2}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision has it, a sixteenth as wide."""
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    torch.save(draw(*DEPTHS[18]), path)
    return path


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run on them."""
    return finetune(pictures / "cases.csv", tmp_path_factory.mktemp("run") / "run", test=0.2, **TINY)


@pytest.fixture(scope="module")
def stores(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores of two axes: of pictures, and of axial slices with a neighbour on either side."""
    folder = tmp_path_factory.mktemp("stores")
    for number in range(4):
        write_image(folder / "volumes" / f"{number}.nii.gz", blob(number, size=(40, 36, 8))[0])
    volumes = mg.prepare(folder / "volumes", folder / "volume-store", modality="CT", workers=0, quiet=True)
    slices = mg.prepare(volumes, folder / "slices", slices="axial", every=2, neighbours=1, quiet=True)
    return {"pictures": mg.prepare(pictures, folder / "pictures", workers=0, quiet=True), "slices": slices}


OF_VOLUMES = re.compile(r"\b(cubes?|scans?|voxels?|planes)\b|\d mm\b")
PRETRAINED = {"steps": 4, "batch_size": 2, "validate_every": 2, "val_cubes": 2, "width": 2, "size": (32, 32)}


def words_of(page: str) -> str:
    """The words of a page or card that people read: no tags, no commands, and no names of columns, files or rules."""
    page = re.sub(r"(?s)<style.*?</style>|<pre.*?</pre>|<[^>]+>|^    .*?$", " ", page, flags=re.M)
    return page.replace("val_cubes", "")


@pytest.mark.parametrize("kind", ["pictures", "slices"])
def test_nothing_of_two_axes_is_called_a_cube(
    kind: str, stores: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lines, page and model card of a pre-training speak of pictures, crops and pixels, and count every slice."""
    run = mg.pretrain("small-2d", stores[kind], tmp_path / "run", **PRETRAINED)
    page = words_of(mg.report(run, tmp_path / "page.html").read_text(encoding="utf-8"))
    card = words_of((mg.export(run, tmp_path / "export", quiet=True) / "README.md").read_text(encoding="utf-8"))
    printed = capfd.readouterr().err
    trained = {"pictures": "small-2d: 9 pictures to train on, 1 held out", "slices": "12 pictures to train on, 4 held"}
    assert trained[kind] in printed
    assert "crops/s" in printed
    assert f"{10 if kind == 'pictures' else 16} unlabelled pictures" in page
    assert "One sample of training as the file has it" in page
    assert "It was trained on crops of 32 x 32 pixels" in card
    for text in (printed, page, card.replace("Scans without labels: 4 of 4 patients (4 CT)", "")):
        assert OF_VOLUMES.findall(text) == []


def test_slices_say_how_they_were_made(stores: dict[str, Path]) -> None:
    """The command that a page gives makes the same store of slices."""
    line = command("slices", read_provenance(stores["slices"], "prepare"))
    assert line.endswith("slices --slices axial --every 2 --neighbours 1")


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three pictures that a crop of chest-xray fits into."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(3):
        write_picture(folder / "pictures" / f"{number}.png", radiograph(number, ill=False, size=(240, 232)))
    return mg.prepare(folder / "pictures", folder / "store", workers=0, quiet=True)


FEW = {"steps": 2, "batch_size": 2, "val_cubes": 2, "precision": "32-true"}


@pytest.mark.parametrize("made", [draw(*DEPTHS[18]), draw(*DEPTHS[50]), draw_convnext()], ids=["18", "50", "convnext"])
def test_chest_xray_goes_on_from_imagenet(made: dict[str, Tensor], large_store: Path, tmp_path: Path) -> None:
    """The encoder of the file is taken whole, its colours summed; the decoder learns; the page gives the command."""
    torch.save(made, tmp_path / "imagenet.pth")
    run = mg.pretrain("chest-xray", large_store, tmp_path / "run", from_=tmp_path / "imagenet.pth", **FEW)
    network, loading = mg.load(run), json.loads((run / "loading.json").read_text())
    assert loading["shares"] == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert (network.in_channels, network.units[0]) == (1, pytest.approx(1 / 0.226))
    line = command(str(run), read_provenance(run, "pretrain"))
    assert line.startswith(f"genesis pretrain chest-xray {large_store} {run} --steps 2 --batch-size 2")
    assert line.endswith(f"--from {tmp_path / 'imagenet.pth'}")
    assert "--backbone" not in line


ONE_EACH = (1, 1, 1, 1)  # block a stage, of each kind that the published networks have: every node of ONNX takes time


@pytest.mark.parametrize("made", [draw(ONE_EACH, True), draw_convnext(ONE_EACH)], ids=["resnet", "convnext"])
def test_imagenet_networks_are_tuned_and_exported(made: dict[str, Tensor], pictures: Path, tmp_path: Path) -> None:
    """A fine-tuned one predicts every test picture, and as ONNX gives what PyTorch gives, which the export compares."""
    torch.save(made, tmp_path / "imagenet.pth")
    start = {**QUICK, "size": (32, 32), "from_": tmp_path / "imagenet.pth"}
    tuned = finetune(pictures / "cases.csv", tmp_path / "tuned", test=0.2, **start)
    rows = rows_of(mg.predict(tuned, tuned / "test.csv", tmp_path / "out", quiet=True) / "predictions.csv")
    assert len(rows) == 2
    assert all(float(row["p_ill"]) + float(row["p_well"]) == pytest.approx(1, abs=1e-5) for row in rows)
    pytest.importorskip("onnxruntime")
    card = (mg.export(tuned, tmp_path / "onnx", to="onnx", quiet=True) / "README.md").read_text(encoding="utf-8")
    assert "It was trained on pictures of 32 x 32 pixels" in card


@pytest.mark.parametrize(("bottleneck", "millions"), [(False, 21.28), (True, 23.51)], ids=["34", "50"])
def test_deeper_encoders_are_options(bottleneck: bool, millions: float, large_store: Path, tmp_path: Path) -> None:
    """`--blocks 3 4 6 3` makes chest-xray's encoder a ResNet-34, and with `--bottleneck` a ResNet-50."""
    options = {"blocks": (3, 4, 6, 3), "bottleneck": bottleneck, "size": (32, 32), **FEW}
    network = mg.load(mg.pretrain("chest-xray", large_store, tmp_path / "run", **options))
    colours = 64 * 2 * 49  # of the first convolution, which a grey picture does not have
    assert (sum(p.numel() for p in network.encoder.parameters()) + colours) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(("recipe", "wanted"), [("small", "small-2d"), ("chest-ct-2d", "recipe small-2d")])
def test_recipe_for_other_images_is_refused(recipe: str, wanted: str, stores: dict[str, Path], tmp_path: Path) -> None:
    """One for volumes, and one for CT: the error names a recipe that takes the pictures of the store."""
    with pytest.raises(DataError, match=wanted):
        mg.pretrain(recipe, stores["pictures"], tmp_path / "run", steps=1)


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_network_sees_whole_pictures(run: Path) -> None:
    """Two axes, patches that pictures are shrunk or enlarged to, grey levels by their bit depth."""
    network = mg.load(run)
    assert isinstance(network, Classifier)
    assert (network.axes, network.in_channels) == (2, 1)
    assert network(torch.rand(3, 1, 32, 32)).shape == (3, 2)
    notes = read_notes(run / "model.safetensors")
    assert notes["patch"] == [32, 32]
    assert notes["reading"]["fit"] == [32, 32]
    assert notes["reading"]["intensity"]["class"] == "modelsgenesis.data.intensity:BitDepth"


def test_predictions_of_a_table_and_of_a_folder_agree(run: Path, pictures: Path, tmp_path: Path) -> None:
    """A probability for each class; the same picture gets the same, however it is named."""
    mg.predict(run, run / "test.csv", tmp_path / "table", quiet=True)
    mg.predict(run, pictures, tmp_path / "folder", quiet=True)
    some, every = (rows_of(tmp_path / name / "predictions.csv") for name in ("table", "folder"))
    assert (len(some), len(every)) == (2, 10)
    by_id = {row["id"]: row for row in every}
    for row in some:
        assert float(row["p_ill"]) + float(row["p_well"]) == pytest.approx(1, abs=1e-5)
        assert row["p_ill"] == by_id[row["id"]]["p_ill"]


def test_label_maps_are_told_by_the_pixels_of_the_file(run: Path, tmp_path: Path) -> None:
    """Shrunk to what the network sees, noise has few grey levels and a mask has many; in a store as well."""
    noise, mask = np.random.default_rng(0).integers(80, 120, (320, 320)), np.zeros((310, 310))
    mask[np.hypot(*np.mgrid[-155:155, -155:155]) < 100] = 255
    for name, values in (("noise", noise), ("masks", mask)):
        write_picture(tmp_path / "new" / name / "chest.png", values.astype(np.uint8))
    out = mg.predict(run, tmp_path / "new", tmp_path / "out", quiet=True)
    store = mg.prepare(tmp_path / "new", tmp_path / "store", longest_side=32, workers=0, quiet=True)
    for table in (out / "failures.csv", store / "problems.csv"):
        (problem,) = rows_of(table)
        assert problem["problem"].startswith("a label map, not a scan: only 2 different whole numbers")


def test_a_probability_is_the_prediction_for_the_fitted_picture(run: Path, pictures: Path, tmp_path: Path) -> None:
    """Computed by hand: scaled by 255, shrunk to fit, padded evenly to the patch."""
    mg.predict(run, pictures / "chest1.png", tmp_path / "out", precision="32-true", quiet=True)
    reading = rebuild(read_notes(run / "model.safetensors")["reading"])
    image = read_image(find_sources(pictures / "chest1.png", pictures=True)[0], reading)
    assert image.size == (26, 32)
    seen = np.pad(image.values[0].astype(np.float32) / 255, ((3, 3), (0, 0)))
    with torch.no_grad():
        p = mg.load(run)(torch.from_numpy(seen)[None, None]).softmax(1)[0, 0]
    (row,) = rows_of(tmp_path / "out" / "predictions.csv")
    assert float(row["p_ill"]) == pytest.approx(float(p), abs=1e-5)


@pytest.mark.parametrize("name", ["chest1.png", "chest7.png"])
def test_ten_crops_are_averaged(run: Path, pictures: Path, tmp_path: Path, name: str) -> None:
    """By hand: fitted into 37 x 37, corners and centre of 32 x 32, each mirrored too; probabilities averaged."""
    mg.predict(run, pictures / name, tmp_path / "out", views="ten-crop", precision="32-true", quiet=True)
    reading = replace(rebuild(read_notes(run / "model.safetensors")["reading"]), fit=(37, 37))
    image = read_image(find_sources(pictures / name, pictures=True)[0], reading).values[0].astype(np.float32) / 255
    lack = max(0, 32 - image.shape[0])
    image = np.pad(image, ((lack // 2, lack - lack // 2), (0, 0)))
    (x, y), network = (side - 32 for side in image.shape), mg.load(run)
    crops = [image[i : i + 32, j : j + 32] for i, j in ((0, 0), (x, 0), (0, y), (x, y), (x // 2, y // 2))]
    with torch.no_grad():
        seen = torch.from_numpy(np.stack([*crops, *(crop[::-1] for crop in crops)]))
        p = network(seen[:, None]).softmax(1).mean(0)[0]
    (row,) = rows_of(tmp_path / "out" / "predictions.csv")
    assert float(row["p_ill"]) == pytest.approx(float(p), abs=2e-6)
    with pytest.raises(DataError, match="views is ten-crop there, whole now"):
        mg.predict(run, pictures / name, tmp_path / "out", precision="32-true", quiet=True)


def test_ten_crops_are_refused_where_they_make_no_sense(run: Path, pictures: Path, tmp_path: Path) -> None:
    """Of volumes, and for networks that know no mirror images."""
    network, notes = mg.load(run), read_notes(run / "model.safetensors")
    unmirrored = notes | {"approach": {**notes["approach"], "augmentation": {"mirror": [1]}}}
    save_network(tmp_path / "unmirrored.safetensors", network, unmirrored)
    save_network(tmp_path / "volumes.safetensors", Classifier(UNet3D(width=2), 2), notes | {"patch": [16, 16, 16]})
    for name, words in (("unmirrored", "trained without"), ("volumes", "the networks are of volumes")):
        with pytest.raises(DataError, match=words):
            mg.predict(tmp_path / f"{name}.safetensors", pictures, tmp_path / "out", views="ten-crop", quiet=True)


def test_scores_and_pages_know_pictures(run: Path, pictures: Path, tmp_path: Path) -> None:
    """Evaluation pictures the worst cases, inspection one of each class."""
    mg.predict(run, pictures, tmp_path / "out", quiet=True)
    scores = mg.evaluate(tmp_path / "out", pictures / "cases.csv", tmp_path / "scores", resamples=10, quiet=True)
    lines = json.loads((scores / "summary.json").read_text())["lines"]
    assert {"auc", "balanced_accuracy"} <= {line["metric"] for line in lines}
    assert "as their files have them" in (scores / "report.html").read_text(encoding="utf-8")
    text = mg.inspect(pictures / "cases.csv", quiet=True)
    assert "32 x 40" in text
    assert "size in pixels" in text
    assert "unknown" in next(line for line in text.splitlines() if "spacing in mm" in line)
    text = Path(mg.inspect(pictures / "cases.csv", into=tmp_path / "page.html", quiet=True)).read_text(encoding="utf-8")
    assert "as the file has it" in text


def test_small_pictures_of_one_size_stay_as_they_are(tmp_path: Path) -> None:
    """A set like MedMNIST's is not interpolated: padded to the network's stride."""
    images = np.stack([radiograph(number, ill=bool(number % 2), size=(28, 28)) for number in range(8)])
    arrays = {"train_images": images[:6], "train_labels": np.arange(6)[:, None] % 2}
    arrays |= {"test_images": images[6:], "test_labels": np.arange(2)[:, None] % 2}
    np.savez(tmp_path / "chests.npz", **arrays)
    run = finetune(tmp_path / "chests.npz", tmp_path / "run", width=2, **QUICK)
    notes = read_notes(run / "model.safetensors")
    assert (notes["patch"], notes["reading"]["fit"]) == ([32, 32], None)
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    assert len(rows_of(tmp_path / "out" / "predictions.csv")) == 2


@pytest.mark.slow
def test_network_learns_to_see_the_disc(pictures: Path, tmp_path: Path) -> None:
    """Held-out pictures are distinguished, and a second start goes on from the first."""
    rows = ["image,label"]
    for number in range(60):
        write_picture(tmp_path / f"a{number}.png", radiograph(number, ill=bool(number % 2)))
        rows.append(f"a{number}.png,{'ill' if number % 2 else 'well'}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    asked = {**TINY, "width": 4, "steps": 150, "batch_size": 8, "lr": 3e-3}
    run = finetune(tmp_path / "cases.csv", tmp_path / "run", test=0.4, **asked)
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(tmp_path / "out", run / "test.csv", tmp_path / "scores", resamples=10, quiet=True)
    lines = json.loads((scores / "summary.json").read_text())["lines"]
    assert next(line["value"] for line in lines if line["metric"] == "auc") > 0.95


def test_regions_of_pictures_are_cases(pictures: Path, tmp_path: Path) -> None:
    """Both halves of a picture, in a table, are cases; a region is predicted as the picture that is cut so."""
    rows, cut = ["image,label,patient"], tmp_path / "cut"
    for number in (0, 1, 2, 5, 6, 7):
        for x, label in ((8, "left"), (24, "right")):
            rows.append(f'"{pictures}/chest{number}.png@{x},20@16x32",{label},p{number}')
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    run = finetune(tmp_path / "cases.csv", tmp_path / "run", test=0.34, **TINY)
    test = (run / "test.csv").read_text(encoding="utf-8")
    (run / "test.csv").write_text(f'{test}out,"{pictures}/chest0.png@99,20@16x32",left,p0\n', encoding="utf-8")
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    assert "lies outside the picture" in (tmp_path / "out" / "failures.csv").read_text(encoding="utf-8")
    predicted = rows_of(tmp_path / "out" / "predictions.csv")
    assert len(predicted) == 4
    cut.mkdir()
    for row, entry in zip(predicted, rows_of(run / "test.csv"), strict=False):
        name, x, _ = entry["image"].replace(",", "@").split("@")[:3]
        with Image.open(name) as whole:
            left = int(float(x)) - 8
            whole.crop((left, 4, left + 16, 36)).save(cut / f"{row['id']}.png")
    mg.predict(run, cut, tmp_path / "of cut", quiet=True)
    again = {row["id"]: row["p_left"] for row in rows_of(tmp_path / "of cut" / "predictions.csv")}
    assert again == {row["id"]: row["p_left"] for row in predicted}
    scores = mg.evaluate(tmp_path / "out", run / "test.csv", tmp_path / "scores", resamples=10, quiet=True)
    assert (scores / "report.html").is_file()


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """Pictures of noise, every other one with a bright patch, and where its upper left corner lies, (x, y)."""
    folder, rng, places = tmp_path_factory.mktemp("patches"), np.random.default_rng(0), []
    rows = ["image,label"]
    for number in range(40):
        values, (x, y) = rng.normal(90, 10, (96, 100)), rng.integers(4, 60, 2)
        if number % 2:
            values[y : y + PATCH, x : x + PATCH] += 70
        write_picture(folder / f"a{number}.png", values.clip(0, 255).astype(np.uint8))
        rows.append(f"a{number}.png,{'ill' if number % 2 else 'well'}")
        places.append((int(x), int(y)))
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder, places


def test_heat_maps_show_the_patch(patches: tuple[Path, list[tuple[int, int]]], tmp_path: Path) -> None:
    """The hottest pixel of what is predicted ill lies in its patch, and the picture glows there alone."""
    folder, places = patches
    asked = {**TINY, "width": 4, "size": (48, 48), "steps": 100, "batch_size": 8, "lr": 3e-3}
    run = finetune(folder / "cases.csv", tmp_path / "run", test=0.4, **asked)
    mg.predict(run, run / "test.csv", tmp_path / "out", pictures=True, quiet=True)
    tuned = find_fine_tuned([run])
    ensemble = Ensemble(tuned.load(), tuned.target, find_machine("cpu", "32-true"))
    ill = [row["id"] for row in rows_of(tmp_path / "out" / "predictions.csv") if row["class"] == "ill"]
    assert len(ill) == 8
    for name in ill:
        image = read_image(find_sources(folder / f"{name}.png", pictures=True)[0], tuned.reading)
        (heat,) = find_evidence(image, ensemble, (tuned.target.names.index("ill"),), Windows(image.size, tuned.patch))
        assert heat.shape == (100, 96)
        hottest, corner = np.unravel_index(int(heat.argmax()), heat.shape), places[int(name[1:])]
        assert all(low <= at < low + PATCH for low, at in zip(corner, hottest, strict=True))
        with Image.open(tmp_path / "out" / "pictures" / f"{name}.png") as sheet:
            pixels = np.asarray(sheet.convert("RGB")).astype(int)
        coloured = np.ptp(pixels, axis=2) > 60
        assert 0.01 < coloured.mean() < 0.3  # the one of the two pictures


def test_imagenet_starts_pictures(pictures: Path, imagenet: Path, tmp_path: Path) -> None:
    """Its encoder is taken whole, the colours of its first convolution summed; the map says so."""
    run = finetune(pictures / "cases.csv", tmp_path / "run", from_=imagenet, size=(32, 32), **QUICK)
    network = mg.load(run)
    assert isinstance(network, Classifier)
    assert isinstance(network.backbone, ResNet)
    assert (network.axes, network.backbone.dilated, network.in_channels) == (2, False, 1)
    loading = json.loads((run / "loading.json").read_text())
    assert loading["shares"]["encoder"] == 1.0
    adapted = {row["tensor"]: row["why"] for row in loading["rows"] if row["how"] == "adapted"}
    assert adapted == {"backbone.encoder.conv1.weight": "from 3 to 1 input channels, each their sum / 1"}
    assert loading["opened"]["format"] == "torchvision ResNet"


def test_imagenet_starts_volumes_inflated(imagenet: Path, tmp_path: Path) -> None:
    """Every kernel repeated along Z, in segmentation of 3D scans too."""
    for number in range(3):
        image, mask = blob(number, (34, 32, 32))
        write_image(tmp_path / "data" / "images" / f"ball{number}.nii.gz", image)
        write_image(tmp_path / "data" / "labels" / f"ball{number}.nii.gz", mask)
    asked = {**QUICK, "steps": 2, "size": (32, 32, 32), "val_cubes": 2}
    run = finetune(tmp_path / "data", tmp_path / "run", from_=imagenet, **asked)
    network = mg.load(run)
    assert isinstance(network, ResNet)
    assert (network.axes, network.stride) == (3, (32, 32, 32))
    loading = json.loads((run / "loading.json").read_text())
    assert loading["shares"]["encoder"] == 1.0
    reasons = {row["tensor"]: row["why"] for row in loading["opened"]["rows"] if row["how"] == "adapted"}
    assert reasons["encoder.layer4.1.conv2.weight"] == "repeated along Z, each / 3"


def test_imagenet_is_an_arm_of_a_benchmark(pictures: Path, imagenet: Path, tmp_path: Path) -> None:
    """Beside a scratch arm of the same network; nobody can know what it saw, so it must be allowed by name."""
    asked = {"steps": 2, "batch_size": 2, "size": (32, 32), "precision": "32-true", "test": 0.2, "seeds": 1}
    arms = ("scratch", f"imagenet={imagenet}")
    with pytest.raises(DataError, match="--allow imagenet"):
        benchmark(pictures / "cases.csv", tmp_path / "bench", from_=arms, cases=("4",), **asked)
    benchmark(pictures / "cases.csv", tmp_path / "bench", from_=arms, cases=("4",), allow=("imagenet",), **asked)
    rows = rows_of(tmp_path / "bench" / "runs.csv")
    assert sorted(row["arm"] for row in rows) == ["imagenet", "scratch"]
    page = (tmp_path / "bench" / "report.html").read_text(encoding="utf-8")
    assert "The picture of each case, what is true" in page
    assert "middle slice" not in page


def test_benchmark_predicts_by_ten_crops(pictures: Path, tmp_path: Path) -> None:
    """As predict does with --views ten-crop; a folder of predictions of whole pictures is not mixed with them."""
    asked = {"steps": 2, "batch_size": 2, "size": (32, 32), "precision": "32-true", "test": 0.2, "seeds": 1}
    asked |= {"cases": ("4",), "mirror": "x"}
    into = benchmark(pictures / "cases.csv", tmp_path / "bench", views="ten-crop", **asked)
    run = into / "runs" / "scratch" / "cases-4" / "seed-0"
    mg.predict(run / "run", run / "run" / "test.csv", tmp_path / "out", views="ten-crop", quiet=True)
    there, again = (rows_of(place / "predictions.csv") for place in (run / "predictions", tmp_path / "out"))
    assert [row["p_ill"] for row in there] == [row["p_ill"] for row in again]
    with pytest.raises(TrainingError, match="views is ten-crop there, None now"):
        benchmark(pictures / "cases.csv", tmp_path / "bench", **asked)


def test_caption_names_few_of_many_findings() -> None:
    """Of fourteen probabilities those that are predicted or true, the greatest first."""
    target = MultilabelClassification(tuple(map(Label, "abcdefgh")))
    words = target.verdict((0.9, 0.1, 0.2, 0.6, 0.1, 0.1, 0.1, 0.3), (0, 1, 0, 1, 0, 0, 0, 0))
    assert words == "true: b | d; predicted: a | d (a 0.90, d 0.60, b 0.10)"
    assert target.predicted_words((0.9, 0.1, 0.2, 0.6, 0.1, 0.1, 0.1, 0.3)) == "a 0.90 | d 0.60"
    assert target.predicted_words((0.1,) * 8) == "none"


@pytest.mark.parametrize(("metric", "title"), [("dice", "Dice"), ("hd95_mm", "Hausdorff 95 %, pixels")])
def test_benchmark_of_masks_of_pictures_speaks_of_pictures(metric: str, title: str, tmp_path: Path) -> None:
    """Its page has cases with their outlines, distances in pixels, and no slices or patient's sides."""
    for number in range(6):
        write_picture(tmp_path / "task" / "images" / f"{number}.png", radiograph(number, ill=True))
        mask = np.zeros((40, 32), np.uint8)
        mask[10:30, 8:24] = 1
        write_picture(tmp_path / "task" / "masks" / f"{number}.png", mask)
    asked = {
        "steps": 1,
        "batch_size": 2,
        "size": (32, 32),
        "like": "small-2d",
        "test": 0.4,
        "seeds": 1,
        "metric": metric,
    }
    benchmark(tmp_path / "task", tmp_path / "bench", from_=("scratch",), cases=("3",), precision="32-true", **asked)
    page = (tmp_path / "bench" / "report.html").read_text(encoding="utf-8")
    assert "Of each case the surroundings of what is labelled, the same for all arms. Cases are ranked" in page
    shown = re.sub(r"data:[^\"]*|<style.*?</style>|<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"\b(mm|ml|voxels?|cubes?|slices?|planes?|patient's right)\b", shown)
    assert f"Learning curves: task, {title}<" in shown


def make_wrong(pictures: Path, folder: Path) -> dict[str, Path]:
    """Tables that cannot be learned, by what is wrong."""
    write_image(folder / "volume.nii.gz", blob(1)[0])
    picture = pictures / "chest1.png"
    (folder / "mixed.csv").write_text(f"image,label\nvolume.nii.gz,a\n{picture},b\n")
    (folder / "cases.csv").write_text(f"image,label\n{picture},a\n{pictures / 'chest2.png'},b\n")
    return {name: folder / f"{name}.csv" for name in ("mixed", "cases")}


WRONG = {
    "mixed": ("mixed", {}, DataError, "some are 2D pictures"),
    "spacing": ("cases", {"spacing": (1.0, 1.0, 1.0)}, TrainingError, "pictures have no spacing"),
    "three sides": ("cases", {"size": (32, 32, 32)}, TrainingError, "two sides, --size gives 3"),
    "odd side": ("cases", {"size": (30, 32)}, ShapeError, "--size 32 32"),
    "no third axis": ("cases", {"mirror": "xz"}, TrainingError, "--mirror names z"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_refused(name: str, pictures: Path, tmp_path: Path) -> None:
    """Before anything is trained, in words that say what to do."""
    place, asked, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        finetune(make_wrong(pictures, tmp_path)[place], tmp_path / "run", **{**QUICK, "width": 2, **asked})


def test_weights_of_volumes_do_not_start_pictures(pictures: Path, tmp_path: Path) -> None:
    """They are refused, whether their values or their kind are asked for."""
    save_network(tmp_path / "volumes.safetensors", UNet3D(width=2))
    for asked in ({"from_": tmp_path / "volumes.safetensors"}, {"like": str(tmp_path / "volumes.safetensors")}):
        with pytest.raises(WeightsError, match="of volumes, 3 axes, and the images are 2D pictures"):
            finetune(pictures / "cases.csv", tmp_path / "run", **QUICK, **asked)


def test_scans_given_to_a_network_of_pictures_are_failures(run: Path, pictures: Path, tmp_path: Path) -> None:
    """One line in failures.csv each; the pictures beside them are predicted."""
    write_image(tmp_path / "scans" / "volume.nii.gz", blob(1)[0])
    (tmp_path / "scans" / "chest.png").write_bytes((pictures / "chest1.png").read_bytes())
    out = mg.predict(run, tmp_path / "scans", tmp_path / "out", quiet=True)
    assert [row["id"] for row in rows_of(out / "predictions.csv")] == ["chest"]
    (problem,) = rows_of(out / "failures.csv")
    assert "3 axes" in problem["problem"]


def test_pictures_given_to_a_network_of_volumes_are_failures(pictures: Path, tmp_path: Path) -> None:
    """Of a folder they are no scans at all; named in a table, they are read and refused."""
    rows = ["image,label"]
    for number in range(3):
        write_image(tmp_path / f"ball{number}.nii.gz", blob(number)[0])
        rows.append(f"ball{number}.nii.gz,{number % 2}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    volumes = finetune(tmp_path / "cases.csv", tmp_path / "run", **{**QUICK, "width": 2, "steps": 1})
    (tmp_path / "new.csv").write_text(f"image\n{pictures / 'chest1.png'}\nball1.nii.gz\n")
    out = mg.predict(volumes, tmp_path / "new.csv", tmp_path / "out", quiet=True)
    (problem,) = [row for row in rows_of(out / "failures.csv") if row["severity"] == "error"]
    assert problem["problem"] == "it has 2 axes, but the network was trained on images of 3"
