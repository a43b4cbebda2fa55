"""Target tasks: what a network predicts, and the labelled cases."""

from modelsgenesis.tasks.bms import bms
from modelsgenesis.tasks.dxc import dxc
from modelsgenesis.tasks.ecc import ecc
from modelsgenesis.tasks.folder import folder
from modelsgenesis.tasks.hippocampus import hippocampus
from modelsgenesis.tasks.iuc import iuc
from modelsgenesis.tasks.lcs import lcs
from modelsgenesis.tasks.lookup import find_reader, names, read
from modelsgenesis.tasks.medmnist3d import medmnist3d
from modelsgenesis.tasks.ncc import ncc
from modelsgenesis.tasks.ncs import ncs
from modelsgenesis.tasks.published import Published, Score
from modelsgenesis.tasks.task import Task

__all__ = [
    "Published",
    "Score",
    "Task",
    "bms",
    "dxc",
    "ecc",
    "find_reader",
    "folder",
    "hippocampus",
    "iuc",
    "lcs",
    "medmnist3d",
    "names",
    "ncc",
    "ncs",
    "read",
]
