"""What all our deformations share: any array or tensor in, float32 inside, the same kind out."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from modelsgenesis.core.deformation import Deformation, Image
from modelsgenesis.core.errors import DataError, ShapeError
from modelsgenesis.deformations.base.value_range import Array, Range, Span, check_range, span_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PixelDeformation(Deformation):
    """A deformation in a value range, written for float32 arrays; arrays and tensors of all kinds then work.

    Args:
        range: of the image's values, (low, high), or Percentiles(). The deformation maps it to [0, 1] and back, so
            that HU, z-scores and [0, 1] are deformed alike.
    """

    range: Range = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_range(self.range)

    @abstractmethod
    def deform(self, array: Array, span: Span, drawn: Any) -> Array:
        """Return the deformed image as a new float32 array.

        Args:
            array: float32, contiguous, (C, X, Y[, Z]), finite; to be left untouched.
            span: its range; low < high.
            drawn: what `draw` returned.
        """

    def apply(self, image: Image, drawn: Any) -> Image:
        """Return the deformed image: same type, shape, dtype, device and range; `image` stays untouched.

        The work is done in float32; an integer image is rounded back.

        Raises:
            DataError: NaN or infinity in the image, or neither a NumPy array nor a tensor; or grey levels are to be
                mapped or painted, and it is in other units than the range.
            ShapeError: not (C, X, Y) or (C, X, Y, Z).
        """
        array = as_array(image)
        check_axes(array.shape)
        span = span_of(array, self.range)
        out = array.copy() if span.low >= span.high else self.deform(array, span, drawn)
        return like(out, image)


def check_axes(shape: tuple[int, ...]) -> None:
    """Refuse an image that is not (C, X, Y) or (C, X, Y, Z)."""
    if len(shape) not in (3, 4):
        raise ShapeError(
            f"an image is (C, X, Y) or (C, X, Y, Z), got shape {tuple(shape)}; add the channel axis in front"
        )


def check_sides(shape: tuple[int, ...], least: int, name: str) -> None:
    """Refuse an image with a side under `least` voxels."""
    check_axes(shape)
    if min(shape[1:]) < least:
        raise ShapeError(f"{name} needs every side to have at least {least} voxels, got {tuple(shape[1:])}")


def as_array(image: Any) -> Array:
    """See an array or tensor as a contiguous float32 array, without a copy where that can be."""
    if not isinstance(image, np.ndarray):
        if not hasattr(image, "detach"):
            raise DataError(f"an image is a NumPy array or a tensor, got {type(image).__name__}")
        image = image.detach().cpu().float().numpy()
    return np.ascontiguousarray(image, dtype=np.float32)


def like(out: Array, image: Image) -> Image:
    """Turn a float32 array into an array or tensor like `image`."""
    if isinstance(image, np.ndarray):
        return cast(Image, out if image.dtype == np.float32 else cast_within(out, image))
    import torch

    tensor, result = cast("Tensor", image), torch.from_numpy(out)
    if not tensor.is_floating_point():
        result = result.round()
    result = result.to(tensor.device, tensor.dtype)
    return cast(Image, result if type(tensor) is torch.Tensor else torch.empty_like(tensor).copy_(result))


def cast_within(out: Array, image: Array) -> Array:
    """Cast to the dtype of `image`, rounding where that is an integer."""
    if not np.issubdtype(image.dtype, np.floating):
        out = np.rint(out)
    return out.astype(image.dtype)
