"""What one may choose of embeddings: the options of `genesis embed`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelsgenesis.core.device import Accelerator, FloatEngineName, Precision
from modelsgenesis.finetuning.options import Modality
from modelsgenesis.weights.lifting import Slices

Features = Literal["deepest", "all"]


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """The options of genesis embed.

    Args:
        features: Which features of the encoder are averaged: the deepest, or those of all scales, finest first.
        foreground: What lies above the background counts alone, each feature by the share of it that it covers; with
            --no-foreground all of a scan does.
        masks: A folder with a label map a scan, called after the scans: a vector for each label, over its voxels.
        overlap: The share of a window that the next one sees again.
        size: The size of the windows in voxels; pictures are shrunk or enlarged to it. By default that of what the
            network was trained on.
        spacing: The spacing in mm along X, Y and Z to resample to; by default that of a network trained at one, else
            each scan's own.
        slices: How a 2D network takes volumes: axial, coronal, sagittal, orthogonal or inflated; by default as it was
            trained, else axial.
        modality: What all scans are, where they do not declare it; CT is read in Hounsfield units.
        seed: Of the weights of like:RECIPE, a network at random.
        trust: Another program's file may run its author's code, in a process of its own.
        accelerator: What computes: auto, cpu or gpu.
        engine: What computes the network: auto, torch or openvino; auto is OpenVINO on a CPU where it is installed.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        batch_size: How many windows are computed at a time; by default as many as make up a million voxels.
        cluster: Where the work is done instead of here: the address of a scheduler of Dask, such as
            tcp://HOST:8786, its file, or local:4.
        slurm: The work is done by jobs of Slurm with these settings, such as "partition=cpu,time=60", in minutes.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
        quiet: No progress is shown.
    """

    features: Features = "deepest"
    foreground: bool = True
    masks: Path | None = None
    overlap: float = 0.25
    size: tuple[int, int, int] | tuple[int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    slices: Slices | None = None
    modality: Modality | None = None
    seed: int = 0
    trust: bool = False
    accelerator: Accelerator = "auto"
    engine: FloatEngineName = "auto"
    precision: Precision = "auto"
    batch_size: int | None = None
    cluster: str | None = None
    slurm: str | None = None
    cache: Path | None = None
    cache_gib: float = 500.0
    quiet: bool = False
