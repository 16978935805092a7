"""Parses the text of an optimized HLO module, ``compiled.as_text()``."""

from __future__ import annotations

import dataclasses
import functools
import math
import re

BITS = {"pred": 8, "token": 0, "opaque": 0, "s4": 4, "u4": 4, "s2": 2, "u2": 2, "c64": 64, "c128": 128}


@dataclasses.dataclass(frozen=True)
class Array:
    """An array's type and memory space: 0 is a TPU's HBM, 1 its VMEM, 5 the host's memory."""

    dtype: str
    shape: tuple[int, ...]
    space: int = 0

    @property
    def bytes(self) -> int:
        bits = BITS.get(self.dtype) if self.dtype in BITS else int(re.search(r"\d+", self.dtype)[0])
        return math.ceil(math.prod(self.shape) * bits / 8)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line: ``name = type opcode(operands), attributes``."""

    name: str
    arrays: tuple[Array, ...]  # of the type, tuples flattened
    opcode: str
    operands: tuple[str, ...]
    inside: str  # the text between the parentheses: a constant's value, a parameter's number
    attributes: str

    def called(self, attribute: str) -> str | None:
        """The computation that an attribute such as ``calls=%name`` names."""
        found = re.search(rf"\b{attribute}=%?([\w.-]+)", self.attributes)
        return found and found[1]

    @property
    def branches(self) -> tuple[str, ...]:
        """The computations of a conditional."""
        found = re.search(r"branch_computations=\{([^}]*)\}", self.attributes)
        if found:
            return tuple(name.strip(" %") for name in found[1].split(","))
        return tuple(filter(None, (self.called("true_computation"), self.called("false_computation"))))


@dataclasses.dataclass(frozen=True)
class Computation:
    """A named list of instructions, in the order in which they run."""

    name: str
    instructions: dict[str, Instruction]
    root: Instruction

    @functools.cached_property
    def parameters(self) -> dict[int, Instruction]:
        """The parameters by number."""
        return {int(i.inside): i for i in self.instructions.values() if i.opcode == "parameter"}

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """The users of each instruction."""
        users: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for name in dict.fromkeys(instruction.operands):
                users[name].append(instruction)
        return users


@dataclasses.dataclass(frozen=True)
class Module:
    """A whole program."""

    computations: dict[str, Computation]
    entry: Computation
    aliases: dict[
        tuple[int, ...], int
    ]  # by index into the result: the number of the entry's parameter it shares memory with


def parse(text: str) -> Module:
    """Parses a module.

    Raises:
        ValueError: if the text has no entry computation, or an instruction that this file cannot
            read. Nothing is skipped.
    """
    computations, entry, name, lines = {}, None, None, []
    for line in text.splitlines():
        header = re.match(r"(ENTRY )?%?([\w.-]+) .*\{$", line)
        if name is None and header and not line.startswith("HloModule"):
            name, lines = header[2], []
            entry = name if header[1] else entry
        elif line.startswith("}") and name is not None:
            found = [_instruction(each) for each in lines]
            roots = [i for i, each in zip(found, lines) if each.lstrip().startswith("ROOT ")]
            computations[name] = Computation(name, {i.name: i for i in found}, roots[0] if roots else found[-1])
            name = None
        elif name is not None and line.strip():
            lines.append(line)
    if entry is None:
        raise ValueError("no ENTRY computation in this HLO text")
    return Module(computations, computations[entry], _aliases(text.partition("\n")[0]))


def _instruction(line: str) -> Instruction:
    found = re.match(r"\s+(?:ROOT )?%?([\w.-]+) = (.*)", line)
    if not found:
        raise ValueError(f"not an HLO instruction: {line[:200]!r}")
    rest = found[2]
    end = _closing(rest) + 1 if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opcode, _, _ = rest.partition("(")
    close = _closing(rest[len(opcode) :]) + len(opcode)
    inside = re.sub(r"/\*.*?\*/", "", rest[len(opcode) + 1 : close])
    operands = () if opcode in ("constant", "parameter") else tuple(re.findall(r"%([\w.-]+)", inside))
    return Instruction(found[1], _arrays(kind), opcode, operands, inside.strip(), rest[close + 1 :])


def _closing(text: str) -> int:
    """The index at which the parenthesis that opens the text closes."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return index
    raise ValueError(f"unbalanced parentheses: {text[:200]!r}")


def _arrays(text: str) -> tuple[Array, ...]:
    found = re.findall(r"([a-z]\w*)\[([\d,<=\s]*)\](?:\{([^}]*)\})?", re.sub(r"/\*.*?\*/", "", text))
    arrays = []
    for dtype, shape, layout in found:
        space = re.search(r"S\((\d+)\)", layout)
        sizes = tuple(int(size.strip(" <=")) for size in shape.split(",") if size.strip())
        arrays.append(Array(dtype, sizes, int(space[1]) if space else 0))
    return tuple(arrays)


def _aliases(header: str) -> dict[tuple[int, ...], int]:
    start = header.find("input_output_alias={")
    pairs = re.findall(
        r"\{([\d, ]*)\}: \((\d+), \{[\d, ]*\}, (?:may|must)-alias\)", header[start:] if start >= 0 else ""
    )
    return {tuple(int(i) for i in index.split(",") if i.strip()): int(number) for index, number in pairs}
