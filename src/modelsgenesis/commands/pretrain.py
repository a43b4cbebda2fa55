"""The verb pretrain."""

from modelsgenesis.pretraining.pretrain import pretrain

__all__ = ["pretrain"]
