#!/bin/sh
# Parity with audiocraft itself: it makes tiny models in a Python of its own, and ours is held
# against them. Where that Python is there already, nothing is downloaded.
#
#   bench/parity_audiocraft/run.sh FOLDER    PYTHON=/path/to/python for another than .venv's
#
# Exit status 1 where anything differs, or where audiocraft cannot be had.
set -eu

[ $# -eq 1 ] || { echo "usage: bench/parity_audiocraft/run.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
here=bench/parity_audiocraft
python=${PYTHON:-.venv/bin/python}
theirs=$folder/venv/bin/python
log=$folder/log.txt

need() {
    "$@" >> "$log" 2>&1 && return
    tail -n 5 "$log" >&2
    echo "error: $what, so nothing was compared; all that was said is in $log" >&2
    exit 1
}

: > "$log"
# audiocraft pins a torch of 2023, so it comes without what it asks for. torchaudio's own library
# wants CUDA; without it torchaudio goes on in Python.
recipe=$(cat "$here/run.sh" "$here/requirements.txt" | cksum)
if [ "$(cat "$folder/venv/recipe" 2>/dev/null)" != "$recipe" ]; then
    echo "== a Python for audiocraft 1.3.0, once: 2 GB in $folder/venv" >&2
    what="audiocraft or what it needs could not be installed (can pip reach its package index?)"
    rm -rf "$folder/venv" "$folder/source"
    need "$python" -m venv "$folder/venv"
    pip() { need "$theirs" -m pip --disable-pip-version-check --quiet "$@"; }
    pip install setuptools wheel torch==2.13.0
    pip download --no-deps --no-build-isolation --no-binary audiocraft \
        --dest "$folder/source" audiocraft==1.3.0
    pip install --no-deps --no-build-isolation "$folder/source/audiocraft-1.3.0.tar.gz" \
        torchaudio==2.11.0 xformers==0.0.35
    rm -rf "$folder"/venv/lib/python3*/site-packages/torchaudio/lib
    pip install --requirement "$here/requirements.txt"
    need tar -xzf "$folder/source/audiocraft-1.3.0.tar.gz" -C "$folder/source" --strip-components=1
    echo "$recipe" > "$folder/venv/recipe"
fi

echo "== audiocraft's side" >&2
what="audiocraft could not make its side"
# audiocraft's exports read a checkpoint of training, which holds more than tensors.
need env HF_HUB_OFFLINE=1 HF_HUB_CACHE="$folder/reference/hub" \
    TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 OMP_NUM_THREADS=1 \
    "$theirs" -W ignore "$here/make_reference.py" "$folder/source/config" "$folder/reference"

echo "== ours" >&2
status=0
"$python" "$here/compare.py" "$folder/reference" > "$folder/result.md" || status=$?
cat "$folder/result.md"
exit $status
