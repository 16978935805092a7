"""Citations: BibTeX for the papers behind schedules."""

from optax_lrs.citations._bibliography import WORKS as WORKS
from optax_lrs.citations._bibliography import Work as Work
from optax_lrs.citations._cite import bibtex as bibtex
from optax_lrs.citations._cite import cite as cite
from optax_lrs.citations._cite import papers as papers
from optax_lrs.citations._cite import reference as reference
