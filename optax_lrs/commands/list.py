"""``python -m optax_lrs list``: the schedules and profiles, or the README's table of schedules."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from typing import Any

from optax_lrs._schedule import Schedule
from optax_lrs._value import Value
from optax_lrs.profiles import Profile


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("list", help="list the schedules and profiles")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> int:
    schedules = [cls for cls in Value.registry.values() if issubclass(cls, Schedule)]
    schedules.sort(key=lambda cls: (bool({"schedule", "schedules"} & cls._kinds.keys()), cls._name.lower()))
    if args.markdown:
        print("| schedule | what it is | arguments | source |\n| --- | --- | --- | --- |")
        for cls in schedules:
            shown = (field for field in dataclasses.fields(cls) if field.name not in cls._notes)
            arguments = ", ".join(map(_argument, shown))
            print(f"| `{cls._name}` | {_summary(cls)} | {arguments} | {_link(cls.paper)} |")
        return 0
    for cls in [*schedules, *(cls for cls in Value.registry.values() if cls not in schedules)]:
        kind = "schedule" if cls in schedules else "profile" if issubclass(cls, Profile) else "law"
        print(f"{kind:9} {cls._name:20} {_summary(cls)}")
    return 0


def _argument(field: dataclasses.Field[Any]) -> str:
    return f"`{field.name}`" if field.default is dataclasses.MISSING else f"`{field.name}={field.default!r}`"


def _link(paper: str) -> str:
    number = paper.removeprefix("arXiv:")
    return f"[{number}](https://arxiv.org/abs/{number})" if number != paper else paper


def _summary(cls: type[Value]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]
