"""Models Genesis: from unlabelled medical scans to networks that need fewer labels.

Importing this is cheap; each name loads what it needs when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelsgenesis import deformations, recipes, tasks
    from modelsgenesis.data.store import Store
    from modelsgenesis.nets import ResidualUNet, UNet3D
    from modelsgenesis.stages.benchmark import benchmark
    from modelsgenesis.stages.demo import demo
    from modelsgenesis.stages.evaluate import evaluate
    from modelsgenesis.stages.export import export
    from modelsgenesis.stages.finetune import finetune
    from modelsgenesis.stages.inspect import inspect
    from modelsgenesis.stages.predict import predict
    from modelsgenesis.stages.prepare import prepare
    from modelsgenesis.stages.pretrain import pretrain
    from modelsgenesis.stages.report import report
    from modelsgenesis.stages.show import show
    from modelsgenesis.weights import load

__all__ = [
    "ResidualUNet",
    "Store",
    "UNet3D",
    "benchmark",
    "deformations",
    "demo",
    "evaluate",
    "export",
    "finetune",
    "inspect",
    "load",
    "predict",
    "prepare",
    "pretrain",
    "recipes",
    "report",
    "show",
    "tasks",
]

_HOMES = {
    "ResidualUNet": "nets",
    "Store": "data.store",
    "UNet3D": "nets",
    "benchmark": "stages.benchmark",
    "demo": "stages.demo",
    "evaluate": "stages.evaluate",
    "export": "stages.export",
    "finetune": "stages.finetune",
    "inspect": "stages.inspect",
    "load": "weights",
    "predict": "stages.predict",
    "prepare": "stages.prepare",
    "pretrain": "stages.pretrain",
    "report": "stages.report",
    "show": "stages.show",
}


def __getattr__(name: str) -> Any:
    if name in ("deformations", "recipes", "tasks"):
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
