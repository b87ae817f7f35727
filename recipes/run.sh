#!/usr/bin/env bash
# Train, export and keep the scores of one recipe; needs packs, PyTorch and src on PYTHONPATH, no network.
#   recipes/run.sh PACKS RECIPE OUT [--set key=value ...]
# Called again with the same OUT it goes on where it was stopped. OUT gets run/ (checkpoint, best, logs) and model/.
set -euo pipefail
packs=$1 recipe=$2 out=$3
shift 3
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
im2dem() { python3 -c 'from im2dem.cli import main; main()' "$@"; }

im2dem train "$recipe" --data "$packs" --out "$out/run" "$@"
im2dem models export "$out/run" -o "$out/model" --name "$(basename "$recipe" .toml)" --overwrite
cat "$out/run/validation.csv"
