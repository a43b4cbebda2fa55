"""The verb predict: `genesis predict RUN SCANS OUT`."""

from collections.abc import Sequence
from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.inference import predict as room
from modelsgenesis.inference.options import PredictOptions


@verb(PredictOptions)
def predict(
    run: str | Path | Sequence[str | Path], scans: str | Path, into: str | Path, options: PredictOptions
) -> Path:
    """Predict for scans of any format; each mask lies on its source, voxel for voxel.

    What cannot be predicted is a line in `OUT/failures.csv`; the rest goes on. Stopped and run again, it goes on where
    it was. A DICOM-SEG carries the patient's tags of its source, and the tables name sources by path.

    Args:
        run: The run, made by finetune; one of several folds is an ensemble. In Python also a list of runs.
        scans: The scans: a folder of NIfTI, NRRD, MetaImage, DICOM or .npy files, or of PNG and JPEG for networks of
            pictures; one such file; a CSV with the column `image` (or image_0, image_1 ... for channels) and, if known,
            id and modality; or a .npz of MedMNIST.
        into: The folder of the predictions: a file a case, predictions.csv, failures.csv.
    Returns:
        `into`.
    Raises:
        DataError: there is nothing to predict, nothing could be predicted, or OUT holds something else.
        WeightsError: there is no fine-tuned network, or the networks do not go together.
    """
    runs = [run] if isinstance(run, (str, Path)) else run
    return room.predict(
        [Path(each) for each in runs], here(scans, Cache(options.cache, options.cache_gib)), Path(into), options
    )
