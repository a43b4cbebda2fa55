"""Target tasks: what a network predicts, and the labelled cases."""

from modelsgenesis.tasks.bms import bms
from modelsgenesis.tasks.chexpert import chexpert
from modelsgenesis.tasks.covidx import covidx
from modelsgenesis.tasks.dxc import dxc
from modelsgenesis.tasks.ecc import ecc
from modelsgenesis.tasks.folder import folder
from modelsgenesis.tasks.hippocampus import hippocampus
from modelsgenesis.tasks.iuc import iuc
from modelsgenesis.tasks.jsrt import jsrt
from modelsgenesis.tasks.lcs import lcs
from modelsgenesis.tasks.lookup import find_reader, names, read
from modelsgenesis.tasks.medmnist3d import medmnist3d
from modelsgenesis.tasks.mimic_cxr import mimic_cxr
from modelsgenesis.tasks.montgomery import montgomery
from modelsgenesis.tasks.ncc import ncc
from modelsgenesis.tasks.ncs import ncs
from modelsgenesis.tasks.published import Published, Score
from modelsgenesis.tasks.rsna import rsna
from modelsgenesis.tasks.shenzhen import shenzhen
from modelsgenesis.tasks.task import Task
from modelsgenesis.tasks.vindr import vindr

__all__ = [
    "Published",
    "Score",
    "Task",
    "bms",
    "chexpert",
    "covidx",
    "dxc",
    "ecc",
    "find_reader",
    "folder",
    "hippocampus",
    "iuc",
    "jsrt",
    "lcs",
    "medmnist3d",
    "mimic_cxr",
    "montgomery",
    "names",
    "ncc",
    "ncs",
    "read",
    "rsna",
    "shenzhen",
    "vindr",
]
