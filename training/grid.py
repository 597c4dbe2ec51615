"""Grids of runs out of a sweep's YAML, in wandb's format: every value of each parameter with every
other's.

    method: grid
    parameters:
      lr: {values: [0.1, 0.01]}
      tokens_num: {value: 20}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from training.files import write_whole

FILE = "grid.json"
"""What a folder of a grid says of its runs."""

MOST = 1000
"""Runs of a grid."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a grid."""

    name: str
    """Its number and what differs from the other runs."""

    values: Mapping[str, Value]

    @property
    def words(self) -> list[str]:
        """Its options for the command line; ``false`` is the option that says no."""
        words: list[str] = []
        for name, value in self.values.items():
            option = name.replace("_", "-").lstrip("-")
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            else:
                words += [f"--{option}", str(value)]
        return words


def read(path: Path) -> list[Point]:
    """The runs that a sweep file asks for. Raises ``bad-file`` for what is no grid."""
    import yaml  # type: ignore[import-untyped]

    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SidemanError(Code.BAD_FILE, f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())[:200]
        raise SidemanError(Code.BAD_FILE, f"{path} is not YAML: {first}") from error
    parameters = table.get("parameters") if isinstance(table, dict) else None
    if not isinstance(parameters, dict) or not parameters:
        raise _bad(path, "it has no 'parameters'")
    if table.get("method", "grid") != "grid":
        raise _bad(path, f"its method is {table['method']!r}, and only grids are run here")
    ranges = {str(name): _values(path, str(name), said) for name, said in parameters.items()}
    points = list(_points(ranges))
    if len(points) > MOST:
        raise _bad(path, f"it asks for {len(points)} runs, and {MOST} are the most")
    return points


def _values(path: Path, name: str, said: Any) -> list[Value]:
    if isinstance(said, dict) and "value" in said:
        values = [said["value"]]
    elif isinstance(said, dict) and isinstance(said.get("values"), list) and said["values"]:
        values = said["values"]
    else:
        raise _bad(path, f"{name!r} has neither 'value' nor a list of 'values'")
    for value in values:
        if not isinstance(value, str | int | float):
            raise _bad(path, f"{name!r} cannot be {value!r}"[:200])
    return values


def _points(ranges: Mapping[str, Sequence[Value]]) -> Iterator[Point]:
    varied = [name for name, values in ranges.items() if len(values) > 1]
    for number, chosen in enumerate(product(*ranges.values()), 1):
        values = dict(zip(ranges, chosen, strict=True))
        parts = [f"{number:03d}", *(f"{name}-{values[name]}" for name in varied)]
        safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in "-".join(parts))
        yield Point(safe[:100], values)


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """What a grid's runs have said so far, by their names. Raises ``bad-file``."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): dict(said) for name, said in table.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _bad(path, "it is no list of a grid's runs") from error


def keep(folder: Path, said: Mapping[str, Mapping[str, Any]]) -> None:
    """Write them down, in one move."""
    write_whole(folder / FILE, (json.dumps(said, indent=1) + "\n").encode())


def _bad(path: Path, text: str) -> SidemanError:
    return SidemanError(Code.BAD_FILE, f"{path}: {text}")
