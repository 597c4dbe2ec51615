# sideman: everything here works on a fresh clone, and again at no cost.
#
#   make setup      .venv with all that the MIDI engine and the demo need
#   make demo       hear it
#   make setup-all  .venv with the extras audio, train, link and dev as well
#   make test       every test        make lint   style, types, import rules
#   make bench      the speed tables
#   make parity-audiocraft   MusicGen beside audiocraft's own, which gets 2 GB in build/parity
#
# Another Python than python3: make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := torch==2.13.0
SYNTH := tinysoundfont==0.3.7

.DEFAULT_GOAL := setup
.PHONY: setup setup-all demo test lint bench parity-audiocraft system clean

setup: $(VENV)/.setup
setup-all: $(VENV)/.setup-all

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Sideman needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

# The synthesiser without a system library comes without its dependency, an audio device driver.
$(VENV)/.setup: pyproject.toml | $(BIN)/python
	@$(MAKE) --no-print-directory system
	$(PIP) install --editable .
	$(PIP) install --no-deps $(SYNTH)
	@$(BIN)/python -m bridge.files.soundfont --fetch || \
	  echo "note: no SoundFont; sideman doctor says what to do. MIDI and OSC work without one."
	@$(BIN)/python -m engine.models.rwkv.compile $(wildcard presets/models/*) || \
	  echo "note: the model's step could not be compiled beforehand; the first start does it."
	@touch $@

# torch first, and by itself: what comes after must take the torch that is there.
$(VENV)/.setup-all: pyproject.toml $(VENV)/.setup
	$(PIP) install $(TORCH)
	$(PIP) install --editable '.[audio,train,link,dev]'
	@touch $@

demo: setup
	$(BIN)/sideman demo

test: setup-all
	$(BIN)/python -m pytest -q || test $$? -eq 5

lint: setup-all
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: setup-all
	$(BIN)/python bench/report.py

parity-audiocraft: setup-all
	PYTHON=$(BIN)/python bench/parity_audiocraft/run.sh build/parity

# MIDI ports on Linux need ALSA's library, and the better of the two synthesisers is FluidSynth.
# Neither is a must: without them the engine speaks OSC and plays through its other synthesiser.
# The tests play MIDI through JACK, which CI must have; elsewhere they say what they lack.
LIBRARIES = import ctypes.util as u, sys; \
  sys.exit(sys.platform != "darwin" and not (u.find_library("asound") and u.find_library("fluidsynth")))
system: | $(BIN)/python
	@set --; \
	$(BIN)/python -c '$(LIBRARIES)' || set -- "libasound2t64 libasound2" libfluidsynth3; \
	[ -z "$$CI" ] || command -v jackd >/dev/null || set -- "$$@" jackd2; \
	[ $$# -gt 0 ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq; \
	  for wanted in "$$@"; do \
	    for package in $$wanted; do \
	      apt-get install -y -qq --no-install-recommends $$package >/dev/null 2>&1 && break; \
	    done; \
	  done; \
	fi; \
	$(BIN)/python -c '$(LIBRARIES)' || \
	  echo "note: for MIDI ports and FluidSynth: sudo apt install libasound2 libfluidsynth3"

clean:
	rm -rf $(VENV) build dist
