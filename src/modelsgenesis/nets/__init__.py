from modelsgenesis.nets.centre_planes import CentrePlanes
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.convnext import ConvNeXt
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.nets.network import Network
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.nets.primus import Primus
from modelsgenesis.nets.residual_unet import ResidualUNet
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.nets.segresnet import SegResNet
from modelsgenesis.nets.slice_wise import SliceWise
from modelsgenesis.nets.swin import Swin
from modelsgenesis.nets.unet3d import UNet3D
from modelsgenesis.nets.vit import ViT

__all__ = [
    "CentrePlanes",
    "Classifier",
    "ConvNeXt",
    "NamedHeads",
    "Network",
    "PlannedUNet",
    "Primus",
    "ResNet",
    "ResidualUNet",
    "SegResNet",
    "SliceWise",
    "Swin",
    "UNet3D",
    "ViT",
]
