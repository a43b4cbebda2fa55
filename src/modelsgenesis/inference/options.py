"""What one may choose of predictions: the options of `genesis predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelsgenesis.core.device import Accelerator, EngineName, Precision

Views = Literal["whole", "ten-crop"]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options of genesis predict.

    Args:
        also: More runs, whose probabilities are averaged with those of the first.
        head: Of a run on labelled sets, whose labels are predicted: the name of a set.
        overlap: The share of a window that the next one sees again; 0.5, or 0.25 where a scan has one prediction.
        mirror: Predictions are averaged over windows mirrored as the networks were trained, too; along all axes this is
            eight times the work.
        views: What of a picture is seen for its class or numbers: whole; or ten-crop, the mean over the four corners
            and the centre of the picture enlarged by 8/7, and their mirror images.
        everywhere: Masks are predicted outside the body too; by default windows that hold nothing of it, but air or
            padding, are not computed, and are background.
        probabilities: Each label's probabilities are kept, as OUT/probabilities/ID__p_LABEL.nii.gz.
        format: The format of masks: nifti, or the source's own where it is NRRD, MetaImage or uncompressed NIfTI; of
            pictures always PNG.
        for_correction: Masks are also written to be corrected by hand, in OUT/correction: for Slicer (.seg.nrrd) and as
            an nnU-Net raw data set; corrected, that folder is data for finetune.
        seg: A DICOM-SEG is written beside the mask of a DICOM series or radiograph; --no-seg leaves it out.
        pictures: Each scan is pictured in OUT/pictures with its mask, with the numbers predicted, or with the classes
            and a heat map of what speaks for each.
        accelerator: What computes: auto, cpu or gpu.
        engine: What computes the networks: auto, torch, openvino or openvino-int8; auto is OpenVINO on a CPU where it
            is installed. openvino-int8 is of runs that `genesis weights quantize` made it for.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        batch_size: How many windows are computed at a time; by default as many as make up a million voxels.
        cluster: Where the work is done instead of here: the address of a scheduler of Dask, such as
            tcp://HOST:8786, its file, or local:4.
        slurm: The work is done by jobs of Slurm with these settings, such as "partition=cpu,time=60", in minutes.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
        quiet: No progress is shown.
    """

    also: tuple[Path, ...] = ()
    head: str | None = None
    overlap: float | None = None
    mirror: bool = False
    views: Views = "whole"
    everywhere: bool = False
    probabilities: bool = False
    format: Literal["nifti", "source"] = "nifti"
    for_correction: bool = False
    seg: bool = True
    pictures: bool = False
    accelerator: Accelerator = "auto"
    engine: EngineName = "auto"
    precision: Precision = "auto"
    batch_size: int | None = None
    cluster: str | None = None
    slurm: str | None = None
    cache: Path | None = None
    cache_gib: float = 500.0
    quiet: bool = False
