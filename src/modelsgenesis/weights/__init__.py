from modelsgenesis.weights.files import load_network, save_network
from modelsgenesis.weights.opening import Opened, load, load_backbone, open_weights, read_checkpoint

__all__ = ["Opened", "load", "load_backbone", "load_network", "open_weights", "read_checkpoint", "save_network"]
