"""Made-up torsos in HU, for the demo and the tests: no two alike, every organ labelled, no patient behind them."""

from modelsgenesis.phantom.anatomy import LABELS
from modelsgenesis.phantom.chest import Nodule
from modelsgenesis.phantom.files import phantom_paths, write_phantoms
from modelsgenesis.phantom.torso import Phantom, torso

__all__ = ["LABELS", "Nodule", "Phantom", "phantom_paths", "torso", "write_phantoms"]
