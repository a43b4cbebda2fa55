"""A sliding window that streams: rows along X leave the weighted sum as soon as no later window touches them."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelsgenesis.data.images import Image
from modelsgenesis.data.regions import embedded, overlap
from modelsgenesis.inference.ensemble import Ensemble, Evidence
from modelsgenesis.inference.windows import Place, Windows

ROWS = 8  # that are handed on together
PRIOR = 1e-30  # weight of the background where no window looks; beside that of any window it is nothing
BATCH_VOXELS = 2**20  # of the windows predicted together, unless a number of windows is given

Tick = Callable[[int], object]


def num_together(patch: Place, batch_size: int | None) -> int:
    """How many windows are predicted at once: as given, or about a million voxels."""
    return batch_size or max(1, BATCH_VOXELS // int(np.prod(patch)))


def predictions(
    image: Image,
    ensemble: Ensemble | Evidence,
    windows: Windows,
    *,
    batch_size: int | None = None,
    tick: Tick | None = None,
) -> Iterator[tuple[Place, Tensor]]:
    """Yield the prediction of every window that is to be computed, in order.

    Args:
        image: scaled window by window, so that it stays in its own dtype.
        ensemble: that predicts.
        windows: of the image.
        batch_size: windows at a time; None is as many as make up a million voxels.
        tick: called with the number of windows that were predicted, each time.
    Yields:
        The first voxel of a window and its prediction, (outputs[, *patch]) on the device.
    """
    together = num_together(windows.patch, batch_size)
    for first in range(0, len(windows.computed), together):
        places = windows.computed[first : first + together]
        batch = torch.from_numpy(np.stack([cut_window(image, windows, place) for place in places]))
        if ensemble.machine.device.type == "cuda":
            batch = batch.pin_memory()  # else its copy waits until the device has done all that it was told
        yield from zip(places, ensemble(batch), strict=True)
        if tick is not None:
            tick(len(places))


def cut_window(image: Image, windows: Windows, place: Place) -> NDArray[np.float32]:
    """One window as the network sees it, (C, *patch): scaled, and 0 where the image is padded."""
    inside, there = overlap(windows.size, windows.in_image(place), windows.patch)
    return embedded(image.scaled(inside), there, windows.patch)


def rows(
    image: Image,
    ensemble: Ensemble | Evidence,
    windows: Windows,
    *,
    batch_size: int | None = None,
    tick: Tick | None = None,
    background: int | None = None,
) -> Iterator[Tensor]:
    """Yield the average of overlapping windows row by row, each voxel weighted by a Gaussian.

    Where no window was computed an output is 0, and 1 if it is the background's.

    Args:
        image: to sweep.
        ensemble: that predicts.
        windows: of the image.
        batch_size: as for `predictions`.
        tick: as for `predictions`.
        background: the number of the output that says so, if there is one.
    Yields:
        (outputs, n, Y, Z), or (outputs, n, Y) of a picture, n rows along X at a time, in order; the image whole in the
        end.
    """
    outputs = ensemble.num_outputs
    shape = (outputs + 1, windows.patch[0], *windows.padded[1:])
    device = ensemble.machine.of_sum(4 * int(np.prod(shape)))
    prior = torch.zeros(outputs + 1, device=device)
    prior[[outputs] if background is None else [outputs, background]] = PRIOR
    slab = torch.empty(shape, device=device)  # the weighted sum of each output, and the sum of the weights
    _clear(slab, prior)
    weights = windows.weights().to(device)
    starts = sorted({place[0] for place in windows.places})
    for (x, *others), predicted in predictions(image, ensemble, windows, batch_size=batch_size, tick=tick):
        while starts[0] < x:
            yield from _past(slab, starts, prior, windows)
        beside = (slice(at, at + side) for at, side in zip(others, windows.patch[1:], strict=True))
        here = slab[(slice(None), slice(None), *beside)]
        here[:outputs].addcmul_(predicted.to(device), weights)
        here[outputs].add_(weights)
    while starts:
        yield from _past(slab, starts, prior, windows)


def _past(slab: Tensor, starts: list[int], prior: Tensor, windows: Windows) -> Iterator[Tensor]:
    """Hand on the rows before the next start, or all if there is none, and move the slab there."""
    base = starts.pop(0)
    if not starts:
        yield from _whole(slab, base, windows)
        return
    yield from _whole(slab[:, : starts[0] - base], base, windows)
    _advance(slab, starts[0] - base, prior)


def _whole(slab: Tensor, base: int, windows: Windows) -> Iterator[Tensor]:
    """Divide finished rows by their weights and cut the padding off."""
    first, last = max(base, windows.before[0]), min(base + slab.shape[1], windows.before[0] + windows.size[0])
    others = [slice(before, before + side) for before, side in zip(windows.before[1:], windows.size[1:], strict=True)]
    for row in range(first - base, last - base, ROWS):
        at: tuple[slice, ...] = (slice(None), slice(row, min(row + ROWS, last - base)), *others)
        some = slab[at]
        yield some[:-1] / some[-1:]


def _advance(slab: Tensor, by: int, prior: Tensor) -> None:
    """Move the slab's rows up, one at a time so that nothing is doubled, and clear those that come."""
    rest = slab.shape[1] - by
    for row in range(rest):
        slab[:, row] = slab[:, row + by]
    _clear(slab[:, max(0, rest) :], prior)


def _clear(rows: Tensor, prior: Tensor) -> None:
    """Let nothing count in rows but the prior."""
    rows[:] = prior.reshape(-1, *(1,) * (rows.ndim - 1))
