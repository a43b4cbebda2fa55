"""Weights that others published, and ours: where each is, what its licence allows, what it fits."""

import difflib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from modelsgenesis.core.errors import WeightsError

BOX = Path(__file__).parent / "box"  # of weights that the package itself carries


@dataclass(frozen=True)
class Licence:
    """The licence of weights: what one may do with them.

    Attributes:
        name: of the licence.
        allows: it in a sentence; the text at `url` is what binds.
        url: of its text.
    """

    name: str
    allows: str
    url: str


@dataclass(frozen=True)
class Entry:
    """An entry of the registry: one weights file.

    Attributes:
        name: what it is called here, and, with the suffix of `url`, on disk.
        title: what it is.
        url: of the file; empty for one in the package, and for one that no program may fetch.
        format: of the file.
        fits: which networks start from it.
        licence: that its user accepts.
        citation: of its paper.
        data: it was trained on.
        size: bytes, where its publisher states them.
        sha256: where its publisher states it; else it is recorded on the first download and checked after.
        notes: what else one should know.
        page: of a file that no program may fetch: where its publisher gives it to people, or would.
    """

    name: str
    title: str
    url: str
    format: str
    fits: str
    licence: Licence
    citation: str
    data: str
    size: int | None = None
    sha256: str | None = None
    notes: str = ""
    page: str = ""

    @property
    def by_hand(self) -> str:
        """What its user must do himself; empty where a program may fetch it."""
        here = (
            "nothing is downloaded here; get it there in a browser, if its licence lets you, and give the file's path"
        )
        return f"{self.name} is given to people alone, at {self.page}: {here}" if self.page else ""

    @property
    def file(self) -> str:
        """The file's name on disk."""
        return self.name + (PurePosixPath(urlsplit(self.url).path).suffix or ".safetensors")


ASU = Licence(
    "Non-commercial, of ASU (M19-252LC)",
    "Academic and other non-commercial research only. Copies and derived weights carry the same licence; commercial "
    "use needs a written agreement with the university, which also holds a patent on the method.",
    "https://github.com/MrGiovanni/ModelsGenesis/blob/master/LICENSE",
)
POPAR = Licence(
    "Non-commercial, of ASU (M23-029L)",
    ASU.allows.replace("also holds a patent on the method", "says that patents are pending"),
    "https://github.com/jlianglab/POPAR/blob/main/POPAR_DART2022/LICENSE",
)
PEAC = Licence("Non-commercial, of ASU", POPAR.allows, "https://github.com/jlianglab/PEAC/blob/master/LICENSE.txt")
ARK = Licence(
    "Non-commercial, of ASU", POPAR.allows, "https://github.com/jlianglab/Ark/blob/main/Ark_MICCAI2023/LICENSE"
)
NO_LICENCE = "There is no licence file, so all rights are reserved: ask the authors before you use it at all."
SUPREM = Licence(
    "CC BY-NC-ND 4.0",
    "Non-commercial use with attribution; adapted material, such as fine-tuned weights, may not be shared.",
    "https://github.com/MrGiovanni/SuPreM/blob/main/LICENSE",
)
OPENMIND = Licence(
    "CC BY 4.0",
    "Any use, commercial too, and derived weights may be shared, with attribution.",
    "https://creativecommons.org/licenses/by/4.0/",
)
MEDICALNET = Licence(
    "MIT",
    "Any use, commercial too, and derived weights may be shared, with the copyright notice.",
    "https://github.com/Tencent/MedicalNet/blob/master/LICENSE",
)
TORCHVISION = Licence(
    "BSD-3-Clause, and ImageNet's terms",
    "The program's licence allows any use; its publisher says that the weights may carry the terms of the data they "
    "were trained on, and ImageNet's are for non-commercial research and education.",
    "https://github.com/pytorch/vision/blob/main/LICENSE",
)
RAD_DINO = Licence("MIT", MEDICALNET.allows, "https://huggingface.co/microsoft/rad-dino/blob/main/LICENSE")
EVA_X = Licence("MIT", MEDICALNET.allows, "https://github.com/hustvl/EVA-X/blob/main/LICENSE")
OURS = Licence(
    "Apache-2.0",
    "Any use, commercial too, with the notice; its model card names the licences of the scans it learned from. The "
    "method is patented: see NOTICE.",
    "https://www.apache.org/licenses/LICENSE-2.0",
)

_GENESIS = "Zhou et al., Models Genesis, Medical Image Analysis 67:101840, 2021, doi:10.1016/j.media.2020.101840"
_SUPREM = "Li, Yuille, Zhou, How Well Do Supervised Models Transfer to 3D Image Segmentation?, ICLR 2024"
_OPENMIND = "Wald et al., An OpenMind for 3D medical vision self-supervised learning, ICCV 2025, arXiv:2412.17041"
_MED3D = "Chen, Ma, Zheng, Med3D: Transfer Learning for 3D Medical Image Analysis, arXiv:1904.00625, 2019"
_RESNET = "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385"
_CONVNEXT = "Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545"
_POPAR = "Pang et al., POPAR, Medical Image Analysis, 2025, and at DART 2022"
_PEAC = (
    "Zhou, Luo et al., Learning Anatomically Consistent Embedding for Chest Radiography, BMVC 2023, arXiv:2312.00335"
)
_ARK = "Ma, Pang, Gotway, Liang, Foundation Ark, MICCAI 2023, arXiv:2310.09507"
_ACE = "Zhou, Luo et al., ACE: Anatomically Consistent Embeddings in Composition and Decomposition, WACV 2025"
_RAD_DINO = (
    "Perez-Garcia et al., Exploring scalable medical image encoders beyond text supervision, Nature Machine "
    "Intelligence, 2025, arXiv:2401.10815"
)
_EVA_X = "Yao et al., EVA-X: A foundation model for general chest X-ray analysis, arXiv:2405.05237, 2024"
_NIH = "86,524 chest X-rays of ChestX-ray14, without labels"
_LUNA = "623 chest CT scans of LUNA16 (LIDC-IDRI)"
_HUB = "https://huggingface.co"
_TAG = "The hub's page carries the tag apache-2.0; the licence in the authors' repository, shown here, is stricter."


def _openmind(method: str, title: str, *, sha256: str | None = None, notes: str = "") -> Entry:
    return Entry(
        name=f"openmind-resencl-{method.lower()}",
        title=f"OpenMind's ResEnc-L, pre-trained by {title}",
        url=f"{_HUB}/MIC-DKFZ/ResEncL-OpenMind-{method}/resolve/main/checkpoint_final.pth",
        format="nnssl checkpoint (torch)",
        fits="residual-encoder U-Net of nnU-Net, six stages",
        licence=OPENMIND,
        citation=_OPENMIND,
        data="114,000 head and neck MRI volumes of OpenNeuro, 1 mm, z-scored",
        sha256=sha256,
        notes=notes or "About 0.5 GB.",
    )


def _medicalnet(depth: int, size: int | None = None, sha256: str | None = None) -> Entry:
    return Entry(
        name=f"medicalnet-resnet{depth}",
        title=f"MedicalNet's 3D ResNet-{depth}, trained to segment",
        url=f"{_HUB}/TencentMedicalNet/MedicalNet-Resnet{depth}/resolve/main/resnet_{depth}_23dataset.pth",
        format="MedicalNet (torch)",
        fits=f"3D ResNet-{depth}",
        licence=MEDICALNET,
        citation=_MED3D,
        data="23 data sets of CT and MRI, as their authors count them",
        size=size,
        sha256=sha256,
        notes="An encoder alone. One channel, z-scored.",
    )


def _imagenet(kind: str, size: str, begins: str) -> Entry:
    residual = kind == "ResNet"
    file = f"{kind}{'' if residual else '_'}{size}".lower()
    return Entry(
        name=f"imagenet-{file.replace('_', '-')}",
        title=f"torchvision's {kind}-{size}, trained to classify photographs",
        url=f"https://download.pytorch.org/models/{file}-{begins}.pth",
        format=f"torchvision {kind} (torch)",
        fits=f"2D {kind}-{size}" + (", and inflated the 3D one" if residual else ""),
        licence=TORCHVISION,
        citation=_RESNET if residual else _CONVNEXT,
        data="1.3 million photographs of ImageNet, with labels (IMAGENET1K_V1)",
        notes=f"An encoder alone. Its file's SHA-256 begins with {begins}, says its publisher.",
    )


def _popar(name: str, file: str, fits: str, data: str, *, notes: str = "An encoder alone.") -> Entry:
    return Entry(
        name=f"popar-{name}",
        title=f"POPAR's {fits.removeprefix('2D ')}, which restores and orders cells",
        url=f"https://zenodo.org/records/{file}?download=1",
        format="Swin Transformer (torch)",
        fits=fits,
        licence=POPAR,
        citation=_POPAR,
        data=data,
        notes=notes,
    )


def _ark(name: str, title: str, fits: str, data: str, citation: str = _ARK) -> Entry:
    return Entry(
        name=name,
        title=title,
        url="",
        page="https://github.com/jlianglab/Ark",
        format="Swin Transformer (torch)",
        fits=fits,
        licence=ARK,
        citation=citation,
        data=data,
        notes="An encoder alone, the teacher; its heads are named in its notes. Its authors give it on request.",
    )


def _eva_x(size: str) -> Entry:
    return Entry(
        name=f"eva-x-{size}",
        title=f"EVA-X's ViT, {size}, which fills in masked features",
        url=f"{_HUB}/MapleF/eva_x/resolve/main/eva_x_{size}_patch16_merged520k_mim.pt",
        format="Vision Transformer (torch)",
        fits="2D ViT, 224 pixels, patches of 16",
        licence=EVA_X,
        citation=_EVA_X,
        data="520,000 chest X-rays, without labels",
        notes="An encoder alone.",
    )


def _unlicensed(name: str, title: str, repository: str, fits: str) -> Entry:
    page = f"https://github.com/jlianglab/{repository}"
    return Entry(
        name=name,
        title=title,
        url="",
        page=page,
        format="not tried here",
        fits=fits,
        licence=Licence("None", NO_LICENCE, page),
        citation=_ACE,
        data="chest X-rays, without labels",
    )


ENTRIES = (
    Entry(
        name="genesis-small-ct",
        title="Ours, small, in the package: nothing to download",
        url="",
        format="safetensors of modelsgenesis",
        fits="U-Net, width 8, norm batch",
        licence=OURS,
        citation=_GENESIS,
        data="ten open CT scans, chest for the most part; listed in its model card",
        notes="mg.load('genesis-small-ct') and --from genesis-small-ct know it by its name.",
    ),
    Entry(
        name="genesis-chest-ct",
        title="The authors' Genesis Chest CT, PyTorch",
        url=f"{_HUB}/MrGiovanni/ModelsGenesis/resolve/main/Genesis_Chest_CT.pt",
        format="official PyTorch",
        fits="U-Net, width 32, norm batch_stats, up transposed",
        licence=ASU,
        citation=_GENESIS,
        data=_LUNA,
        size=152_639_120,
        sha256="62de21a05236d6a8d8d5b03ec740f6ac6b818d15d3e86eed4f38a2a17d63cc08",
        notes=f"Its norm uses the batch's statistics in evaluation too; genesis weights recalibrate mends it. {_TAG}",
    ),
    Entry(
        name="genesis-chest-ct-keras",
        title="The authors' Genesis Chest CT, Keras",
        url=f"{_HUB}/MrGiovanni/ModelsGenesis/resolve/main/Genesis_Chest_CT.h5",
        format="official Keras (HDF5)",
        fits="U-Net, width 32, norm batch, up nearest",
        licence=ASU,
        citation=_GENESIS,
        data=_LUNA,
        size=130_755_568,
        sha256="2d40370b4e470f852542d5969229ca7a28e4aad73d40af016f7e6b7879d6367c",
        notes=_TAG,
    ),
    Entry(
        name="genesis-luna16-nnunet",
        title="The authors' Genesis for nnU-Net v1, of the competitions",
        url=f"{_HUB}/MrGiovanni/ModelsGenesis/resolve/main/genesis_nnunet_luna16_006.model",
        format="nnU-Net v1 .model",
        fits="nnU-Net's plain U-Net, base 32, five poolings",
        licence=ASU,
        citation=_GENESIS,
        data=_LUNA,
        size=246_317_023,
        sha256="0fc3bc12910d403afd6876ca35f2bec7446c3e2676c59f67d5e47d3f4da52fc5",
        notes=f"Reads z-scores of HU, mean -775.8457 and standard deviation 251.9326. {_TAG}",
    ),
    Entry(
        name="suprem-genesis-unet",
        title="SuPreM's copy of Genesis Chest CT, PyTorch",
        url=f"{_HUB}/MrGiovanni/SuPreM/resolve/main/self_supervised_models_genesis_unet_620.pt",
        format="official PyTorch",
        fits="U-Net, width 32, norm batch_stats, up transposed",
        licence=ASU,
        citation=_GENESIS,
        data=_LUNA,
        size=152_639_120,
        sha256="62de21a05236d6a8d8d5b03ec740f6ac6b818d15d3e86eed4f38a2a17d63cc08",
        notes="The same bytes as genesis-chest-ct.",
    ),
    Entry(
        name="suprem-unet",
        title="SuPreM's U-Net, trained to segment the abdomen",
        url=f"{_HUB}/MrGiovanni/SuPreM/resolve/main/supervised_suprem_unet_2100.pth",
        format="SuPreM (torch)",
        fits="U-Net, width 32, norm batch_stats, up transposed",
        licence=SUPREM,
        citation=_SUPREM,
        data="2,100 abdominal CT scans of AbdomenAtlas 1.1, with labels",
        notes=f"About 230 MB. For --from: its head is steered by words and left out. {_TAG}",
    ),
    _openmind(
        "MAE",
        "a masked auto-encoder",
        sha256="7a847af785635335c00e711d16ff4d225d86ecd5992b14c059df2b520e3ee933",
        notes="491 MB. The best of the benchmark's convolutional networks.",
    ),
    _openmind("VoCo", "volume contrast", notes="An encoder alone."),
    _openmind("SimCLR", "SimCLR"),
    _medicalnet(10, 57_456_599, "afa8055f3e47f4a18239495d92a7abc587902c69c31c743de2b2784653b72605"),
    _medicalnet(18),
    _medicalnet(34, 253_276_232, "3ea7188e396774e4ef95b66e5e90a78273bb33f6e58d3d717bf24f5f1aaeaa28"),
    _medicalnet(50, 184_885_051, "ff48a62219073fb977fd3f4ddfb8dc1367f0ec156c8d6f6c37e205bd683a246e"),
    _imagenet("ResNet", "18", "f37072fd"),
    _imagenet("ResNet", "34", "b627a593"),
    _imagenet("ResNet", "50", "0676ba61"),
    _imagenet("ConvNeXt", "Tiny", "983f1562"),
    _popar("swin-nih", "17356352/files/popar_swin_nih14_448.pth", "2D Swin-B, 448 pixels, windows of 7", _NIH),
    _popar(
        "swin-xrays",
        "17356352/files/popar_swin_allxrays_448.pth",
        "2D Swin-B, 448 pixels, windows of 7",
        "811,000 chest X-rays of 16 sets, without labels",
    ),
    _popar(
        "swin-dart",
        "7102247/files/POPAR_Swin_448.pth",
        "2D Swin-B, 448 pixels, windows of 7",
        _NIH,
        notes="An encoder alone, that of the first paper. In 64 bits, as its code trains it.",
    ),
    _popar("swinv2-nih", "17356352/files/popar_swinv2_nih14_448.pth", "2D SwinV2-B, 512 pixels, windows of 16", _NIH),
    _popar(
        "swinv2-xrays",
        "17356352/files/popar_swinv2_allxrays_512.pth",
        "2D SwinV2-B, 512 pixels, windows of 16",
        "811,000 chest X-rays of 16 sets, without labels",
    ),
    Entry(
        name="peac-swin",
        title="PEAC's Swin-B, whose views of one chest agree cell by cell",
        url="",
        page="https://github.com/jlianglab/PEAC",
        format="Swin Transformer (torch)",
        fits="2D Swin-B, 448 pixels, windows of 7",
        licence=PEAC,
        citation=_PEAC,
        data=_NIH,
        notes="An encoder alone, the student; FILE#teacher takes the teacher. It lies on Google Drive.",
    ),
    _ark(
        "ark5",
        "Ark-5's Swin-B, taught by five sets of labels",
        "2D Swin-B, 224 pixels, windows of 7",
        "335,484 chest X-rays of CheXpert, ChestX-ray14, RSNA, VinDr-CXR and Shenzhen, with labels",
    ),
    _ark(
        "ark6",
        "Ark-6's Swin-B, taught by six sets of labels",
        "2D Swin-B, 224 pixels, windows of 7",
        "704,363 chest X-rays: Ark-5's, and MIMIC-CXR, with labels",
    ),
    _ark(
        "ark-plus",
        "Ark+'s Swin-L, taught by six sets of labels",
        "2D Swin-L, 768 pixels, windows of 12",
        "704,363 chest X-rays, those of Ark-6, with labels",
        "Ma, Pang et al., A fully open AI foundation model applied to chest radiography, Nature, 2025",
    ),
    Entry(
        name="rad-dino",
        title="RAD-DINO's ViT-B, which learned from chest X-rays alone",
        url=f"{_HUB}/microsoft/rad-dino/resolve/main/model.safetensors",
        format="Vision Transformer (safetensors)",
        fits="2D ViT-B, 518 pixels, patches of 14",
        licence=RAD_DINO,
        citation=_RAD_DINO,
        data="chest X-rays of BRAX, ChestX-ray14, CheXpert, MIMIC-CXR and PadChest, without labels; it began as DINOv2",
        notes="An encoder alone. 346 MB. Its page asks to use it for research, not for clinical practice.",
    ),
    *(_eva_x(size) for size in ("tiny", "small", "base")),
    _unlicensed("ace", "ACE's and ACE-v2's networks: no licence file", "ACE", "2D Swin-B and SwinV2-B"),
    _unlicensed("lamps", "Lamps' network: no licence file", "Lamps", "2D Swin-B"),
)


def find_entry(name: str) -> Entry:
    """Find an entry by its name.

    Raises:
        WeightsError: there is none of that name; the message offers the nearest.
    """
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    names = [entry.name for entry in ENTRIES]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    raise WeightsError(f"no {name!r} in the registry; there are: {', '.join(near)}; genesis weights list shows all")


def resolve(name_or_path: str | Path) -> Path:
    """Turn what a user called a network into a path: a path that exists wins, then a network of the package.

    Args:
        name_or_path: a path, one with the part of the file that is meant behind a #, or the name of an entry.
    Returns:
        The path, without its part; one that is neither is given back as it is, for its reader to refuse.
    Raises:
        WeightsError: it is the name of weights that must be fetched first, or that this installation lacks.
    """
    path = Path(part_of(name_or_path)[0])
    entry = next((entry for entry in ENTRIES if entry.name == str(name_or_path)), None)
    if entry is None or path.exists():
        return path
    if entry.by_hand:
        raise WeightsError(entry.by_hand)
    if entry.url:
        raise WeightsError(
            f"{entry.name} is in the registry, not here; run genesis weights fetch {entry.name} weights/ and give "
            f"weights/{entry.file} in its place"
        )
    boxed = BOX / entry.file
    if not boxed.is_file():
        raise WeightsError(f"{entry.name}: this installation lacks {boxed.name}; install modelsgenesis again")
    return boxed


def part_of(name_or_path: str | Path) -> tuple[str, str]:
    """The path, and the part of the file that is meant, of FILE#PART; no part of a path that exists as it is."""
    path, mark, part = str(name_or_path).rpartition("#")
    return (path, part) if mark and not Path(name_or_path).exists() else (str(name_or_path), "")
