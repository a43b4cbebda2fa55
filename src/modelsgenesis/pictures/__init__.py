"""Pictures for people: sheets in radiological view, curves, and pages that hold all they show."""

from modelsgenesis.pictures.locator import Locator
from modelsgenesis.pictures.restoration import restoration_sheet
from modelsgenesis.pictures.sheet import Panel, draw_sheet

__all__ = ["Locator", "Panel", "draw_sheet", "restoration_sheet"]
