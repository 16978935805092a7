"""Counts what an optimized HLO program does in one run.

It counts bytes of HBM, collectives, host transfers and branches.

``compiled.cost_analysis()["bytes accessed"]`` counts the body of a loop once, both branches of a
conditional, traffic of on-chip memory as if it were HBM's, and copies that fetch ahead. So the
bytes are counted here, from the scheduled program:

- An instruction reads its operands and writes its results. Those in memory space 0 count, which is
  HBM on a TPU.
- A fusion is one instruction: what happens inside it stays on the chip.
- An instruction that takes a slice reads the slice. One that updates a slice in place reads and
  writes the slice; if it updates an argument that was not donated, the whole argument is copied.
- A loop's body counts as often as it runs. Of a conditional's branches the most expensive counts.
- An asynchronous operation reads at its start and writes at its end.

Bytes are logical: they do not include the padding of small arrays to a TPU's tiles.
"""

from __future__ import annotations

import collections
import re
from typing import Any

from hlo_text import Computation, Instruction, Module, parse

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
NAMES = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "add-dependency",
    "async-update",
    "domain",
}  # names for what is there: no bytes move
FORWARDS = {
    "bitcast",
    "copy",
    "convert",
    "opt-barrier",
    "add-dependency",
    "reshape",
}  # a scalar through these is the same
ALLOCATIONS = ("AllocateBuffer", "ConcatBitcast", "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape")
HBM, HOST = 0, 5  # memory spaces


def facts(compiled: Any) -> dict[str, float]:
    """The figures of a compiled step."""
    module = parse(compiled.as_text())
    found, memory, cost = tally(module), compiled.memory_analysis(), compiled.cost_analysis()
    return {
        "hbm bytes": found["hbm"],
        "cost_analysis bytes": cost["bytes accessed"],
        "all-reduces": found["all-reduce"],
        "other collectives": sum(found[name] for name in COLLECTIVES[1:]),
        "payload bytes": found["payload"],
        "host transfers": found["host"],
        "conditionals": found["conditional"],
        "unread loops": found["unread loop"],
        "temp bytes": memory.temp_size_in_bytes,
        "argument bytes": memory.argument_size_in_bytes,
    }


def tally(module: Module) -> collections.Counter[str]:
    """Counts in one run of the program; ``hbm`` and ``payload`` are in bytes."""
    return _tally(module, module.entry)


def unaliased(module: Module, donated: range) -> list[int]:
    """The donated arguments that do not share memory with the result of the same number.

    Raises:
        ValueError: if the program has fewer arguments: the numbers would refer to others.
    """
    if len(module.entry.parameters) < len(donated):
        raise ValueError(f"{len(module.entry.parameters)} parameters for {len(donated)} donated arguments")
    return [number for number in donated if module.aliases.get((number,)) != number]


def _tally(module: Module, computation: Computation) -> collections.Counter[str]:
    total: collections.Counter[str] = collections.Counter()
    for instruction in computation.instructions.values():
        total += _own(module, computation, instruction)
        if instruction.opcode == "while":
            body = _tally(module, module.computations[instruction.called("body")])
            body += _tally(module, module.computations[instruction.called("condition")])
            times = trip_count(module, computation, instruction)
            total += collections.Counter(
                {name: count * (1 if times is None else times) for name, count in body.items()}
            )
            total["unread loop"] += times is None
        elif instruction.opcode == "conditional":
            dearest: collections.Counter[str] = collections.Counter()
            for branch in instruction.branches:
                dearest |= _tally(module, module.computations[branch])
            total += dearest
            total["conditional"] += 1
        elif instruction.opcode == "call":
            total += _tally(module, module.computations[instruction.called("to_apply")])
        elif instruction.opcode in ("fusion", "async-start"):  # their bytes are their own, counted above
            inner = _tally(module, module.computations[instruction.called("calls")])
            del inner["hbm"]
            total += inner
    return total


def _own(module: Module, computation: Computation, instruction: Instruction) -> collections.Counter[str]:
    """The instruction itself, without the computations of loops, branches and calls."""
    total: collections.Counter[str] = collections.Counter()
    opcode = instruction.opcode
    kind = opcode.removesuffix("-start")
    if kind in COLLECTIVES:
        total[kind] += 1
        total["payload"] += sum(array.bytes for name in instruction.operands for array in _arrays(computation, name))
    if opcode in ("infeed", "outfeed") or (
        opcode in ("send", "recv") and "is_host_transfer=true" in instruction.attributes
    ):
        total["host"] += 1
    elif opcode == "custom-call" and re.search(r'custom_call_target="[^"]*(?i:callback|host)', instruction.attributes):
        total["host"] += 1
    elif opcode not in NAMES and any(array.space == HOST for array in instruction.arrays):
        total["host"] += 1
    if opcode not in NAMES and opcode not in ("while", "conditional", "call"):
        total["hbm"] += traffic(module, computation, instruction)
    return total


def traffic(module: Module, computation: Computation, instruction: Instruction) -> int:
    """The bytes of HBM that the instruction reads and writes."""
    if instruction.opcode == "custom-call" and any(f'"{name}"' in instruction.attributes for name in ALLOCATIONS):
        return 0
    reads = writes = 0
    if not instruction.opcode.endswith("-done"):
        for position, name in enumerate(instruction.operands):
            sizes = [array.bytes for array in _arrays(computation, name) if array.space == HBM]
            if sizes:
                copied = _read(module, computation, instruction, position)
                reads += sum(sizes) if copied is None else min(sum(sizes), copied)
    if not instruction.opcode.endswith("-start") and instruction.opcode != "send":
        written = _written(module, computation, instruction)
        for array, size in zip(instruction.arrays, written, strict=True):
            writes += size if array.space == HBM else 0
    return reads + writes


def _arrays(computation: Computation, name: str) -> tuple:
    return computation.instructions[name].arrays


def _read(module: Module, computation: Computation, user: Instruction, position: int) -> int | None:
    """The bytes that an instruction reads of the operand at that position; None for all of them."""
    opcode = user.opcode.removesuffix("-start")
    size = lambda index: sum(array.bytes for array in _arrays(computation, user.operands[index]))  # noqa: E731
    if opcode in ("slice", "dynamic-slice", "gather") and position == 0:
        return user.arrays[-1].bytes if opcode == user.opcode else _done(computation, user)
    if opcode == "dynamic-update-slice" and position == 0:
        return 0 if _in_place(module, computation, user.operands[0]) else None
    if opcode == "scatter" and position == 0 and _in_place(module, computation, user.operands[0]):
        return size(2)
    if opcode in ("fusion", "async"):
        callee = module.computations[user.called("calls")]
        inside = _read_inside(module, callee, callee.parameters[position].name)
        if inside is not None and _updated_there(callee, callee.parameters[position].name):
            return inside if _in_place(module, computation, user.operands[position]) else None
        return inside
    return None


def _done(computation: Computation, start: Instruction) -> int:
    return sum(a.bytes for user in computation.users[start.name] if user.opcode.endswith("-done") for a in user.arrays)


def _read_inside(module: Module, callee: Computation, name: str) -> int | None:
    """The bytes that a fusion reads of one of its arguments; None for all of them."""
    total = 0
    for user in callee.users[name]:
        if user.opcode in ("bitcast", "opt-barrier", "get-tuple-element"):
            found = _read_inside(module, callee, user.name)
        elif user.opcode == "tuple":
            found = 0  # passed on unchanged
        else:
            reads = [_read(module, callee, user, at) for at, operand in enumerate(user.operands) if operand == name]
            found = None if None in reads else sum(reads)
        if found is None:
            return None
        total += found
    return total


def _updated_there(callee: Computation, name: str) -> bool:
    """Whether a fusion updates a slice, or scattered entries, of one of its arguments."""
    return any(
        (user.opcode in ("dynamic-update-slice", "scatter") and user.operands[0] == name)
        or (user.opcode == "bitcast" and _updated_there(callee, user.name))
        for user in callee.users[name]
    )


def _written(module: Module, computation: Computation, instruction: Instruction) -> list[int]:
    """The bytes that go into each array of the result."""
    if instruction.opcode in ("fusion", "async-done"):
        caller = instruction
        if instruction.opcode == "async-done":
            caller = computation.instructions[instruction.operands[0]]
            while caller.opcode == "async-update":
                caller = computation.instructions[caller.operands[0]]
        callee = module.computations[caller.called("calls")]
        elements = [callee.root]
        if callee.root.opcode == "tuple":
            elements = [callee.instructions[name] for name in callee.root.operands]
        if len(elements) != len(instruction.arrays):
            return [array.bytes for array in instruction.arrays]
        return [_written_by(module, computation, caller, callee, element) for element in elements]
    if instruction.opcode == "dynamic-update-slice" and _in_place(module, computation, instruction.operands[0]):
        return [sum(array.bytes for array in _arrays(computation, instruction.operands[1]))]
    if instruction.opcode == "scatter" and _in_place(module, computation, instruction.operands[0]):
        return [sum(array.bytes for array in _arrays(computation, instruction.operands[2]))]
    return [array.bytes for array in instruction.arrays]


def _written_by(
    module: Module, computation: Computation, caller: Instruction, callee: Computation, element: Instruction
) -> int:
    """The bytes that a fusion writes for one element of its result."""
    while element.opcode == "bitcast":
        element = callee.instructions[element.operands[0]]
    if element.opcode in ("dynamic-update-slice", "scatter"):
        target = callee.instructions[element.operands[0]]
        while target.opcode == "bitcast":
            target = callee.instructions[target.operands[0]]
        if target.opcode == "parameter" and _in_place(module, computation, caller.operands[int(target.inside)]):
            return sum(a.bytes for a in _arrays(callee, element.operands[1 if element.opcode[0] == "d" else 2]))
    return sum(array.bytes for array in element.arrays)


def _in_place(module: Module, computation: Computation, name: str) -> bool:
    """Whether a value may be overwritten: all but the program's undonated arguments."""
    source = computation.instructions[name]
    while source.opcode in ("bitcast", "opt-barrier"):
        source = computation.instructions[source.operands[0]]
    if computation is not module.entry or source.opcode != "parameter":
        return True
    return int(source.inside) in module.aliases.values()


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """How often a loop's body runs, as the compiler notes it or from its counter.

    None if unknown.
    """
    noted = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
    if noted:
        return int(noted[1])
    condition = module.computations[loop.called("condition")]
    body = module.computations[loop.called("body")]
    test, bounds = condition.root, list(condition.root.operands)
    if test.opcode == "fusion":
        test = module.computations[test.called("calls")].root
    direction = re.search(r"direction=(\w+)", test.attributes)
    counter, limit = (_forwarded(condition, bound) for bound in bounds) if len(bounds) == 2 else (None, None)
    if test.opcode != "compare" or direction is None or counter is None or counter.opcode != "get-tuple-element":
        return None
    index = int(re.search(r"index=(\d+)", counter.attributes)[1])
    initial = computation.instructions[loop.operands[0]]
    if initial.opcode != "tuple" or body.root.opcode != "tuple":
        return None
    start = _forwarded(computation, initial.operands[index])
    following = _forwarded(body, body.root.operands[index])
    if following.opcode != "add":
        return None
    terms = [_forwarded(body, name) for name in following.operands]
    steps = [term for term in terms if term.opcode == "constant"]
    if len(steps) != 1 or limit.opcode != "constant" or start.opcode != "constant":
        return None
    first, last, step = int(start.inside), int(limit.inside), int(steps[0].inside)
    last += direction[1] == "LE"
    return len(range(first, last, step)) if direction[1] in ("LT", "LE") and step > 0 else None


def _forwarded(computation: Computation, name: str) -> Instruction:
    instruction = computation.instructions[name]
    while instruction.opcode in FORWARDS:
        instruction = computation.instructions[instruction.operands[0]]
    return instruction
