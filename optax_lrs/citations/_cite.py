"""BibTeX for the schedules you use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from optax_lrs._value import Value
from optax_lrs.citations._bibliography import WORKS, Work


def cite(*values: Value | type[Value]) -> str:
    """Returns BibTeX for the papers of schedules and everything inside them, each once.

    Args:
        *values: schedules, laws or rules, or classes of them.

    Returns:
        The entries, or "" if no paper is known.

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
    """The papers of schedules and everything inside them, each once, in order of appearance.

    Args:
        *values: schedules, laws or rules, or classes of them.

    Returns:
        Addresses such as ``"arXiv:1608.03983"``.
    """
    found = (paper for value in values for paper in _inside(value))
    return list(dict.fromkeys(filter(None, found)))


def bibtex(paper: str) -> str:
    """The BibTeX entry of a paper.

    Args:
        paper: ``"arXiv:"`` and a number, or a URL. A paper that is not in the bibliography, such as
            your own, gets an entry with its address only.

    Returns:
        The entry.
    """
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
    """The paper in one line, for display.

    Args:
        paper: ``"arXiv:"`` and a number, or a URL.

    Returns:
        Authors, year, title and address; the address only if the paper is not in the bibliography.
    """
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
    """The entry's key, such as hu2024minicpm: first author, year, first significant word."""
    words = re.findall(r"[a-z]+", work.title.lower())
    word = next(word for word in words if word not in {"a", "on", "the"})
    return f"{work.surnames[0].lower()}{work.year}{word}"


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items() if text)
    return f"@{kind}{{{key},\n{lines}}}"
