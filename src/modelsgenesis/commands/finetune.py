"""The verb finetune."""

from modelsgenesis.finetuning.finetune import finetune

__all__ = ["finetune"]
