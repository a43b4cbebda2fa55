"""`nnUNetv2_train` itself, cut to two epochs of five iterations; it keeps the weights that it starts from.

    python train_shortly.py 4 3d_fullres 0 -device cpu -pretrained_weights nnunet-pretrained.pth
    python train_shortly.py --adapted 4 3d_fullres 0 -device cpu -p ptPlans__genesis____...

With `--adapted` it is `nnUNetv2_train_pretrained` of nnU-Net's development branch. `start.pth`, beside the checkpoints,
is the network before the first iteration.
"""

import sys
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

begin = nnUNetTrainer.on_train_start


def on_train_start(self: nnUNetTrainer) -> None:
    """Begin as ever, of a short training, and keep what it begins with."""
    self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 5, 2
    begin(self)
    torch.save(self.network.state_dict(), Path(self.output_folder, "start.pth"))


if __name__ == "__main__":
    nnUNetTrainer.on_train_start = on_train_start
    if "--adapted" in sys.argv:
        sys.argv.remove("--adapted")
        from nnunetv2.run.run_training_from_pretrained import train_pretrained_entrypoint as train
    else:
        from nnunetv2.run.run_training import run_training_entry as train
    train()
