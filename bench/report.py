"""Every bench, one after another, and their tables in one file: what ``make bench`` runs.

    python bench/report.py [-o FILE] [--quick] [--midigpt PYTHON]

Nothing else should run meanwhile: the file says how busy the machine was before and during it.
A bench that can't run is named with its last words. Exit status 1 where one can't.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import psutil

from bench.tools import ROOT, cpu, machine

BENCHES = {
    "decode": ("Decoding", []),
    "first_note": ("First note", ["--triggers", "10", "--every", "5"]),
    "variations": ("Variations", ["--requests", "3"]),
    "mask": ("Grammar and sampling", ["--takes", "1"]),
    "startup": ("Start and memory", ["--starts", "2", "--cold", "1"]),
    "next_bar": ("Next bar, in time", ["--requests", "20"]),
    "midi_jitter": ("MIDI out", ["--notes", "2000", "--peer-notes", "1000", "--bars", "4"]),
    "midi_clock": ("MIDI clock in", ["--songs", "2"]),
    "audio_step": ("A step of MusicGen", ["--frames", "60"]),
    "audio_take": ("MusicGen to sound", ["--seconds", "2", "--takes", "2", "--requests", "3"]),
    "osc_load": ("OSC under load", ["--seconds", "3"]),
}
"""Script, title, and what makes it quick."""


def default_file() -> Path:
    """``bench/results/DATE-HARDWARE.md``."""
    name = re.sub(r"\W+", "-", f"{cpu()} {os.cpu_count()} cores").strip("-").lower()
    return ROOT / "bench" / "results" / f"{date.today()}-{name}.md"


def run(script: str, options: list[str]) -> tuple[str, bool]:
    """What a bench prints, or why it can't, and whether it went well."""
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / f"{script}.py", *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return done.stdout.strip(), True
    words = done.stderr.strip().splitlines()
    return f"Not measured: {words[-1] if words else 'it ended without a word'}", False


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=None, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few rounds; no figures to quote")
    parser.add_argument("--midigpt", metavar="PYTHON", default=os.environ.get("MIDIGPT_PYTHON"))
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}")
    a = parser.parse_args()
    if unknown := set(a.benches) - set(BENCHES):
        parser.error(f"no bench is called {', '.join(sorted(unknown))}")
    parts = [f"# {date.today()}, {cpu()}", ""]
    parts += [f"- {name}: {value}" for name, value in machine().items()]
    begun, well = time.monotonic(), True
    for script in a.benches or BENCHES:
        title, quick = BENCHES[script]
        options = list(quick) if a.quick else []
        if script == "first_note" and a.midigpt:
            options += ["--midigpt", a.midigpt]
        print(f"== {script}", file=sys.stderr, flush=True)
        text, good = run(script, options)
        well &= good
        print(text, flush=True)
        load = psutil.getloadavg()[0]
        parts += ["", f"## {title}", "", text, "", f"Load afterwards: {load:.2f}."]
    parts += ["", f"All of it took {(time.monotonic() - begun) / 60:.0f} minutes."]
    if a.quick:
        parts.insert(1, "\nA quick run: nothing here is to be quoted.")
    file = a.output or default_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"written: {file}", file=sys.stderr)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
