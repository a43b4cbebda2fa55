"""Tensors of other libraries and other places in memory."""

import torch
from monai.data import MetaTensor

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Blur, genesis


def test_monai_tensors_keep_their_affine() -> None:
    """A MetaTensor comes back as one, with where it lies in the patient."""
    affine = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.rand(1, 16, 16, 16), affine=affine)
    for deformation in (genesis(), Blur()):
        out = deformation(image, generator_for(0, 0))
        assert isinstance(out, MetaTensor)
        assert torch.equal(out.affine, affine)


def test_a_tensor_that_is_learnt_through_is_no_obstacle() -> None:
    """A tensor that requires a gradient is deformed as a plain one, and the result requires none."""
    image = torch.rand(1, 16, 16, 16, requires_grad=True)
    out = genesis()(image, generator_for(0, 0))
    assert not out.requires_grad
    assert torch.equal(out, genesis()(image.detach(), generator_for(0, 0)))
