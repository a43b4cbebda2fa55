#!/usr/bin/env bash
# OpenVINO 2026.4.0 as pip installs it: `import openvino` looks up www.google-analytics.com and writes an identity to ~/intel.
#
# Valid input: the import alone. pip installs openvino-telemetry beside it, since openvino requires it; openvino's __init__
# imports openvino.tools.ovc, whose __init__ sends the event "import". Where that converter cannot be imported, openvino's
# __init__ goes on without, and Core reads, compiles and computes ONNX all the same. Here an audit hook stops what would leave.
# Seen on 2026-11-27: the look-up, and the files ~/intel/openvino_ga_cid and ~/intel/stats; neither without the converter.
# It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.0 openvino-telemetry==2025.2.0 numpy==2.4.6
cat > "$folder/import.py" <<'PYTHON'
import sys
import time


def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("looked up" if event == "socket.getaddrinfo" else event, arguments[0], flush=True)
        raise OSError("nothing is to leave")


sys.addaudithook(watch)
if sys.argv[1] == "without":
    sys.modules["openvino.tools.ovc"] = None
import openvino

openvino.Core()
time.sleep(1)
PYTHON
for how in with without; do
  mkdir "$folder/$how"
  env -u CI HOME="$folder/$how" "$folder/venv/bin/python" "$folder/import.py" "$how" > "$folder/$how.txt" 2>&1
  echo "$how the converter: $(wc -l < "$folder/$how.txt") lines; files: $(find "$folder/$how" -type f | wc -l)"
  cat "$folder/$how.txt"
done
grep -q 'looked up www.google-analytics.com' "$folder/with.txt" && [ -f "$folder/with/intel/openvino_ga_cid" ] \
  && [ ! -s "$folder/without.txt" ] && [ -z "$(find "$folder/without" -type f)" ] || { echo "the behaviour has changed"; exit 1; }
