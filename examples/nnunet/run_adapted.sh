#!/bin/bash
# After run.sh, in the same WORK: the commands of nnU-Net's development branch on the same exported file.
#
#     bash run_adapted.sh WORK NNUNET_BIN
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: bash run_adapted.sh WORK NNUNET_BIN" >&2
    exit 2
fi
work=$(cd "$1" && pwd) bin=$2
here=$(cd "$(dirname "$0")" && pwd)
dataset=Dataset004_Hippocampus
exported="$work/exported/nnunet-pretrained.pth"

nnunet() {
    env nnUNet_raw="$work/raw" nnUNet_preprocessed="$work/preprocessed" nnUNet_results="$work/results" \
        nnUNet_n_proc_DA=0 nnUNet_def_n_proc=1 nnUNet_compile=f "$@"
}

echo "1. nnU-Net adapts its plans to the exported file"
nnunet "$bin/nnUNetv2_preprocess_like_nnssl" -d 4 -n genesis -pc "$exported" -am like_pretrained -np 1 > "$work/adapt.log"
adapted=("$work/preprocessed/$dataset/ptPlans__genesis____"*.json)
plans=$(basename "${adapted[0]}" .json)

echo "2. nnU-Net starts from it"
nnunet "$bin/python" "$here/train_shortly.py" --adapted 4 3d_fullres 0 -device cpu -p "$plans" > "$work/train_adapted.log"
"$bin/python" "$here/compare_starts.py" "$work/results/$dataset/PretrainedTrainer__${plans}__3d_fullres/fold_0/start.pth" \
    "$exported" encoder.
