# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # The encoder inside MONAI and nnU-Net
#
# A pre-trained network is a plain PyTorch module. Here it is trained by MONAI's loss and applied by MONAI's sliding
# window; then a network that nnU-Net planned is pre-trained, and nnU-Net's own network starts from it. All is written
# to a folder `monai-and-nnunet`.

# %%
import json
from pathlib import Path

import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.transforms import Compose, EnsureType, ScaleIntensityRange

import modelsgenesis as mg
from modelsgenesis.phantom import LABELS, torso, write_phantoms
from modelsgenesis.weights.transfer import network_for, transfer

work = Path("monai-and-nnunet")
torch.manual_seed(0)

# %% [markdown]
# ## MONAI
#
# `genesis-small-ct` comes with the package. `network_for` makes a network of the same kind for another number of
# outputs, `transfer` copies the weights that fit and says what became of each.

# %%
pretrained = mg.load("genesis-small-ct")
network = network_for(pretrained, in_channels=1, out_channels=2)
print(transfer(pretrained, network).shares)

# %% [markdown]
# It learned from Hounsfield units between -1000 and 1000, as 0 to 1; MONAI's transform says the same.

# %%
made_up = torso(0, size=(64, 64, 32))
liver = next(value for value, name in LABELS.items() if name == "liver")
scale = Compose([EnsureType(dtype=torch.float32), ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)])
image = scale(made_up.values)[None]  # (1, 1, X, Y, Z)
target = torch.from_numpy(made_up.labels == liver)[None, None].long()

steps = 20
loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
network.train()
for _ in range(steps):
    loss = loss_of(network(image), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("loss:", loss.item())

# %%
network.eval()
with torch.no_grad():
    logits = sliding_window_inference(image, roi_size=(32, 32, 32), sw_batch_size=4, predictor=network)
assert logits.shape == (1, 2, *image.shape[2:])

# %% [markdown]
# ## nnU-Net
#
# `nnUNetv2_plan_and_preprocess` writes `nnUNetPlans.json`; give its path below. This one is cut to what is needed,
# and small.

# %%
layers = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "dropout_op": None,
    "nonlin": "torch.nn.LeakyReLU",
}
numbers = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 32],
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op_kwargs": None,
    "nonlin_kwargs": {"inplace": True},
}
configuration = {
    "patch_size": [16, 32, 32],  # along Z, Y, X, as nnU-Net has it
    "spacing": [4.0, 4.0, 4.0],
    "batch_size": 2,
    "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {**layers, **numbers},
        "_kw_requires_import": list(layers),
    },
}
plans = {
    "dataset_name": "Dataset001_Made_up",
    "plans_name": "nnUNetPlans",
    "transpose_forward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {
        "0": {"percentile_00_5": -900.0, "percentile_99_5": 700.0, "mean": -250.0, "std": 320.0}
    },
    "configurations": {"3d_fullres": configuration},
}
work.mkdir(exist_ok=True)
(work / "nnUNetPlans.json").write_text(json.dumps(plans), encoding="utf-8")

# %% [markdown]
# The store must be at the plans' spacing; the network, its patch and its units are the plans'.

# %%
write_phantoms(work, 3, size=(64, 64, 48))
mg.prepare(work / "scans", work / "store", modality="CT", spacing=(4.0, 4.0, 4.0))
run = mg.pretrain("any", work / "store", work / "run", plans=work / "nnUNetPlans.json", steps=200, val_cubes=8)
exported = mg.export(run, work / "exported", to="nnunet")

# %% [markdown]
# `nnUNetv2_train ... -pretrained_weights monai-and-nnunet/exported/nnunet-pretrained.pth` does what follows: nnU-Net
# builds its network and takes all tensors but those of the heads, which must all be there.

# %%
from dynamic_network_architectures.architectures.unet import PlainConvUNet

kinds = {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
nnunet = PlainConvUNet(input_channels=1, num_classes=3, deep_supervision=True, **{**numbers, **kinds})
given = torch.load(exported / "nnunet-pretrained.pth", weights_only=True)["network_weights"]
own = nnunet.state_dict()
taken = {name: given[name] for name in own if ".seg_layers." not in name}
nnunet.load_state_dict({**own, **taken})
print(f"{len(taken)} of {len(own)} tensors come from the pre-training")
ours = mg.load(run).network.encoder.state_dict()
assert all(torch.equal(tensor, ours[name]) for name, tensor in nnunet.encoder.state_dict().items())
