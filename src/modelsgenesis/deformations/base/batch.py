"""A whole batch on its device, from the draws that workers made."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.errors import DataError, ShapeError
from modelsgenesis.deformations.base.loop import (
    Plan,
    PlannedDeformation,
    box_table,
    greatest_sides,
    grid_start,
    in_three_axes,
)
from modelsgenesis.deformations.base.pixelwise import check_axes
from modelsgenesis.deformations.base.value_range import Percentiles, Range, check_units
from modelsgenesis.deformations.compose import Compose, OneOf, Sometimes
from modelsgenesis.deformations.flip import Flip
from modelsgenesis.deformations.kernels import device, device_shuffling


def apply_batch(deformation: Deformation | Flip, images: Tensor, drawn: Sequence[Any]) -> Tensor:
    """Deform a batch on the device it is on, each image by its own draw.

    The four laws, Genesis and Flip run there, and give what `apply` gives on the CPU: masks, noise, flips and shuffles
    bit for bit, the intensity map to 1e-6. Other deformations are applied image by image.

    Args:
        deformation: what to apply.
        images: (B, C, X, Y[, Z]), of any floating-point dtype.
        drawn: what `deformation.draw` returned, one for each image.

    Returns:
        A new tensor, like `images`, which stay untouched.
    Raises:
        ShapeError: the batch and the draws do not match.
        DataError: NaN or infinity in an image, or its values are in other units than the range.

    Example: >>> apply_batch(genesis(), cubes.cuda(), [genesis().draw(cubes.shape[1:], rng) for _ in cubes])
    """
    deformed = deform_some(deformation, images, drawn)
    alike = deformed.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    return deformed.clone() if alike else deformed


def deform_some(deformation: Deformation | Flip, images: Tensor, drawn: Sequence[Any]) -> Tensor:
    """Deform a batch as `apply_batch` does; where nothing was drawn for any image, the result is `images` or a view."""
    check_axes(tuple(images.shape[1:]))
    if len(drawn) != len(images):
        raise ShapeError(f"got {len(images)} images but {len(drawn)} draws; draw once for each image")
    if isinstance(deformation, Compose):
        for place, part in enumerate(deformation.parts):
            images = deform_some(part, images, [decided[place] for decided in drawn])
        return images
    if isinstance(deformation, Sometimes):
        return apply_to(deformation.part, images, {i: d[0] for i, d in enumerate(drawn) if d is not None})
    if isinstance(deformation, OneOf):
        for place, part in enumerate(deformation.parts):
            images = apply_to(part, images, {i: d[1] for i, d in enumerate(drawn) if d[0] == place})
        return images
    if isinstance(deformation, PlannedDeformation):
        return run_batch(images, deformation.range, [deformation.plan(decided) for decided in drawn])
    applied = [deformation.apply(image, decided) for image, decided in zip(images, drawn, strict=True)]
    return torch.stack(applied) if applied else images


def apply_to(deformation: Deformation, images: Tensor, drawn: dict[int, Any]) -> Tensor:
    """Deform some images of a batch, given by number; of none the result is `images`."""
    if not drawn:
        return images
    at = torch.tensor(list(drawn), device=images.device)
    return images.index_copy(0, at, deform_some(deformation, images[at], list(drawn.values())))


def run_batch(images: Tensor, range: Range, plans: list[Plan]) -> Tensor:
    """Shuffle, map and paint a batch; float32 inside; where no plan plans anything, the result is a view."""
    if not len(images):
        return images
    size = in_three_axes(tuple(images.shape[2:]))
    values = images.float().flatten(2)  # (B, C, V)
    span = spans(values, range)
    extent = float((span[3] - span[2]).max())  # NaN, or infinite, where a voxel is
    if not math.isfinite(extent):
        raise DataError("the batch holds NaN or infinity; replace them before deforming, for example by the air value")
    if any(plan.needs_range for plan in plans):
        check_units(extent, range)
    sides = tuple(images.shape[2:])
    flat = span[0] >= span[1]  # one grey level, and the range is read off the image: nothing to deform
    span[1] = torch.where(flat, span[0] + 1, span[1])
    out = painted(mapped(shuffled(values, plans, size, sides), plans, span), plans, span, size, sides)
    if isinstance(range, Percentiles):
        out = torch.where(flat[:, None, None], values, out)
    out = out if images.is_floating_point() else out.round()
    return out.to(images.dtype).view(images.shape)


def spans(values: Tensor, range: Range) -> Tensor:
    """The given low and high, and the least and greatest of each image, float32 (4, B)."""
    least, greatest = values.flatten(1).aminmax(dim=1)
    if isinstance(range, Percentiles):
        ordered = values.flatten(1).sort(dim=1).values
        low, high = (ordered[:, rank] for rank in range.ranks(ordered.shape[1]))
    else:
        low, high = (torch.full_like(least, end) for end in range)
    return torch.stack([low, high, least, greatest])


def shuffled(values: Tensor, plans: list[Plan], size: tuple[int, int, int], sides: tuple[int, ...]) -> Tensor:
    """Shuffle the images whose plan says so; the others as they are."""
    for tiled in (False, True):
        some = {i: p.windows for i, p in enumerate(plans) if p.windows and (p.windows.tiles is not None) == tiled}
        if not some:
            continue
        whole = torch.tensor(size, device=values.device)
        most = torch.tensor(greatest_sides(size), device=values.device)
        low, high = device.key_words([w.key for w in some.values()], values.device)
        nums = torch.tensor([w.num_windows for w in some.values()], device=values.device)
        if tiled:
            start = torch.tensor([grid_start(w) for w in some.values()], device=values.device)
            rows = device_shuffling.grid_tiles(start, nums, whole, most)
        else:
            rows = device_shuffling.random_windows(low, high, nums, whole, most)
        seen = device.inside(
            boxes_of([w.seen or (whole_box(sides),) for w in some.values()], sides, values.device), size
        )
        source = device_shuffling.sources(rows, low, high, seen, whole, most)
        at = torch.tensor(list(some), device=values.device)
        moved = values[at].gather(2, source[:, None].expand(-1, values.shape[1], -1))
        values = values.index_copy(0, at, moved)
    return values


def mapped(values: Tensor, plans: list[Plan], span: Tensor) -> Tensor:
    """Map the images whose plan says so."""
    some = {i: p.curve for i, p in enumerate(plans) if p.curve is not None}
    if not some:
        return values
    at = torch.tensor(list(some), device=values.device)
    curves = torch.tensor(
        [list(map(float, curve)) for curve in some.values()], dtype=torch.float64, device=values.device
    )
    tables = device.bezier_tables(curves, span[0, at], span[1, at])
    return values.index_copy(0, at, device.mapped(values[at], tables, span[:, at]))


def painted(
    values: Tensor, plans: list[Plan], span: Tensor, size: tuple[int, int, int], sides: tuple[int, ...]
) -> Tensor:
    """Paint the images whose plan says so."""
    some = {i: p.paint for i, p in enumerate(plans) if p.paint is not None}
    if not some:
        return values
    at = torch.tensor(list(some), device=values.device)
    keep = torch.tensor([paint.keep for paint in some.values()], device=values.device)
    shared = torch.tensor([paint.shared for paint in some.values()], device=values.device)
    low, high = device.key_words([paint.key for paint in some.values()], values.device)
    visible = device.inside(boxes_of([p.boxes for p in some.values()], sides, values.device), size) == keep[:, None]
    noise = device.noise(low, high, values.shape[2], values.shape[1], shared)
    least, width = span[0, at, None, None], (span[1, at] - span[0, at])[:, None, None]
    return values.index_copy(0, at, torch.where(visible[:, None], values[at], least + width * noise))


def boxes_of(boxes: list[tuple[tuple[int, ...], ...]], sides: tuple[int, ...], where: torch.device) -> Tensor:
    """Boxes of each image as int64 (B, N, 6); shorter lists end in empty boxes."""
    table = torch.zeros((len(boxes), max(map(len, boxes)), 6), dtype=torch.int64)
    for row, some in zip(table, boxes, strict=True):
        row[: len(some)] = torch.from_numpy(box_table(some, sides))
    return table.to(where)


def whole_box(sides: tuple[int, ...]) -> tuple[int, ...]:
    """The box around the whole image."""
    return (*(0,) * len(sides), *sides)
