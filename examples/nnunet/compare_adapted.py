"""Build and fill a network as the trainer of nnU-Net's development branch does, and compare it with what was exported.

    python compare_adapted.py nnUNet_preprocessed/DATASET/ptPlans__genesis____....json nnunet-pretrained.pth

The plans are those that `nnUNetv2_preprocess_like_nnssl` wrote from the exported checkpoint.
"""

import json
import sys
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.pretraining.pretrainedTrainer import PretrainedTrainer


def main(plans: str, exported: str) -> None:
    """Say how many tensors of the encoder are the exported ones; exit with 1 unless all are."""
    planned = json.loads(Path(plans).read_text())
    settings, known = planned["configurations"]["3d_fullres"], planned["pretrain_info"]
    network = PretrainedTrainer.build_network_architecture(
        settings["architecture"]["network_class_name"],
        settings["architecture"]["arch_kwargs"],
        settings["architecture"]["_kw_requires_import"],
        settings["patch_size"],
        len(settings["normalization_schemes"]),
        2,
        enable_deep_supervision=False,
    )
    network, _ = PretrainedTrainer.load_pretrained_weights(
        network,
        exported,
        known["pt_num_in_channels"],
        len(settings["normalization_schemes"]),
        known["pt_used_patchsize"],
        settings["patch_size"],
        known["key_to_encoder"],
        known["key_to_stem"],
        tuple(known["keys_to_in_proj"]),
        known["key_to_lpe"],
    )
    ours = torch.load(exported, map_location="cpu", weights_only=True)["network_weights"]
    encoder = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("encoder.")}
    same = [name for name, tensor in encoder.items() if torch.equal(tensor, ours[name])]
    print(f"{len(same)} of the encoder's {len(encoder)} tensors are the exported ones, bit for bit")
    sys.exit(len(same) != len(encoder))


if __name__ == "__main__":
    main(*sys.argv[1:])
