"""De-noising: the network restores a cube under Gaussian noise."""

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.deformations import Flip, Noise
from modelsgenesis.methods.base.restoring import Restoration


class Denoising(Restoration):
    """Restore a cube from itself under white Gaussian noise, by mean squared error.

    Args:
        backbone: takes the noisy cube, gives as many channels.
        sd: least and greatest standard deviation of the noise, as parts of the range; drawn for each cube.
        flip_rate: of the flips that cube and target share, plain augmentation.
    Source: Vincent et al. 2010, "Stacked denoising autoencoders"; a baseline of Zhou et al. 2021, which states no
        strength: ours spans what is just seen to what hides small vessels.
    """

    aim = "take noise from images"
    paper = "Vincent et al., Stacked Denoising Autoencoders, JMLR 11, 2010"

    def __init__(self, backbone: Backbone, *, sd: tuple[float, float] = (0.05, 0.25), flip_rate: float = 0.4) -> None:
        super().__init__(backbone, Noise(sd=sd), Flip(p=flip_rate))
