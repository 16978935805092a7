"""Schedules of frameworks that cannot be installed here, in NumPy, defects included.

They follow the formulas in the frameworks' documentation and sources, as of mid 2026. Each function
takes the settings by the framework's names and returns a function from steps (an int array) to
float64 rates.
"""

import numpy as np


def join(pieces, boundaries):
    """Optax's join: each piece on its own clock; extra entries of either list are ignored."""

    def schedule(s):
        rates = pieces[0](s)
        for boundary, piece in zip(boundaries, pieces[1:]):
            rates = np.where(s < boundary, rates, piece(s - boundary))
        return rates

    return schedule


def line(start, end, length):
    """Optax's linear schedule, which is constant if the length is not positive."""
    if length <= 0:
        return lambda s: np.full(np.shape(s), float(start))
    return lambda s: start + (end - start) * np.clip(s, 0, length) / length


def constant(value):
    return line(value, value, 0)


# ── MaxText ───────────────────────────────────────────────────────────────────────────────────────


def maxtext(
    *,
    lr_schedule_type,
    learning_rate,
    steps,
    warmup_steps_fraction,
    learning_rate_final_fraction,
    learning_rate_schedule_steps=None,
    wsd_decay_steps_fraction=0.1,
    wsd_decay_style="linear",
):
    """A decay of D steps divides by D - 1, and its cosine is not clipped."""
    total = learning_rate_schedule_steps or steps
    warmup, end = int(total * warmup_steps_fraction), learning_rate * learning_rate_final_fraction

    def cosine(length):
        def schedule(s):
            share = s / (length - 1) if length > 1 else 1.0
            weight = 0.5 * (1 + np.cos(np.pi * share))
            return learning_rate * weight + end * (1 - weight)

        return schedule

    pieces, boundaries = [line(0.0, learning_rate, warmup)], [warmup]
    if lr_schedule_type == "cosine":
        pieces.append(cosine(total - warmup))
    else:
        decay = int(total * wsd_decay_steps_fraction)
        down = line(learning_rate, end, decay - 1) if wsd_decay_style == "linear" else cosine(decay)
        pieces += [constant(learning_rate), down]
        boundaries.append(total - decay)
    if steps > total:
        pieces.append(constant(0.0))
        boundaries.append(total)
    return join(pieces, boundaries)


# ── Levanter ──────────────────────────────────────────────────────────────────────────────────────


def inv_sqrt(timescale):
    def build(peak, end, warmup, decay):
        return lambda s: np.maximum(peak * np.minimum(1.0, np.sqrt(timescale / np.maximum(s + warmup, 1))), end)

    return build


def inv(peak, end, warmup, decay):
    def schedule(s):
        return np.maximum(peak * np.minimum(1.0, 1 / (1 + (peak / end - 1) * np.maximum(s, 1) / decay)), end)

    return schedule


def power(*, batch_size, seq_length, a=4.6, b=-0.51):
    def build(peak, end, warmup, decay):
        def schedule(s):
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.fmin(peak, batch_size * a * (1.0 * s * batch_size * seq_length) ** b)

        return schedule

    return build


def cosine_decay(peak, end, warmup, decay):
    return lambda s: end + (peak - end) * 0.5 * (1 + np.cos(np.pi * np.clip(s, 0, decay) / decay))


LEVANTER = {
    "constant": lambda peak, end, warmup, decay: constant(peak),
    "linear": lambda peak, end, warmup, decay: line(peak, end, decay),
    "cosine": cosine_decay,
    "inv_sqrt": inv_sqrt(10_000),
    "inv": inv,
}


def levanter(
    *,
    lr_schedule,
    learning_rate,
    num_train_steps=100,
    min_lr_ratio=0.1,
    warmup=0.01,
    decay=None,
    rewarmup=0.0,
    cycles=None,
):
    """A number up to 1 is a share of the cycle; phases that do not fit are accepted."""

    def steps(amount, length):
        return int(amount * length) if amount <= 1 else int(amount)

    if isinstance(cycles, int):
        cycles = [int(num_train_steps / cycles * (i + 1)) for i in range(cycles - 1)]
    ends = [*(cycles or []), num_train_steps]
    build = LEVANTER[lr_schedule] if isinstance(lr_schedule, str) else lr_schedule
    peak, low = learning_rate, learning_rate * min_lr_ratio
    pieces, boundaries, before = [], [], 0.0
    for start, end in zip([0, *ends], ends):
        up = steps(rewarmup if start else warmup, end - start)
        down = end - start - up if decay is None else steps(decay, end - start)
        if up:
            pieces.append(line(before, peak, up))
            boundaries.append(start + up)
        if end - start - up - down:
            pieces.append(constant(peak))
            boundaries.append(end - down)
        pieces.append(build(peak, low, up, down))
        boundaries.append(end)
        before = float(pieces[-1](np.array(down)))
    return join(pieces, boundaries)


# ── AXLearn ───────────────────────────────────────────────────────────────────────────────────────


def polynomial(*, begin_step=0, begin_value=0.0, end_step=1, end_value=0.0, power=1):
    def schedule(s):
        done = np.clip((s - begin_step) / (end_step - begin_step), 0, 1)
        return begin_value + (end_value - begin_value) * done**power

    return schedule


def exponential(*, begin_step=0, begin_value=0.0, end_step=1, end_value=0.0):
    logs = polynomial(
        begin_step=begin_step, begin_value=np.log(begin_value), end_step=end_step, end_value=np.log(end_value)
    )
    return lambda s: np.exp(logs(s))


def inverse_sqrt(*, warmup_steps=1):
    return lambda s: np.maximum(s, warmup_steps) ** -0.5


def adafactor(*, scale=1.0, warmup_steps=10_000, decay_power=-0.5, step_offset=0):
    def schedule(s):
        step = s + float(step_offset)
        with np.errstate(divide="ignore"):
            return scale * np.minimum(step * warmup_steps ** (decay_power - 1), step**decay_power)

    return schedule


def stepwise(sub, start_step):
    pieces = [piece if callable(piece) else constant(piece) for piece in sub]

    def schedule(s):
        rates = 0.0
        for piece, start, end in zip(pieces, [0, *start_step], [*start_step, np.inf]):
            rates = rates + np.where((start <= s) & (s < end), piece(np.maximum(s - start, 0)), 0.0)
        return rates

    return schedule


def segment_wise(segments, segment_steps):
    """Steps count from 1, and step 0 has rate zero."""
    bounds = [0, *np.cumsum(segment_steps), np.inf]

    def schedule(s):
        rates = 0.0
        for piece, start, end in zip(segments, bounds, bounds[1:]):
            rates = rates + np.where((start < s) & (s <= end), piece(np.maximum(s - start, 1)), 0.0)
        return rates

    return schedule


def cosine_with_linear_warmup(
    peak_lr, *, max_step, warmup_steps=500, begin_value=0.0, alpha=0.0, decay_begin_step=None
):
    segments, lengths = [], []
    if warmup_steps:
        segments, lengths = [line(begin_value, peak_lr, warmup_steps)], [warmup_steps]
    if (decay_begin_step or 0) > warmup_steps:
        segments.append(constant(peak_lr))
        lengths.append(decay_begin_step - warmup_steps)
    segments.append(cosine_decay(peak_lr, alpha * peak_lr, 0, max_step - sum(lengths)))
    return segment_wise(segments, lengths)


def constant_with_linear_warmup(peak_lr, *, warmup_steps=500, begin_value=0.0):
    return segment_wise([line(begin_value, peak_lr, warmup_steps), constant(peak_lr)], [warmup_steps])


def linear_schedule_with_warmup(peak_lr, *, max_step, warmup_steps, begin_value=0.0, end_value=0.0):
    down = line(peak_lr, end_value, max_step - warmup_steps)
    return segment_wise([line(begin_value, peak_lr, warmup_steps), down], [warmup_steps])


# ── Megatron-LM ───────────────────────────────────────────────────────────────────────────────────


def megatron(**settings):
    if "wd_incr_style" in settings:
        return megatron_weight_decay(**settings)
    return megatron_rate(**settings)


def megatron_rate(
    *,
    lr_decay_style,
    max_lr,
    lr_warmup_steps,
    lr_decay_steps,
    init_lr=0.0,
    min_lr=0.0,
    wsd_decay_steps=None,
    lr_wsd_decay_style=None,
):
    def schedule(s):
        s = np.asarray(s, np.float64)
        done = np.clip((s - lr_warmup_steps) / (lr_decay_steps - lr_warmup_steps), 0, 1)
        if lr_decay_style == "WSD":
            done = np.clip((s - lr_decay_steps + wsd_decay_steps) / wsd_decay_steps, 0, 1)
        share = {
            "linear": lambda x: 1 - x,
            "cosine": lambda x: 0.5 * (1 + np.cos(np.pi * x)),
            "exponential": lambda x: 2 * 0.5**x - 1,
            "minus_sqrt": lambda x: 1 - np.sqrt(x),
        }
        if lr_decay_style == "constant":
            return np.where(s <= lr_warmup_steps, warm(s), max_lr)
        if lr_decay_style == "inverse-square-root":
            rates = np.maximum(min_lr, max_lr * np.sqrt(lr_warmup_steps / np.maximum(s, 1)))
        else:
            style = lr_wsd_decay_style if lr_decay_style == "WSD" else lr_decay_style
            rates = min_lr + (max_lr - min_lr) * share[style](done)
        return np.where(s <= lr_warmup_steps, warm(s), np.where(s > lr_decay_steps, min_lr, rates))

    def warm(s):
        return init_lr + (max_lr - init_lr) * s / lr_warmup_steps

    return schedule


def megatron_weight_decay(*, wd_incr_style, start_wd, end_wd, wd_incr_steps):
    def schedule(s):
        done = np.minimum(s / wd_incr_steps, 1)
        share = done if wd_incr_style == "linear" else 0.5 * (1 + np.cos(np.pi * (1 - done)))
        return start_wd + (end_wd - start_wd) * share

    return schedule


# ── torchtitan ────────────────────────────────────────────────────────────────────────────────────


def torchtitan(*, warmup_steps, decay_ratio=None, decay_type="linear", min_lr_factor=0.0, lr=1e-3, total_steps=100):
    """It adds a virtual step at the end, and clips nothing after it."""
    decay = total_steps - warmup_steps if decay_ratio is None else round(total_steps * decay_ratio)
    stable = total_steps + 1 - decay

    def schedule(s):
        done = np.where(s < stable, 0.0, (s + 1 - stable) / decay)
        share = {
            "linear": 1 - done,
            "sqrt": 1 - np.sqrt(done),
            "cosine": 0.5 * (1 + np.cos(np.pi * done)),
        }[decay_type]
        share = np.where(s < stable, 1.0, min_lr_factor + (1 - min_lr_factor) * share)
        return lr * np.where(s < warmup_steps, (s + 1) / warmup_steps, share)

    return schedule


# ── big_vision and t5x ────────────────────────────────────────────────────────────────────────────


def big_vision(
    *,
    decay_type,
    base,
    total_steps,
    warmup_steps=0,
    cooldown_steps=0,
    power=1,
    linear_end=0.0,
    timescale=10_000,
    shift=0,
    steps=(),
    mults=(),
):
    """The cooldown is not clipped after the end."""

    def schedule(s):
        done = np.clip((s - warmup_steps) / (total_steps - warmup_steps), 0, 1)
        if decay_type in ("linear", "polynomial"):
            rates = linear_end + (base - linear_end) * (1 - done) ** power
        elif decay_type == "cosine":
            rates = base * 0.5 * (1 + np.cos(np.pi * done))
        elif decay_type == "rsqrt":
            rates = base / np.sqrt(1 + (shift + np.maximum(s - warmup_steps, 0)) / timescale)
        else:
            rates = base * np.array([1.0, *mults])[np.searchsorted(steps, s + 1)]
        if warmup_steps:
            rates = rates * np.minimum(1, s / warmup_steps)
        if cooldown_steps:
            rates = rates * np.minimum(1, (total_steps - s) / cooldown_steps)
        return rates

    return schedule


def t5x(
    *, factors, base_learning_rate, warmup_steps, decay_factor=0.5, steps_per_decay=20_000, steps_per_cycle=100_000
):
    def schedule(s):
        late = np.maximum(s, warmup_steps)
        every = {
            "constant": base_learning_rate,
            "linear_warmup": np.minimum(1, s / warmup_steps),
            "rsqrt_decay": late**-0.5,
            "rsqrt_normalized_decay": np.sqrt(warmup_steps / late),
            "decay_every": decay_factor ** (s // steps_per_decay),
            "cosine_decay": 0.5 * (1 + np.cos(np.pi * ((late - warmup_steps) / steps_per_cycle % 1))),
            "linear_decay": base_learning_rate * np.minimum(s / warmup_steps, 1 + decay_factor * (warmup_steps - s)),
        }
        rates = 1.0
        for name in factors.split("*"):
            rates = rates * every[name.strip()]
        return np.maximum(rates, 1e-8)

    return schedule
