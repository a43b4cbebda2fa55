#!/usr/bin/env bash
# PyTorch 2.13.0 with onnxscript 0.7.2: torch.onnx.export refuses torch.roll by, and a remainder of, a size that is dynamic.
#
# Valid input: modules that torch.export takes with a dynamic first side. `x.roll(x.shape[0] // 2, 0)` is what windows that
# are shifted (Swin) do at any input size, `torch.arange(4) % x.shape[0]` is what counts around a border.
# Seen on 2026-11-27: both are exported by torch.export, and end in a ConversionError when they are turned into ONNX, of a
# TypeError beneath ("Unsupported attribute type", "int() argument must be ... not 'SymbolicTensor'"). The same roll by
# index_select, of places that are compared and added to, is exported, and onnxruntime gives PyTorch's numbers at another size.
# A product with such a size is exported, too. It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.31.1
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import torch
from torch import nn


class Roll(nn.Module):
    def forward(self, x):
        return x.roll(x.shape[0] // 2, 0)


class Remainder(nn.Module):
    def forward(self, x):
        return x + torch.arange(4) % x.shape[0]


class Product(nn.Module):
    def forward(self, x):
        return x + torch.arange(4) * x.shape[0]


class ByTensors(nn.Module):
    def forward(self, x):
        places = torch.arange(x.shape[0]) - x.shape[0] // 2
        return x.index_select(0, torch.where(places < 0, places + x.shape[0], places))


given, other = torch.zeros(6, 4), torch.arange(40.0).reshape(10, 4)
told = {}
for kind in (Roll, Remainder, Product, ByTensors):
    module, sides = kind(), ({0: torch.export.Dim("n", min=2)},)
    torch.export.export(module, (given,), dynamic_shapes=sides)  # refuses none of them
    try:
        torch.onnx.export(module, (given,), dynamo=True, dynamic_shapes=sides, verbose=False).save("model.onnx")
        answer = onnxruntime.InferenceSession("model.onnx").run(None, {"x": other.numpy()})[0]
        told[kind.__name__] = "equal" if np.array_equal(answer, module(other).numpy()) else "different"
    except Exception as error:
        cause = error
        while cause.__cause__:
            cause = cause.__cause__
        told[kind.__name__] = f"{type(error).__name__} of a {type(cause).__name__}"
    print(f"{kind.__name__}: {told[kind.__name__]}")
refused = "ConversionError of a TypeError"
seen = {"Roll": refused, "Remainder": refused, "Product": "equal", "ByTensors": "equal"}
sys.exit(0 if told == seen else "the behaviour has changed")
PYTHON
