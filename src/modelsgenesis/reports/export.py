"""Weights for other programs: `genesis export RUN INTO --to FORMAT`."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import reason, written_aside
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import fingerprint, read_provenance, write_provenance
from modelsgenesis.reports.model_card import ModelCard
from modelsgenesis.weights.exporters import find_exporter, read_given
from modelsgenesis.weights.registry import resolve

Format = Literal["safetensors", "torch", "onnx", "monai-bundle", "nnunet"]


def export(
    run: str | Path,
    into: str | Path,
    *,
    to: Format = "safetensors",
    licence: str | None = None,
    data: str | None = None,
    quiet: bool = False,
) -> Path:
    """Write a network for another program, with a model card.

    Args:
        run: a run of pretrain or finetune, one fold of a cross-validated run, or a weights file of any known format.
        into: a new folder: the format's files, README.md (the model card) and made.json.
        to: safetensors; torch, a state dict; onnx, network and encoder; monai-bundle, of a network that segments;
            nnunet, what nnUNetv2_train -pretrained_weights takes.
        licence: of the weights, for the model card; those of weights that they began with are named in any case.
        data: what the model card should say of the scans that taught the network, such as their names and licences.
        quiet: no last line.
    Returns:
        `into`.
    Raises:
        DataError: INTO holds something else, or cannot be written.
        WeightsError: there is no network there, or not one that the format can hold.
        MissingExtraError: the format needs a library that is not installed.
    """
    source, into = resolve(run), Path(into)
    arguments = {"to": to, "licence": licence, "data": data}
    console = Console(stderr=True, quiet=quiet)
    if _is_done(into, source, arguments):
        console.print(f"{into}: exported already", highlight=False)
        return into
    exporter = find_exporter(to)
    given = read_given(source)
    with _folder_aside(into) as aside:
        exporter.export(source, aside)
        card = ModelCard(given, source, to=to, usage=exporter.USAGE, licence=licence, data=data)
        with written_aside(aside / "README.md") as page:
            page.write_text(card.text(), encoding="utf-8")
        write_provenance(aside, "export", arguments, inputs=[source])
    console.print(f"export: {to} in {into}; README.md is its model card", soft_wrap=True, highlight=False)
    return into


def _is_done(into: Path, source: Path, arguments: dict[str, Any]) -> bool:
    """Whether this very export is there.

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
