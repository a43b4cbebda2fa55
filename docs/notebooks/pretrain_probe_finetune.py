# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Pre-train, probe, fine-tune
#
# A network learns from scans without labels; then one asks what it knows, before and after a few labels. The scans
# are made-up torsos with the volume of each organ known. All is written to a folder `pretrain-probe-finetune`.

# %%
import csv
from pathlib import Path

import SimpleITK as sitk

import modelsgenesis as mg
from modelsgenesis.phantom import LABELS, write_phantoms

work = Path("pretrain-probe-finetune")
unlabelled, labelled = work / "unlabelled", work / "labelled"
write_phantoms(unlabelled, 4, size=(64, 64, 48))
write_phantoms(labelled, 8, seed=100, size=(48, 48, 32), with_labels=True)  # other bodies

# %% [markdown]
# ## Pre-train without labels

# %%
mg.prepare(unlabelled / "scans", work / "store", modality="CT")
run = mg.pretrain("small", work / "store", work / "run", steps=500, batch_size=4, val_cubes=8)

# %% [markdown]
# ## Probe: what do its features say?
#
# `embed` makes a vector of each scan, `probe` fits a line to them, again and again. The number asked for is the
# volume of the liver. A network at random and the grey values alone are the baselines: whoever does not beat them has
# learned nothing of use here.

# %%
liver = next(value for value, name in LABELS.items() if name == "liver")
with open(work / "liver.csv", "w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["id", "liver_ml"])
    for path in sorted((labelled / "labels").glob("*.nii.gz")):
        label = sitk.ReadImage(str(path))
        x, y, z = label.GetSpacing()
        voxels = int((sitk.GetArrayFromImage(label) == liver).sum())
        rows.writerow([path.name.removesuffix(".nii.gz"), round(voxels * x * y * z / 1000, 1)])

for name, network in {"genesis": run, "random": "like:small", "raw": "raw"}.items():
    mg.embed(network, labelled / "scans", work / "vectors" / name)

# %%
probed = mg.probe(
    work / "vectors/genesis",
    work / "liver.csv",
    work / "probe",
    label="liver_ml",
    kind="regression",
    with_=(f"random={work / 'vectors/random'}", f"raw={work / 'vectors/raw'}"),
    cases=("3", "all"),
    seeds=10,
    test=0.25,
)
print((probed / "scores.csv").read_text(encoding="utf-8"))

# %% [markdown]
# ## Fine-tune with a few labels
#
# A table names images and their label maps. Three cases teach, and the others are left for the test.

# %%
with open(work / "cases.csv", "w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["image", "label"])
    for path in sorted((labelled / "scans").glob("*.nii.gz")):
        rows.writerow([f"labelled/scans/{path.name}", f"labelled/labels/{path.name}"])

tuned = mg.finetune(work / "cases.csv", work / "tuned", from_=run, cases=3, steps=300, batch_size=2)

# %% [markdown]
# ## Predict and evaluate
#
# `unused.csv` lists the cases that taught nothing.

# %%
mg.predict(tuned, tuned / "unused.csv", work / "masks")
scores = mg.evaluate(work / "masks", tuned / "unused.csv", work / "scores")
with open(scores / "summary.csv", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        if row["metric"] == "dice":
            print(row["label"], row["value"])
