"""Context restoration: the network restores a cube of which patches were swapped."""

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations import Flip, PatchSwap
from modelsgenesis.methods.base.restoring import Restoration


class ContextRestoration(Restoration):
    """Restore a cube of which patches have changed places in pairs, by mean squared error.

    Args:
        backbone: takes the disordered cube, gives as many channels.
        moved: about which part of the voxels is swapped, in (0, 1), before overlaps; so the same in 2D and 3D, where a
            patch is a smaller part of the whole.
        side: least and greatest side of a patch, as parts of the cube's, in (0, 0.5].
        flip_rate: of the flips that cube and target share, plain augmentation.
    Raises:
        GenesisError: a part that is none.
    Source: Chen et al. 2019, "Self-supervised learning for medical image analysis using image context restoration".
    """

    aim = "put patches of images back to where they were"
    paper = (
        "Chen et al., Self-supervised learning for medical image analysis using image context restoration, "
        "Medical Image Analysis 58, 2019, doi:10.1016/j.media.2019.101539"
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        moved: float = 0.4,
        side: tuple[float, float] = (0.1, 0.25),
        flip_rate: float = 0.4,
    ) -> None:
        if not 0 < moved < 1 or not 0 < side[0] <= side[1] <= 0.5:
            raise GenesisError(f"moved must be in (0, 1) and side rise within (0, 0.5], got {moved} and {side}")
        patch = ((side[0] + side[1]) / 2) ** backbone.axes  # of the cube, at the mean side
        num_swaps = max(1, round(moved / (2 * patch)))
        super().__init__(backbone, PatchSwap(num_swaps=num_swaps, side=side), Flip(p=flip_rate))
