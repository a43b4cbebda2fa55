"""Make an nnU-Net data set of the first labelled cases of a folder: images and labels of the same file names.

python raw_dataset.py IMAGES LABELS NNUNET_RAW/Dataset004_Hippocampus 12
"""

import json
import shutil
import sys
from pathlib import Path


def main(images: str, labels: str, into: str, number: str) -> None:
    """Copy the cases under nnU-Net's names, and describe them."""
    for folder in ("imagesTr", "labelsTr"):
        Path(into, folder).mkdir(parents=True, exist_ok=True)
    cases = sorted(path for path in Path(images).glob("*.nii.gz") if Path(labels, path.name).is_file())[: int(number)]
    for image in cases:
        name = image.name.removesuffix(".nii.gz")
        shutil.copy(image, Path(into, "imagesTr", f"{name}_0000.nii.gz"))
        shutil.copy(Path(labels, image.name), Path(into, "labelsTr", image.name))
    described = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    Path(into, "dataset.json").write_text(json.dumps(described, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
