# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # First steps
#
# From a folder of scans to a network that restores what was deformed in them. The scans are made up, so that this
# runs anywhere in a minute; give a folder of yours in place of `work / "scans"`. All is written to a folder
# `first-steps`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import modelsgenesis as mg
from modelsgenesis.phantom import write_phantoms

work = Path("first-steps")
write_phantoms(work, 4, size=(64, 64, 48))

# %% [markdown]
# ## Scans become a store
#
# `prepare` reads every format that it knows, straightens and compresses the scans, and de-identifies them. What it
# could not read is listed in `problems.csv`, with what to do about it.

# %%
mg.prepare(work / "scans", work / "store", modality="CT")
store = mg.Store.open(work / "store")
for scan in store.scans:
    print(scan.id, scan.shape, scan.modality)

# %% [markdown]
# ## What the network will see
#
# Cubes are cut at random places and deformed in four ways; the network shall undo it. Each row of the sheet is one
# cube.

# %%
mg.show("small", work / "store", work / "sheet.png")
plt.figure(figsize=(12, 8))
plt.imshow(plt.imread(work / "sheet.png"))
plt.axis("off")
plt.show()

# %% [markdown]
# ## Pre-train
#
# A few steps, to see that it works; the recipe's own number is in the thousands. Stopped and run again, it goes on
# where it was. `report` makes a page of the run.

# %%
run = mg.pretrain("small", work / "store", work / "run", steps=200, batch_size=4, val_cubes=8)
mg.report(run, work / "report.html")

# %% [markdown]
# ## Use it
#
# `load` gives a plain PyTorch module. It restores cubes, and `encode` gives its features, finest first: they are what
# a task starts from.

# %%
network = mg.load(run)
cubes = torch.rand(2, 1, 32, 32, 32)
with torch.no_grad():
    restored, features = network(cubes), network.encode(cubes)
print("restored:", tuple(restored.shape))
print("features:", [tuple(feature.shape[1:]) for feature in features])
assert restored.shape == cubes.shape
