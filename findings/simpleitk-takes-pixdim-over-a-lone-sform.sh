#!/usr/bin/env bash
# SimpleITK 2.5.7 on NIfTI whose sform alone says where voxels lie: the spacing is pixdim's, the origin and axes the sform's.
#
# Valid input: a NIfTI-1 file with sform_code 1, qform_code 0, rows of the sform of 3 mm and pixdim of 1 mm. By the standard
# (nifti1.h, method 3) the sform alone counts then, and pixdim belongs to the qform. nibabel 5.4.2 reads voxels of 3 mm; ITK
# writes the warning "has unexpected scales in sform" and reads 1 mm, so that all but the first voxel lie elsewhere.
# Seen on 2026-11-28: the last of 4 x 5 x 6 voxels at (1, 8, 45) mm by nibabel, at (7, 16, 35) by SimpleITK, turned to the same
# axes. It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cat > "$folder/read.py" <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

path, shape = sys.argv[1], (4, 5, 6)
header = nibabel.Nifti1Header()
header.set_data_shape(shape)
header.set_data_dtype(np.int16)
affine = np.diag([-3.0, -3.0, 3.0, 1.0])
affine[:3, 3] = 10, 20, 30
header.set_sform(affine, code=1)
header["pixdim"][1:4] = 1
header["vox_offset"] = 352
with open(path, "wb") as file:
    file.write(header.binaryblock + b"\0\0\0\0" + np.zeros(shape, np.int16).tobytes("F"))
image = nibabel.load(path)
theirs = sitk.ReadImage(path)
last = [side - 1 for side in shape]
place = image.affine[:3] @ [*last, 1]
other = np.array(theirs.TransformIndexToPhysicalPoint(last)) * [-1, -1, 1]
print("nibabel:", nibabel.affines.voxel_sizes(image.affine), "mm, last voxel at", place)
print("SimpleITK:", theirs.GetSpacing(), "mm, last voxel at", other, "in the same axes")
same = np.allclose(nibabel.affines.voxel_sizes(image.affine), 3) and theirs.GetSpacing() == (1, 1, 1)
sys.exit(0 if same else "the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/read.py" "$folder/lone.nii"
