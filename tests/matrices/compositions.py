"""Random schedules for hypothesis: nested combinators of the package's, with known facts."""

import dataclasses

from hypothesis import assume
from hypothesis import strategies as st

import optax_lrs as olrs
from optax_lrs import profiles

LAST = 2**31 - 1
DEPTH = 3  # combinators on top of each other


@dataclasses.dataclass(frozen=True)
class Drawn:
    schedule: olrs.Schedule
    most: float  # no rate exceeds it

    def __repr__(self):
        return f"{self.schedule!r}, at most {self.most}"


lengths = st.one_of(st.integers(0, 6), st.integers(1, 200), st.integers(1, 10**6), st.integers(1, LAST))
rates = st.one_of(st.sampled_from([1.0, 3e-4, 1e-6]), st.floats(1e-6, 10.0))
shares = st.floats(0.0, 1.0)
decays = st.one_of(
    st.sampled_from(
        [
            profiles.linear,
            profiles.cosine,
            profiles.mirror_cosine,
            profiles.one_minus_sqrt,
            profiles.one_minus_square,
            profiles.exponential,
            profiles.inverse,
        ]
    ),
    st.builds(profiles.power, st.floats(0.3, 4.0)),
    st.builds(profiles.rex, st.floats(-2.0, 0.95)),
    st.builds(profiles.uba, st.floats(0.2, 10.0)),
    st.builds(profiles.cosine_power, st.floats(0.5, 100.0)),
    st.builds(profiles.shifted_exponential, st.floats(-3.0, 3.0)),
    st.builds(profiles.half_life, st.floats(0.2, 2.0)),
)


@st.composite
def budgets(draw):
    """The fields of most schedules: peak, end, total and warmup."""
    total = draw(lengths)
    peak = draw(rates)
    return dict(
        peak=peak,
        end=peak * draw(st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0])),
        total_steps=total,
        warmup_steps=draw(st.integers(0, total)),
    )


@st.composite
def leaves(draw):
    """A schedule of the package that contains no other."""
    kind = draw(
        st.sampled_from(
            [
                olrs.Constant,
                olrs.Linear,
                olrs.Cosine,
                olrs.REX,
                olrs.UBA,
                olrs.CosinePower,
                olrs.WSD,
                olrs.WSD,
                olrs.InverseSqrt,
                olrs.Tabulated,
            ]
        )
    )
    if kind is olrs.Constant:
        schedule = kind(value=draw(rates))
        return Drawn(schedule, schedule.value)
    if kind is olrs.Tabulated:
        steps = sorted(draw(st.sets(st.integers(0, 10**6), min_size=1, max_size=5)))
        lrs = draw(st.lists(st.one_of(st.just(0.0), rates), min_size=len(steps), max_size=len(steps)))
        return Drawn(kind(lrs=lrs, steps=steps), max(lrs))
    budget = draw(budgets())
    peak = budget["peak"]
    if kind is olrs.InverseSqrt:
        timescale = draw(st.one_of(st.none(), st.integers(1, 10**6)))
        return Drawn(kind(peak=peak, warmup_steps=budget["warmup_steps"], timescale_steps=timescale), peak)
    if kind is olrs.WSD:
        decay = draw(decays)
        if decay.needs_end and not budget["end"]:
            budget["end"] = peak * 0.1
        budget |= dict(decay=decay, decay_steps=draw(st.integers(0, budget["total_steps"] - budget["warmup_steps"])))
    elif kind is olrs.REX:
        budget["d"] = draw(st.floats(-2.0, 0.95))
    elif kind is olrs.UBA:
        budget["phi"] = draw(st.floats(0.2, 10.0))
    elif kind is olrs.CosinePower:
        budget["p"] = draw(st.floats(0.5, 100.0))
    return Drawn(kind(**budget), peak)


@st.composite
def compositions(draw, depth=DEPTH, tokens=False):
    """A schedule with at most ``depth`` nested combinators.

    On a clock of tokens nothing is cycled, sampled or stretched: these would read a float32 there,
    as on_tokens documents.
    """
    kinds = ["leaf", "join", "switch", "scaled", "shifted", "product", "summed", "clipped", "sampled at", "on_tokens"]
    kinds += ["with_cooldown", "rewarm"]
    kinds += [] if tokens else ["stretched", "cycled", "sampled"]
    kind = draw(st.sampled_from(kinds)) if depth else "leaf"
    if kind == "leaf":
        return draw(leaves())
    first = draw(compositions(depth - 1, tokens or kind == "on_tokens"))
    inner, most = first.schedule, first.most
    if kind in ("join", "switch", "product", "summed"):
        second = draw(compositions(depth - 1 if kind == "summed" else 0, tokens))
        most = {"product": most * second.most, "summed": most + second.most}.get(kind, max(most, second.most))
        combine = dict(join=olrs.join, switch=olrs.switch, product=olrs.product, summed=olrs.summed)[kind]
        where = dict(at=draw(lengths)) if kind in ("join", "switch") else {}
        return Drawn(combine(inner, second.schedule, **where), most)
    if kind == "scaled":
        factor = draw(st.floats(0.0, 10.0))
        return Drawn(olrs.scaled(inner, factor=factor), most * factor)
    if kind == "shifted":
        return Drawn(olrs.shifted(inner, by=draw(st.one_of(st.integers(-9, 9), st.integers(-(10**6), 10**6)))), most)
    if kind == "stretched":
        return Drawn(olrs.stretched(inner, factor=draw(st.floats(0.25, 16.0))), most)
    if kind == "clipped":
        floor, ceiling = (most * share for share in sorted((draw(shares), draw(shares))))
        return Drawn(olrs.clipped(inner, floor=floor, ceiling=ceiling), ceiling)
    if kind == "with_cooldown":
        at, decay = draw(lengths), draw(decays)
        end = float(inner.at(at)) * draw(st.sampled_from([0.1, 1.0] if decay.needs_end else [0.0, 0.0, 0.3, 1.0]))
        assume(end > 1e-30 or not decay.needs_end)
        return Drawn(olrs.with_cooldown(inner, at=at, steps=draw(lengths), profile=decay, end=end), most)
    if kind == "rewarm":
        at, peak = draw(lengths), draw(rates)
        lengths_of = dict(warmup_steps=draw(lengths), decay_steps=draw(lengths))
        start = draw(st.sampled_from([0.0, None, peak / 3]))
        return Drawn(
            olrs.rewarm(inner, at=at, peak=peak, **lengths_of, profile=draw(decays), start=start), max(most, peak)
        )
    if kind == "cycled":
        period, cycles = draw(lengths) + 1, draw(st.one_of(st.none(), st.integers(1, 9)))
        return Drawn(olrs.cycled(inner, period_steps=period, cycles=cycles), most)
    if kind == "sampled":
        return Drawn(olrs.sampled(inner, every=draw(lengths) + 1), most)
    if kind == "sampled at":
        at = sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=4)))
        return Drawn(olrs.sampled(inner, at=at), most)
    stages = draw(st.integers(1, 3))
    per_step = draw(st.lists(st.integers(1, 2**22), min_size=stages, max_size=stages))
    at = sorted(draw(st.lists(lengths, min_size=stages - 1, max_size=stages - 1)))
    return Drawn(olrs.on_tokens(inner, tokens_per_step=per_step, at=at), most)
