"""Made-up torsos in HU, for the demo and the tests: no two alike, every organ labelled, no patient behind them."""

from modelsgenesis.data.phantom.anatomy import LABELS
from modelsgenesis.data.phantom.chest import Nodule
from modelsgenesis.data.phantom.files import phantom_paths, write_phantoms
from modelsgenesis.data.phantom.torso import Phantom, torso

__all__ = ["LABELS", "Nodule", "Phantom", "phantom_paths", "torso", "write_phantoms"]
