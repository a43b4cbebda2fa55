"""Target tasks: what is asked of a network, and the cases that answer it."""

from modelsgenesis.tasks.folder import folder
from modelsgenesis.tasks.task import Task

__all__ = ["Task", "folder"]
