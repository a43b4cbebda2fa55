from modelsgenesis.weights.files import load, load_backbone, load_network, save_network

__all__ = ["load", "load_backbone", "load_network", "save_network"]
