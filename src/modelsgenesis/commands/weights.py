"""Weights of others and ours: `genesis weights list`, `show`, `fetch`, `recalibrate`, `quantize`, `push` and `pull`."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from modelsgenesis.core.console import PlainConsole, make_console
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.options import verb
from modelsgenesis.inference import quantize as quantizing
from modelsgenesis.inference.quantize import QuantizeOptions
from modelsgenesis.pretraining import recalibrate as recalibrating
from modelsgenesis.pretraining.recalibrate import RecalibrateOptions
from modelsgenesis.weights import hub, registry
from modelsgenesis.weights.download import Patience, Progress
from modelsgenesis.weights.fetch import fetch as fetch_entry
from modelsgenesis.weights.fetch import is_accepted
from modelsgenesis.weights.registry import Entry

WIDTH, NARROWEST = 120, 80  # of the text, in letters: where there is no terminal, and at least


def list_() -> str:
    """List the weights of the registry: what each is, which networks start from it, its size and its licence.

    Returns:
        The table; `genesis weights show NAME` prints the rest.
    """
    table = Table(show_lines=True)
    for heading in ("name", "what", "fits", "size", "licence"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "size" else "left")
    for entry in registry.ENTRIES:
        table.add_row(entry.name, entry.title, entry.fits, _megabytes(entry), entry.licence.name)
    return _text(table)


def show(name: str) -> str:
    """Tell all of one entry of the registry: licence, citation, training data, checksum, address.

    Args:
        name: of the entry.
    Returns:
        A table.
    Raises:
        WeightsError: there is none of that name.
    """
    return _text(_described(registry.find_entry(name)))


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """The options of genesis weights fetch.

    Args:
        accept: The licence is accepted; without it, it is shown and must be confirmed.
        stall_s: How many seconds without a byte make a line count as dead.
        quiet: Nothing is shown and nothing must be confirmed.
    """

    accept: bool = False
    stall_s: float = 60.0
    quiet: bool = False


@verb(FetchOptions)
def fetch(name: str | Entry, into: str | Path, options: FetchOptions) -> Path:
    """Download weights of the registry, once you have accepted their licence.

    Stopped or broken off, the same command goes on where it was. What is there already is only checked.

    Args:
        name: The name of the entry; in Python also one that you made.
        into: The folder that gets the file and its record, NAME.json.
    Returns:
        The file, for --from and mg.load.
    Raises:
        WeightsError: the licence was not accepted, or the file cannot be had or is not the right one.
        DataError: the disk is full or the folder cannot be written.
    """
    entry = name if isinstance(name, Entry) else registry.find_entry(name)
    if entry.by_hand:
        raise WeightsError(entry.by_hand)
    folder, console = Path(into), make_console(quiet=options.quiet)
    if not is_accepted(entry, folder):
        console.print(_described(entry))
        if not options.accept and not _accepts(console):
            raise WeightsError(
                f"the licence of {entry.name} was not accepted, and nothing was downloaded; read it at "
                f"{entry.licence.url}, and type yes or give --accept"
            )
    with _bar(entry.name, console) as progress:
        return fetch_entry(entry, folder, patience=Patience(stall_s=options.stall_s), progress=progress)


@verb(QuantizeOptions)
def quantize(run: str | Path, labelled: str | Path, options: QuantizeOptions) -> Path:
    """Make a run's networks compute in 8 bits by OpenVINO, for `predict --engine openvino-int8`, if masks stay as good.

    Which numbers occur is learned from windows of the labelled scans. Then all of them are predicted in 32 and in 8
    bits: if the mean Dice falls by more than 0.005, nothing is kept.

    Args:
        run: The run of masks, made by finetune.
        labelled: The labelled cases that finetune would take, with the same labels; best those it never saw.
    Returns:
        The folder with the network in 8 bits and accepted.json, both numbers: RUN/openvino-int8; of folds the run.
    Raises:
        DataError: the masks are worse in 8 bits, or there are no such cases.
        WeightsError: there is no such run, or OpenVINO does not take its network.
        MissingExtraError: OpenVINO or ONNX Runtime is not installed.
    """
    return quantizing.quantize(Path(run), Path(labelled), options)


@verb(RecalibrateOptions)
def recalibrate(source: str | Path, store: str | Path, into: str | Path, options: RecalibrateOptions) -> Path:
    """Turn a norm that uses each batch's own statistics into an ordinary batch norm, by cubes of your scans.

    The authors' PyTorch network predicts otherwise for the same cube in other company. Afterwards it does not; how much
    it did, and how far the new predictions are from the old, is measured on other cubes of the store and printed.

    Args:
        source: A weights file or a run: the authors' own, or any U-Net with the norm batch_stats or batch.
        store: The store, made by prepare.
        into: The folder that gets model.safetensors and recalibration.json; --from and mg.load take it.
    Returns:
        `into`.
    Raises:
        WeightsError: the network has another norm, or its file does not say which cubes it was trained on.
        DataError: the store gives no such cubes.
    """
    return recalibrating.recalibrate(source, Path(store), Path(into), options)


def push(folder: str | Path, repo: str, *, public: bool = False) -> str:
    """Upload an exported folder, its model card and weights, to the Hugging Face hub.

    Your account is the one of `hf auth login`. The card is read by others: look at it before you make it public.

    Args:
        folder: made by `genesis export`; its made.json, which names paths of this machine, stays here.
        repo: OWNER/NAME; made if it is not there.
        public: to all; otherwise a new repository is private.
    Returns:
        The address of what was uploaded.
    Raises:
        WeightsError: the folder is no export, or the hub refuses.
        MissingExtraError: huggingface_hub is not installed.
    """
    return hub.push(Path(folder), repo, public=public)


def pull(repo: str, into: str | Path, *, revision: str | None = None) -> Path:
    """Download a folder of weights from the Hugging Face hub.

    Args:
        repo: OWNER/NAME.
        into: the folder that gets all its files, and only when all have arrived.
        revision: a branch, a tag or a commit; a commit always gives the same.
    Returns:
        `into`.
    Raises:
        WeightsError: the folder holds something already, or the hub refuses.
        MissingExtraError: huggingface_hub is not installed.
    """
    return hub.pull(repo, Path(into), revision=revision)


weights: dict[str, Callable[..., Any]] = {
    "list": list_,
    "show": show,
    "fetch": fetch,
    "recalibrate": recalibrate,
    "quantize": quantize,
    "push": push,
    "pull": pull,
}


def _described(entry: Entry) -> Table:
    """Describe an entry of the registry in full."""
    table = Table(title=entry.name, title_justify="left", title_style="", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "what": entry.title,
        "format": entry.format,
        "fits": entry.fits,
        "trained on": entry.data,
        "licence": f"{entry.licence.name}: {entry.licence.allows}",
        "its text": entry.licence.url,
        "cite": entry.citation,
        "address": entry.url or (f"{entry.page}, for people alone" if entry.page else "in the package"),
        "size": _megabytes(entry),
        "SHA-256": entry.sha256 or ("recorded on the first download, checked after" if entry.url else ""),
        "notes": entry.notes,
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    return table


def _megabytes(entry: Entry) -> str:
    return f"{entry.size / 1e6:.0f} MB" if entry.size else ""


def _text(table: Table) -> str:
    width = max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)
    written = io.StringIO()
    PlainConsole(file=written, width=width, color_system=None, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _accepts(console: Console) -> bool:
    """Ask the user at the terminal; without a terminal the result is no."""
    if console.quiet or not sys.stdin.isatty():
        return False
    console.print("Do you accept this licence? Type yes to download: ", end="")
    return sys.stdin.readline().strip().lower() == "yes"


@contextmanager
def _bar(name: str, console: Console) -> Iterator[Progress]:
    """Make a bar that shows the progress of a download in a terminal."""
    columns = (
        TextColumn(name, markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    hidden = console.quiet or not console.is_terminal
    with Bars(*columns, console=console, disable=hidden, transient=True) as bars:
        bar = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
