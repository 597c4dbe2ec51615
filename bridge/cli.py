"""The command line: one Typer app, one module a command, and how errors end a run.

Modules of commands import what they need when they run, so that ``sideman --help`` is quick and
``sideman serve`` stays small.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from bridge.commands import (
    bench,
    continue_,
    demo,
    doctor,
    listen,
    models,
    ports,
    presets,
    render,
    serve,
    train,
)
from engine import __version__
from engine.errors import SidemanError

EXTRAS = {
    "torch": "train",
    "miditok": "train",
    "tensorboard": "train",
    "transformers": "audio",
    "peft": "audio",
    "huggingface_hub": "audio",
    "yaml": "audio",
    "link": "link",
    "onnx": "onnx",
    "onnxruntime": "onnx",
}
"""Which extra brings a module that the base install does not have."""

app = typer.Typer(
    name="sideman",
    help="A live engine beside your DAW: it hears what is played and plays on at the next bar.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("continue")(continue_.continue_)
app.command("demo")(demo.demo)
app.command("presets")(presets.presets)
app.add_typer(models.app, name="models")
app.command("ports")(ports.ports)
app.command("listen")(listen.listen)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("render")(render.render)
app.add_typer(train.app, name="train")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sideman {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (anywhere).")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass  # --debug is taken out by main, wherever it stands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 it failed, 2 wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        app([word for word in words if word != "--debug"], prog_name="sideman")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as problem:
        if debug:
            raise
        print(f"error: {_line(problem)}", file=sys.stderr)
        return 1
    return 0


def _line(problem: Exception) -> str:
    """What went wrong, in one line that says what to do."""
    if isinstance(problem, SidemanError):
        return " ".join(problem.text.split())
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        extra = EXTRAS.get(problem.name.partition(".")[0])
        if extra:
            return f"this needs the extra {extra!r}: pip install 'sideman[{extra}]'"
    if isinstance(problem, OSError) and problem.strerror:
        name = f"{problem.filename}: " if problem.filename else ""
        return f"{name}{problem.strerror}"
    text = " ".join(str(problem).split()) or "no message"
    return f"{type(problem).__name__}: {text} (--debug shows where)"


if __name__ == "__main__":
    sys.exit(main())
