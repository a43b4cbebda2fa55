#!/bin/bash
# From a folder of labelled MRI to an nnU-Net that starts from weights of our own pre-training; README.md says more.
#
#     bash run.sh IMAGES LABELS WORK NNUNET_BIN [CASES] [STEPS]
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: bash run.sh IMAGES LABELS WORK NNUNET_BIN [CASES] [STEPS]" >&2
    exit 2
fi
images=$1 labels=$2 work=$3 bin=$4 cases=${5:-12} steps=${6:-40}
here=$(cd "$(dirname "$0")" && pwd)
dataset=Dataset004_Hippocampus
mkdir -p "$work"

# nnU-Net finds its folders by these names; nothing of ours reads them. DA=0: it augments in its own process.
nnunet() {
    env nnUNet_raw="$work/raw" nnUNet_preprocessed="$work/preprocessed" nnUNet_results="$work/results" \
        nnUNet_n_proc_DA="$1" nnUNet_def_n_proc=1 nnUNet_compile=f "${@:2}"
}

echo "1. nnU-Net plans its data set"
python "$here/raw_dataset.py" "$images" "$labels" "$work/raw/$dataset" "$cases"
nnunet 1 "$bin/nnUNetv2_plan_and_preprocess" -d 4 -c 3d_fullres -npfp 1 -np 1 > "$work/plan.log"
plans="$work/preprocessed/$dataset/nnUNetPlans.json"

echo "2. the same images, without their labels, teach the network that it planned"
spacing=$(python -c "import json, sys
plans = json.load(open(sys.argv[1]))
mm = plans['configurations']['3d_fullres']['spacing']
print(*(mm[plans['transpose_backward'][axis]] for axis in (2, 1, 0)))" "$plans")
# shellcheck disable=SC2086  # three numbers
genesis prepare "$work/raw/$dataset/imagesTr" "$work/store" --spacing $spacing --modality MR --folds 4 --salt example
genesis pretrain any "$work/store" "$work/run" --plans "$plans" --steps "$steps" --validate-every $((steps / 2)) \
    --warmup-steps $((steps / 10)) --val-cubes 8 --val-folds 0 --accelerator cpu
genesis export "$work/run" "$work/exported" --to nnunet

echo "3. nnU-Net starts from it"
nnunet 0 "$bin/python" "$here/train_shortly.py" 4 3d_fullres 0 -device cpu \
    -pretrained_weights "$work/exported/nnunet-pretrained.pth" > "$work/train.log"
trained="$work/results/$dataset/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0"
"$bin/python" "$here/compare_starts.py" "$trained/start.pth" "$work/exported/nnunet-pretrained.pth"

echo "4. nnU-Net predicts with the result"
mkdir -p "$work/new"
first=("$work/raw/$dataset/imagesTr/"*)
cp "${first[0]}" "$work/new"
nnunet 1 "$bin/nnUNetv2_predict" -i "$work/new" -o "$work/masks" -d 4 -c 3d_fullres -f 0 -device cpu -npp 1 -nps 1 \
    --disable_tta > "$work/predict.log"
ls "$work/masks"
