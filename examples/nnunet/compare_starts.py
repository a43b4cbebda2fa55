"""Compare what nnU-Net's training started from with what was exported for it, tensor by tensor.

    python compare_starts.py start.pth nnunet-pretrained.pth
    python compare_starts.py start.pth nnunet-pretrained.pth encoder.

The second only where the tensors' names begin so: the development branch takes the encoder and no more.
"""

import sys

import torch

HEADS = ".seg_layers."  # nnU-Net draws them anew


def main(start: str, exported: str, part: str = "") -> None:
    """Say how many tensors are the exported ones, bit for bit; exit with 1 unless all are but the heads."""
    begun = torch.load(start, map_location="cpu", weights_only=True)
    ours = torch.load(exported, map_location="cpu", weights_only=True)["network_weights"]
    body = [name for name in begun if name.startswith(part) and HEADS not in name]
    same = [name for name in body if torch.equal(begun[name], ours[name])]
    heads = [name for name in begun if HEADS in name]
    print(f"{len(same)} of {len(body)} tensors are the exported ones, bit for bit; {len(heads)} are of the heads")
    sys.exit(len(same) != len(body) or not body)


if __name__ == "__main__":
    main(*sys.argv[1:])
