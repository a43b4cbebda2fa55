"""The verb benchmark."""

from modelsgenesis.benchmarking.suite import benchmark

__all__ = ["benchmark"]
