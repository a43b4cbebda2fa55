"""From a pre-trained network to a task's: which tensors are taken, adapted, or left at random."""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from rich.table import Table
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.nets.base.window_attention import TABLE, stretched_table, window_of
from modelsgenesis.nets.network import Network, backbone_of
from modelsgenesis.weights.files import arguments_of, distinct

ChannelAdaptation = Literal["mean", "first", "random"]
How = Literal["taken", "adapted", "random"]

LEAST = 0.95  # of the encoder's parameters; below it a "pre-trained" network is mostly a random one
SHOWN = 6  # exceptions in a table, mismatches in an error


@dataclass(frozen=True)
class Row:
    """The origin of one tensor of the new network.

    Attributes:
        tensor: its name in the new network.
        part: encoder, decoder or head.
        shape: in the new network.
        how: taken as it is, adapted, or left at random.
        why: it is not simply taken; empty if it is.
        learned: a parameter; False for a norm's running statistics.
    """

    tensor: str
    part: Part
    shape: tuple[int, ...]
    how: How
    why: str = ""
    learned: bool = True


@dataclass(frozen=True)
class LoadingMap:
    """The origins of all tensors of a new network.

    Attributes:
        rows: one a tensor of the new network, in its order.
        unused: tensors of the pre-trained network that the new one lacks.
    """

    rows: tuple[Row, ...]
    unused: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[Part, float]:
        """The share of each part's parameters that are taken or adapted; 1 for a part without parameters."""
        shares: dict[Part, float] = {}
        for part in get_args(Part):
            counts = {how: self._count(part, how) for how in get_args(How)}
            total = sum(counts.values())
            shares[part] = 1 - counts["random"] / total if total else 1.0
        return shares

    def _count(self, part: Part, how: How) -> int:
        rows = (row for row in self.rows if row.learned and (row.part, row.how) == (part, how))
        return sum(torch.Size(row.shape).numel() for row in rows)

    def to_json(self) -> dict[str, Any]:
        """The map as data, for loading.json beside the weights."""
        return {"shares": self.shares, "rows": [asdict(row) for row in self.rows], "unused": list(self.unused)}

    def table(self, title: str = "Tensors from the pre-trained network") -> Table:
        """The map for people: tensors counted by part, and below them whatever is not simply taken."""
        below = "\n".join(self.exceptions())
        table = Table(title=title, caption=below, caption_justify="left", min_width=100)
        head, *rows = self.counts()
        for heading in head:
            table.add_column(heading, justify="left" if heading == "part" else "right")
        for row in rows:
            table.add_row(*row)
        return table

    def counts(self) -> list[tuple[str, ...]]:
        """The tensors of each part by what became of them, and its share of parameters, below the columns' names."""
        rows = [("part", *get_args(How), "share of its parameters")]
        for part, share in self.shares.items():
            counts = [sum((row.part, row.how) == (part, how) for row in self.rows) for how in get_args(How)]
            rows.append((part, *map(str, counts), f"{share:.1%}"))
        return rows

    def exceptions(self) -> list[str]:
        """A line each for the first tensors outside the head that are not simply taken, and for those unused."""
        odd = [row for row in self.rows if row.how != "taken" and row.part != "head"]
        lines = [f"{row.tensor} {row.how}: {row.why}" for row in odd[:SHOWN]]
        if len(odd) > SHOWN:
            lines.append(f"and {len(odd) - SHOWN} more")
        if self.unused:
            lines.append(f"{len(self.unused)} pre-trained tensors unused, the first is {self.unused[0]}")
        return lines


def whole(network: Backbone, trained: Collection[Part] | None = None) -> LoadingMap:
    """The map of a network that is taken without changes.

    Args:
        network: as it came.
        trained: the parts that its method trained; the others are still as they were drawn. None is all.
    """
    places = _places(network)
    rows = []
    for name, tensor in distinct(network).items():
        part, learned = places[id(tensor)], isinstance(tensor, nn.Parameter)
        is_trained = trained is None or part in trained
        how: How = "taken" if is_trained else "random"
        why = "" if is_trained else f"its pre-training trained the {' and '.join(trained or ())} alone"
        rows.append(Row(name, part, tuple(tensor.shape), how, why, learned))
    return LoadingMap(tuple(rows))


def network_for(pretrained: Backbone, *, in_channels: int, out_channels: int) -> Backbone:
    """Make a network of the same kind and size for another task: it gives logits, at every scale if it can.

    Args:
        pretrained: whose class and arguments are taken, not its weights.
        in_channels: of the task's images.
        out_channels: of the task's prediction.
    Returns:
        Fresh weights, drawn from torch's global generator: seed it first.
    """
    flat = pretrained.network if isinstance(pretrained, FlatOnVolumes) else pretrained
    deep = {"deep_supervision": True} if "deep_supervision" in arguments_of(flat) else {}
    return network_with(pretrained, activation="identity", in_channels=in_channels, out_channels=out_channels, **deep)


def network_with(network: Backbone, **changed: Any) -> Backbone:
    """Make a network of the same kind with some arguments changed.

    Args:
        network: whose class and other arguments are taken, not its weights.
        changed: arguments of its constructor; of a network of pictures at work on volumes, of the former's, but for the
            channels, which are of volumes.
    Raises:
        WeightsError: its kind takes no such argument, or not together with its others.
    """
    if isinstance(network, FlatOnVolumes):
        channels = changed.get("in_channels", network.in_channels) * network.planes
        return network.around(network_with(network.network, **{**changed, "in_channels": channels}))
    kind, arguments = type(network), arguments_of(network)
    changes = ", ".join(f"{name} {value}" for name, value in changed.items())
    if strange := changed.keys() - arguments.keys():
        raise WeightsError(f"{kind.__name__} takes no {', '.join(sorted(strange))}; use another kind of network")
    try:
        return kind(**{**arguments, **changed})
    except (ValueError, TypeError) as error:
        raise WeightsError(f"no {kind.__name__} of its arguments with {changes} ({error})") from error


def transfer(
    pretrained: Backbone,
    network: Network,
    *,
    adapt_channels: ChannelAdaptation = "mean",
    least: float = LEAST,
    loading: LoadingMap | None = None,
    heads: bool = False,
) -> LoadingMap:
    """Start a network from a pre-trained one: copy what fits, adapt the first convolution, leave the heads at random.

    A classifier's idle decoder is copied too, so that its backbone can start a third task.

    Args:
        pretrained: where from; it is not changed.
        network: where to, in place, such as `network_for` makes.
        adapt_channels: what the first convolution does when the task's images have other channels. "mean" repeats the
            sum over its channels and divides by their new number, so that equal channels give the old features;
            "first" keeps the channels there were and starts further ones at zero; "random" leaves it.
        least: share of the encoder's parameters that must be taken or adapted, from 0 to 1.
        loading: how the pre-trained network came from its file: what is at random there is not taken.
        heads: take heads that fit too: the task is the one that they were trained for.
    Returns:
        What became of each tensor.
    Raises:
        WeightsError: too little of the encoder fits; the network is then as it was.
        ValueError: an unknown way to adapt input channels.
    """
    if adapt_channels not in get_args(ChannelAdaptation):
        raise ValueError(f"adapt_channels must be {', '.join(get_args(ChannelAdaptation))}, got {adapt_channels!r}")
    prefix = "" if isinstance(network, Backbone) else "backbone."
    given = {prefix + name: tensor.detach() for name, tensor in distinct(pretrained).items()}
    absent = {prefix + row.tensor: row.why for row in (loading.rows if loading else ()) if row.how == "random"}
    own, places, first = distinct(network), _places(network), _first_convolution(network)
    values: dict[str, Tensor] = {}
    rows: list[Row] = []
    left: set[str] = set()  # modules with random weights: their biases and statistics would be of other features
    for name, tensor in own.items():
        part, module = places[id(tensor)], name.rpartition(".")[0]
        reason = "heads start at random" if part == "head" and not heads else absent.get(name)
        if reason is None and module in left:
            reason = "its weights are random"
        fit = (
            _fit(name, tensor, given.get(name), adapt_channels if tensor is first else None)
            if reason is None
            else _random(reason)
        )
        how, why, value = fit
        learned = isinstance(tensor, nn.Parameter)
        if value is not None:
            values[name] = value
        elif learned:
            left.add(module)
        rows.append(Row(name, part, tuple(tensor.shape), how, why, learned))
    loaded = LoadingMap(tuple(rows), tuple(name.removeprefix(prefix) for name in given if name not in own))
    _check(loaded, least)
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)
    return loaded


Fit = tuple[How, str, Tensor | None]


def _fit(name: str, tensor: Tensor, value: Tensor | None, adapt_channels: ChannelAdaptation | None) -> Fit:
    """Fit a pre-trained tensor to a new one; `adapt_channels` is for the first convolution alone."""
    if value is None:
        return _random("not in the pre-trained network")
    if value.shape == tensor.shape:
        return "taken", "", value
    old, new = tuple(value.shape), tuple(tensor.shape)
    if name.endswith(TABLE) and old[1:] == new[1:]:
        was, window = window_of(value), window_of(tensor)
        return "adapted", f"biases of windows of {was} stretched to {window}", stretched_table(value, window)
    if adapt_channels is None or old[:1] + old[2:] != new[:1] + new[2:]:
        return _random(f"{new} here, {old} in the pre-trained network")
    what = f"from {old[1]} to {new[1]} input channels"
    if adapt_channels == "random":
        return _random(what)
    if adapt_channels == "mean":
        return "adapted", f"{what}, each their sum / {new[1]}", value.sum(1, keepdim=True) / new[1]
    kept = min(old[1], new[1])
    padded = value.new_zeros(new)
    padded[:, :kept] = value[:, :kept]
    return "adapted", f"{what}, {kept} of them kept and the rest zero", padded


def _random(why: str) -> Fit:
    return "random", why, None


def _places(network: Network) -> dict[int, Part]:
    """The part of the network that each tensor is in, by the tensor's id."""
    backbone = backbone_of(network)
    return {
        id(tensor): part
        for part, module in (*backbone.parts(), *network.parts())
        for tensor in (*module.parameters(), *module.buffers())
    }


def _first_convolution(network: Network) -> Tensor:
    """The weights of the first convolution."""
    return next(weights for weights in network.parts()[0][1].parameters() if weights.dim() > 2)


def _check(loaded: LoadingMap, least: float) -> None:
    share = loaded.shares["encoder"]
    if share >= least:
        return
    missed = [row for row in loaded.rows if row.learned and row.part == "encoder" and row.how == "random"]
    first = "; ".join(f"{row.tensor} ({row.why})" for row in missed[:3])
    raise WeightsError(
        f"only {share:.1%} of the encoder's parameters fit the pre-trained network, at least {least:.0%} must; "
        f"{len(missed)} tensors do not: {first}{'; ...' if len(missed) > 3 else ''}. Use the pre-trained network's own "
        f"backbone and width, or require less with least={math.floor(share * 100) / 100}"
    )
