#!/usr/bin/env bash
# Puts what travels to a machine with a GPU into one folder: our wheel, the wheels that such a machine lacks, two stores, our
# commit and, if given, the authors' clone. No reader of scans travels: pre-training takes a store.
#
#     benchmarks/gpu/pack.sh [--data FOLDER] [--official FOLDER] [--into FOLDER]
#
# --data is ../shared/data by default; --into is .gpu-visit, which git ignores, and is made anew. PYTHON names the interpreter.
set -euo pipefail
here=$(pwd)
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python} data=../shared/data official="" into=.gpu-visit
while (($#)); do
    case $1 in
    --data) data=$(cd "$here" && realpath "$2") ;;
    --official) official=$(cd "$here" && realpath "$2") ;;
    --into) into=$(cd "$here" && realpath -m "$2") ;;
    *) echo "pack.sh: what is $1? See the head of the file" >&2 && exit 2 ;;
    esac
    shift 2
done
export PYTHONPATH=src
most=$((60 * 1024)) # KiB

rm -rf "$into"
mkdir -p "$into/wheels" "$into/stores"
git rev-parse HEAD >"$into/commit"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$into/wheels" .

# What we import and a machine for deep learning does not have; versions as constraints.txt pins them.
for name in blosc2 ndindex numexpr tyro docstring_parser typeguard monai batchgenerators dynamic_network_architectures; do
    pinned=$(grep -i "^$name==" constraints.txt)
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
        --dest "$into/wheels" "$pinned" ||
        "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$into/wheels" "$pinned"
done

if [ -d "$data/ct" ]; then
    "$python" -m benchmarks.gpu.stores "$data" "$into/stores"
else
    echo "no $data: nothing to learn from travels, and the visit makes its scans up"
fi
if [ -n "$official" ]; then
    mkdir "$into/official"
    cp -r "$official/pytorch" "$into/official/"
fi

du -k -d 1 "$into"
size=$(du -k -s "$into" | cut -f 1)
if ((size > most)); then
    echo "pack.sh: $((size / 1024)) MiB are more than the 60 that may travel; leave something out" >&2
    exit 1
fi
