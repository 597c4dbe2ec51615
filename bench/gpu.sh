#!/bin/sh
# What only a machine with an NVIDIA GPU can say: that the CUDA steps compute what the others do,
# how fast they are, with MIDI and with MusicGens of the published sizes, and what the model that
# ships learns there. Tables and weights go into the folder that is named.
#
#   bench/gpu.sh FOLDER        PYTHON=/path/to/python for another than .venv's
#                              SIDEMAN_DATA=folder of the music; without it nothing is trained
#                              MINUTES=20 of training
#
# Exit status 1 where there is no GPU, where anything is wrong, or where a MusicGen is slower than
# is claimed; the rest is measured even so.
set -eu

[ $# -eq 1 ] || { echo "usage: bench/gpu.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

"$python" - <<'PROBE' || exit 1
import sys
try:
    import torch
except ImportError:
    sys.exit("error: no torch here; make setup-all first")
if not torch.cuda.is_available():
    sys.exit(f"error: no GPU that torch {torch.__version__} can use; nothing was measured")
PROBE

{
    echo "# $(date -u +%Y-%m-%d), $("$python" -c 'import torch; print(torch.cuda.get_device_name())')"
    echo
    "$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=driver_version,clocks.max.sm,power.limit --format=csv
    fi
} > "$folder/machine.md"

echo "== parity: the tests that need CUDA" >&2
"$python" -m pytest -q -rs tests/engine/models/rwkv tests/engine/models/musicgen -k cuda \
    > "$folder/tests.txt" 2>&1 \
    || { tail -n 30 "$folder/tests.txt" >&2; echo "error: a CUDA test failed" >&2; exit 1; }
tail -n 1 "$folder/tests.txt" >&2

echo "== parity and speed of the step" >&2
"$python" bench/torch_step.py --device cuda > "$folder/step.md" \
    || { cat "$folder/step.md" >&2; echo "error: the CUDA step is wrong" >&2; exit 1; }
cat "$folder/step.md"

status=0
for bench in audio_step audio_take; do
    echo "== $bench: MusicGen small, medium and large, of random weights" >&2
    "$python" "bench/$bench.py" --device cuda > "$folder/$bench.md" \
        || { echo "error: $bench did not come to its end" >&2; status=1; }
    cat "$folder/$bench.md"
    ! grep -q "DOES NOT HOLD" "$folder/$bench.md" || status=1
done

midis=${SIDEMAN_DATA:-../shared/data}/midi
if [ -d "$midis" ]; then
    echo "== the model that ships, ${MINUTES:-20} minutes" >&2
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$python" -m training.build tokenize training/recipes/band.toml "$midis" "$work/tokens"
    "$python" bench/midi_training.py "$work/tokens" --compile > "$folder/training.md"
    cat "$folder/training.md"
    "$python" -m training.build midi "$work/tokens" "$work/run" --minutes "${MINUTES:-20}" --lanes 64
    "$python" -m training.build model "$work/tokens" "$work/run" "$folder/sideman-band-4x256"
else
    echo "no music at $midis: nothing is trained" >&2
fi
echo "tables are in $folder" >&2
exit $status
