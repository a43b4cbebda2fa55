"""The verb report."""

from modelsgenesis.reports.run_page import report

__all__ = ["report"]
