"""Citations: each paper once, as well-formed BibTeX, from a complete bibliography."""

import re

import pytest

import optax_lrs as olrs
from optax_lrs.__main__ import main
from optax_lrs.citations import WORKS, bibtex, papers, reference

OURS = [cls for cls in olrs.Schedule.registry.values() if cls.__module__.startswith("optax_lrs.")]
PAPERS = sorted({cls.paper for cls in OURS if getattr(cls, "paper", "")})
FIELD = re.compile(r"  (\w+) = \{(.*)\},")


def entry(text: str):
    first, *lines, last = text.splitlines()
    kind, key = re.fullmatch(r"@(\w+)\{([\w.:-]+),", first).groups()
    assert last == "}"
    return kind, key, dict(FIELD.fullmatch(line).groups() for line in lines)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_in_the_registry_has_an_entry(paper):
    assert paper.removeprefix("arXiv:") in WORKS
    assert reference(paper).endswith(paper) and reference(paper) != paper


@pytest.mark.parametrize("number", WORKS)
def test_entries_are_well_formed(number):
    work = WORKS[number]
    assert re.fullmatch(r"\d{4}\.\d{5}", number) and not (work.booktitle and work.journal)
    assert 2000 + int(number[:2]) <= work.year <= 2000 + int(number[:2]) + 3
    kind, _, fields = entry(bibtex(f"arXiv:{number}"))
    assert kind == ("inproceedings" if work.booktitle else "article")
    assert fields["title"] == f"{{{work.title}}}" and fields["eprint"] == number and fields["year"] == str(work.year)
    assert fields["url"] == f"https://arxiv.org/abs/{number}" and (fields.get("booktitle") or fields["journal"])
    for text in fields.values():
        assert text.isascii() and text.count("{") == text.count("}") and text == text.strip() and "  " not in text


def test_keys_are_unique():
    keys = [entry(bibtex(f"arXiv:{number}"))[1] for number in WORKS]
    assert len(set(keys)) == len(keys) and "hu2024minicpm" in keys and "hagele2024scaling" in keys


def test_compositions_cite_all_that_is_in_them_once():
    cosine, linear = olrs.Cosine(peak=1.0, total_steps=9), olrs.Linear(peak=1.0, total_steps=9)
    both = olrs.switch(olrs.scaled(cosine, factor=0.5), olrs.join(linear, cosine, at=3), at=5)
    assert papers(both, cosine, olrs.WSD) == ["arXiv:1608.03983", "arXiv:2502.15938", "arXiv:2404.06395"]
    assert olrs.cite(both).count("@") == 2
    assert olrs.cite(olrs.Constant(value=1.0)) == ""


def test_your_own_paper_is_cited_by_its_address():
    assert entry(bibtex("arXiv:9912.12345")) == (
        "misc",
        "arXiv:9912.12345",
        {"eprint": "9912.12345", "archivePrefix": "arXiv", "url": "https://arxiv.org/abs/9912.12345"},
    )
    assert entry(bibtex("https://example.org/a b")) == (
        "misc",
        "https:-example.org-a-b",
        {"url": "https://example.org/a b"},
    )


def test_the_command(capsys, tmp_path):
    (tmp_path / "lr.json").write_text(olrs.REX(peak=1.0, total_steps=9).to_json())
    assert (
        main(
            [
                "cite",
                "WSD",
                "Cosine(peak=1, total_steps=9)",
                "2405.18392",
                "arXiv:2404.06395",
                str(tmp_path / "lr.json"),
            ]
        )
        == 0
    )
    keys = re.findall(r"^@\w+\{(.*),$", capsys.readouterr().out, re.MULTILINE)
    assert keys == ["hu2024minicpm", "loshchilov2017sgdr", "hagele2024scaling", "chen2022rex"]
    assert main(["cite"]) == 0
    out = capsys.readouterr().out
    assert all(paper.removeprefix("arXiv:") in out for paper in PAPERS)
