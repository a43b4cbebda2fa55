"""The verb evaluate."""

from modelsgenesis.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
