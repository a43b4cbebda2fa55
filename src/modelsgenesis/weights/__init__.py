from modelsgenesis.weights.files import load_network, save_network
from modelsgenesis.weights.loading import LoadedWeights, load, load_backbone, load_weights, read_checkpoint

__all__ = ["LoadedWeights", "load", "load_backbone", "load_network", "load_weights", "read_checkpoint", "save_network"]
