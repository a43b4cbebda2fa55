"""The verb finetune: `genesis finetune DATA RUN`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.finetuning import finetune as room
from modelsgenesis.finetuning.options import FineTuneOptions
from modelsgenesis.tasks import Task


@verb(FineTuneOptions)
def finetune(data: Task | str | Path, into: str | Path, options: FineTuneOptions) -> Path:
    """Train a network on a task from labelled cases; run again, it goes on where it stopped.

    Args:
        data: The labelled cases: a folder of nnU-Net or the Medical Segmentation Decathlon, one with images/ and
            labels/, a CSV, a .npz of MedMNIST, or a Task.
        into: The run's folder: model.safetensors, last.safetensors, loading.json, log.csv, cases.csv; and val.csv,
            test.csv and unused.csv, the cases that it was not trained on. Patients have salted names there; before it
            is shared, delete patients.secret.json, which leads back.
    Returns:
        The run's folder.
    Raises:
        DataError: there are no such data, too few cases, or cases that cannot be read.
        WeightsError: there are no such weights, or they are not the network's.
        ShapeError: the patches do not fit the network.
        TrainingError: the folder holds another run, or the training failed.
    """
    return room.finetune(data, Path(into), options)
