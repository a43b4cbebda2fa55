from modelsgenesis.nets.residual_unet import ResidualUNet
from modelsgenesis.nets.unet3d import UNet3D

__all__ = ["ResidualUNet", "UNet3D"]
