"""Weights for other programs: `genesis export RUN INTO --to FORMAT`."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelsgenesis.core.console import make_console
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import reason, written_aside
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import CommandLine, fingerprint, read_provenance, write_provenance
from modelsgenesis.reports.model_card import ModelCard
from modelsgenesis.weights.exporters import find_exporter, read_given
from modelsgenesis.weights.registry import part_of, resolve

Format = Literal["safetensors", "torch", "onnx", "monai-bundle", "nnunet"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of genesis export.

    Args:
        to: The format: safetensors; torch, a state dict; onnx, network and encoder; monai-bundle, of a network that
            segments; nnunet, what nnUNetv2_train -pretrained_weights takes.
        licence: The licence of the weights, for the model card; those of weights that they began with are named in any
            case.
        data: What the model card should state of the scans that the network was trained on, such as their names and
            licences.
        quiet: The last line is not printed.
    """

    to: Format = "safetensors"
    licence: str | None = None
    data: str | None = None
    quiet: bool = False


def export(run: str | Path, into: Path, options: ExportOptions, *, command: CommandLine) -> Path:
    """Export a network; `commands.export` describes the arguments, and `command` spells command lines."""
    source, part = resolve(run), part_of(run)[1]
    arguments: dict[str, Any] = {"to": options.to, "licence": options.licence, "data": options.data}
    console = make_console(quiet=options.quiet)
    settings = {**arguments, "part": part} if part else arguments
    if _is_done(into, source, settings):
        console.print(f"{into}: exported already", highlight=False)
        return into
    exporter = find_exporter(options.to)
    given = read_given(Path(run))
    with _folder_aside(into) as aside:
        exporter.export(Path(run), aside)
        card = ModelCard(given, source, usage=exporter.USAGE, command=command, **arguments)
        with written_aside(aside / "README.md") as page:
            page.write_text(card.text(), encoding="utf-8")
        write_provenance(aside, "export", settings, inputs=[source])
    console.print(f"export: {options.to} in {into}; README.md is its model card", soft_wrap=True, highlight=False)
    return into


def _is_done(into: Path, source: Path, arguments: dict[str, Any]) -> bool:
    """Whether the folder holds this very export.

    Raises:
        DataError: something else is.
    """
    if not into.exists() or (into.is_dir() and not any(into.iterdir())):
        return False
    if not (into / PROVENANCE).is_file():
        raise DataError(f"{into} is there already and holds no export; choose a new folder or an empty one")
    made = read_provenance(into, "export")
    if made.arguments == arguments and made.inputs == {str(source): fingerprint(source)}:
        return True
    raise DataError(f"{into} holds an export of other weights or with other settings; choose another folder")


@contextlib.contextmanager
def _folder_aside(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside another, which takes its place when the block ends without an error.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    aside = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of an export that was killed
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            folder.rmdir()
        os.replace(aside, folder)
    except OSError as error:
        raise DataError(f"{folder}: could not be written ({reason(error)})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
