"""Models Genesis: from unlabelled medical scans to networks that need fewer labels.

Importing this is cheap; each name loads what it needs when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelsgenesis import deformations, recipes, tasks
    from modelsgenesis.commands.benchmark import benchmark
    from modelsgenesis.commands.choose import choose
    from modelsgenesis.commands.demo import demo
    from modelsgenesis.commands.embed import embed
    from modelsgenesis.commands.evaluate import evaluate
    from modelsgenesis.commands.export import export
    from modelsgenesis.commands.finetune import finetune
    from modelsgenesis.commands.inspect import inspect
    from modelsgenesis.commands.predict import predict
    from modelsgenesis.commands.prepare import prepare
    from modelsgenesis.commands.pretrain import pretrain
    from modelsgenesis.commands.probe import probe
    from modelsgenesis.commands.report import report
    from modelsgenesis.commands.show import show
    from modelsgenesis.commands.view import view
    from modelsgenesis.data.store.store import Store
    from modelsgenesis.nets import ResidualUNet, UNet3D
    from modelsgenesis.weights import load

__all__ = [
    "ResidualUNet",
    "Store",
    "UNet3D",
    "benchmark",
    "choose",
    "deformations",
    "demo",
    "embed",
    "evaluate",
    "export",
    "finetune",
    "inspect",
    "load",
    "predict",
    "prepare",
    "pretrain",
    "probe",
    "recipes",
    "report",
    "show",
    "tasks",
    "view",
]

_HOMES = {
    "ResidualUNet": "nets",
    "Store": "data.store.store",
    "UNet3D": "nets",
    "benchmark": "commands.benchmark",
    "choose": "commands.choose",
    "demo": "commands.demo",
    "embed": "commands.embed",
    "evaluate": "commands.evaluate",
    "export": "commands.export",
    "finetune": "commands.finetune",
    "inspect": "commands.inspect",
    "load": "weights",
    "predict": "commands.predict",
    "prepare": "commands.prepare",
    "pretrain": "commands.pretrain",
    "probe": "commands.probe",
    "report": "commands.report",
    "show": "commands.show",
    "view": "commands.view",
}


def __getattr__(name: str) -> Any:
    if name in ("deformations", "recipes", "tasks"):
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
