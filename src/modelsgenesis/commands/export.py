"""The verb export."""

from modelsgenesis.reports.export import export

__all__ = ["export"]
