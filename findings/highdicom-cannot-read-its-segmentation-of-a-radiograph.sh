#!/usr/bin/env bash
# highdicom 0.28.2: a segmentation of a radiograph that has PixelSpacing is written, and its own segread refuses it.
#
# Valid input: one CR image of 8 x 8 pixels, once without PixelSpacing and once with it, as most systems write it. A CR image
# has no SliceThickness (PS3.3, A.2).
# Seen on 2026-11-27: without, the segmentation is written and read back. With it, the Pixel Measures Sequence is written
# without a Slice Thickness, and segread raises AttributeError: "Sequence does not have the required attributes for a Pixel
# Measures Sequence". pydicom reads the file.
# It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


def segmented(spacing):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    one = FileDataset("one.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.StudyInstanceUID = generate_uid(), generate_uid()
    one.Modality, one.PatientID, one.PatientName, one.InstanceNumber = "CR", "made up", "made^up", 1
    one.PatientBirthDate = one.PatientSex = one.StudyDate = one.StudyTime = one.AccessionNumber = one.StudyID = ""
    one.ReferringPhysicianName, one.SeriesNumber, one.BodyPartExamined, one.ViewPosition = "", 1, "CHEST", "PA"
    one.Rows, one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    if spacing:
        one.PixelSpacing = spacing
    one.PixelData = (np.arange(64, dtype=np.uint16) * 40).tobytes()
    one.save_as("one.dcm", enforce_file_format=True)
    segment = hd.seg.SegmentDescription(
        1, "lung", codes.SCT.Organ, codes.SCT.Lung, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, 2:5, 3:6] = 1
    made = hd.seg.Segmentation(
        [one], mask, hd.seg.SegmentationTypeValues.BINARY, [segment], generate_uid(), 1, generate_uid(), 1,
        "made up", "made up", "1", "1",
    )
    made.save_as("seg.dcm")
    by_pydicom = int(pydicom.dcmread("seg.dcm").pixel_array.sum())
    try:
        return by_pydicom, int(hd.seg.segread("seg.dcm").pixel_array.sum())
    except Exception as error:
        return by_pydicom, f"{type(error).__name__}: {error}"


without, with_spacing = segmented(None), segmented([0.143, 0.143])
print("highdicom", hd.__version__)
print("pixels without PixelSpacing, by pydicom and by segread:", without)
print("pixels with it:", with_spacing)
refused = str(with_spacing[1]).startswith("AttributeError")
sys.exit(0 if without == (9, 9) and with_spacing[0] == 9 and refused else "the behaviour has changed")
PYTHON
