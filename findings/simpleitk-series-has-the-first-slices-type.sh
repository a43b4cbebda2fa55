#!/usr/bin/env bash
# SimpleITK 2.5.7: a DICOM series has the pixel type of its first slice, and slices that need another wrap around, silently.
#
# Valid input: a CT series of four slices of unsigned 16 bits. The first says nothing of a rescaling; the others have slope 1 and
# intercept -1024, as where a scanner's software wrote the first slice anew. All hold 124 in one voxel.
# Seen on 2026-11-27: read one by one, the slices hold 124, -900, -900 and -900. Read by ImageSeriesReader, as a volume, they
# hold 124, 64636, 64636 and 64636, in unsigned 16 bits, without a warning. pydicom's apply_rescale gives what the slices hold.
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
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_rescale
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

series, study, frame = generate_uid(), generate_uid(), generate_uid()
paths, rescaled = [], []
for number in range(4):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    one = FileDataset(f"{number}.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.StudyInstanceUID, one.FrameOfReferenceUID = series, study, frame
    one.Modality, one.PatientID, one.InstanceNumber = "CT", "made up", number + 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 2.0 * number], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness, one.Rows, one.Columns = [1, 1], 2, 8, 8
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    if number:
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, -1024, "HU"
    one.PixelData = np.full((8, 8), 124, np.uint16).tobytes()
    one.save_as(f"{number}.dcm", enforce_file_format=True)
    paths.append(f"{number}.dcm")
    rescaled.append(float(apply_rescale(one.pixel_array, one)[0, 0]))
alone = [float(sitk.GetArrayFromImage(sitk.ReadImage(path)).flat[0]) for path in paths]
reader = sitk.ImageSeriesReader()
reader.SetFileNames(paths)
volume = sitk.GetArrayFromImage(reader.Execute())
together = [float(value) for value in volume[:, 0, 0]]
print(f"slices alone {alone}, as a series {together} in {volume.dtype}, by pydicom {rescaled}")
wrapped = together == [124.0, 64636.0, 64636.0, 64636.0] and volume.dtype == np.uint16
sys.exit(0 if wrapped and alone == rescaled == [124.0, -900.0, -900.0, -900.0] else "the behaviour has changed")
PYTHON
