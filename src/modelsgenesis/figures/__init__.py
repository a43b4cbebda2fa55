"""Pictures for people: sheets in radiological view, curves, and pages that hold all they show."""

from modelsgenesis.figures.locator import Locator
from modelsgenesis.figures.restoration import restoration_sheet
from modelsgenesis.figures.sheet import Panel, draw_sheet

__all__ = ["Locator", "Panel", "draw_sheet", "restoration_sheet"]
