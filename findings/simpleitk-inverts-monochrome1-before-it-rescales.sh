#!/usr/bin/env bash
# SimpleITK 2.5.7: of a MONOCHROME1 image the stored numbers are inverted, and the inverted ones are rescaled.
#
# Valid input: one CT slice of 12 bits stored in unsigned 16, slope 1, intercept -1024, that holds 0 to 63 times 40, once as
# MONOCHROME2 and once as MONOCHROME1. The photometric interpretation says how numbers are shown (PS3.3, C.7.6.3.1.2): what the
# modality measured is the same number in both.
# Seen on 2026-11-27: the two files' values in HU add up to one sum in every voxel, 2047: the second is turned about the middle
# of the 12 bits, in units that depend on the rescaling. pydicom's apply_rescale gives the same HU for both.
# It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check simpleitk==2.5.7 pydicom==3.0.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_rescale
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

by_sitk, by_pydicom = [], []
for shown in ("MONOCHROME2", "MONOCHROME1"):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    one = FileDataset("one.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.StudyInstanceUID, one.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    one.Modality, one.PatientID, one.InstanceNumber = "CT", "made up", 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness, one.Rows, one.Columns = [1, 1], 2, 8, 8
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, shown
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, -1024, "HU"
    one.PixelData = (np.arange(64, dtype=np.uint16) * 40).tobytes()
    one.save_as(f"{shown}.dcm", enforce_file_format=True)
    by_sitk.append(sitk.GetArrayFromImage(sitk.ReadImage(f"{shown}.dcm")).astype(float).ravel())
    by_pydicom.append(np.asarray(apply_rescale(one.pixel_array, one), float).ravel())
print("the first values, HU:", [values[:3].tolist() for values in by_sitk], [v[:3].tolist() for v in by_pydicom])
sums = set((by_sitk[0] + by_sitk[1]).tolist())
print("sums of the two by SimpleITK:", sorted(sums))
same = np.array_equal(*by_pydicom) and np.array_equal(by_pydicom[0], by_sitk[0])
sys.exit(0 if same and sums == {2047.0} else "the behaviour has changed")
PYTHON
