"""Citations: BibTeX for the schedules that were used."""

from __future__ import annotations

import re
from collections.abc import Iterator

from optax_lrs._value import Value
from optax_lrs.citations._bibliography import WORKS, Work


def cite(*values: Value | type[Value]) -> str:
    """BibTeX for the papers of these schedules and of all that is inside them, each once; empty if there are none.

    Args:
        *values: schedules, or classes of them.

    Example:
        >>> from optax_lrs import Constant, Cosine, switch
        >>> print(cite(switch(Constant(value=1.0), Cosine(peak=1.0, total_steps=9), at=3)))
        @inproceedings{loshchilov2017sgdr,
          title = {{SGDR: Stochastic Gradient Descent with Warm Restarts}},
          author = {Ilya Loshchilov and Frank Hutter},
          year = {2017},
          booktitle = {International Conference on Learning Representations (ICLR)},
          eprint = {1608.03983},
          archivePrefix = {arXiv},
          url = {https://arxiv.org/abs/1608.03983},
        }
    """
    return "\n\n".join(map(bibtex, papers(*values)))


def papers(*values: Value | type[Value]) -> list[str]:
    """The papers of these schedules and of all that is inside them, each once, in the order of their appearance."""
    found = (paper for value in values for paper in _inside(value))
    return list(dict.fromkeys(filter(None, found)))


def bibtex(paper: str) -> str:
    """One entry. Of a paper that is not in the bibliography, yours perhaps, it has the address only."""
    number = paper.removeprefix("arXiv:")
    address = {"url": paper}
    if number != paper:
        address = {"eprint": number, "archivePrefix": "arXiv", "url": f"https://arxiv.org/abs/{number}"}
    work = WORKS.get(number)
    if work is None:
        return _entry("misc", re.sub(r"[^\w.:-]+", "-", paper), address)
    journal = work.journal or ("" if work.booktitle else f"arXiv preprint arXiv:{number}")
    about = {"title": f"{{{work.title}}}", "author": work.authors, "year": str(work.year)}
    place = {"booktitle": work.booktitle, "journal": journal}
    return _entry("inproceedings" if work.booktitle else "article", _key(work), {**about, **place, **address})


def reference(paper: str) -> str:
    """The paper in one line, for people."""
    work = WORKS.get(paper.removeprefix("arXiv:"))
    return f"{work.short}, {paper}" if work else paper


def _inside(value: Value | type[Value]) -> Iterator[str]:
    yield getattr(value, "paper", "")
    if isinstance(value, Value):
        for key in value._kinds:
            item = getattr(value, key)
            for part in item if isinstance(item, tuple) else (item,):
                if isinstance(part, Value):
                    yield from _inside(part)


def _key(work: Work) -> str:
    """Such as hu2024minicpm: the first author, the year, the first word that says something."""
    words = re.findall(r"[a-z]+", work.title.lower())
    word = next(word for word in words if word not in {"a", "on", "the"})
    return f"{work.surnames[0].lower()}{work.year}{word}"


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items() if text)
    return f"@{kind}{{{key},\n{lines}}}"
