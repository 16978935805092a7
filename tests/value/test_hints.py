"""Errors for wrong names suggest the nearest name and, for arguments, list all of them."""

import traceback

import pytest

import optax_lrs as olrs
from optax_lrs import profiles

COSINE = dict(peak=1.0, total_steps=10)
LISTED = "Arguments: peak, total_steps, warmup_steps, end."


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: olrs.Cosine(**COSINE, warmup=3), TypeError,
         f"Cosine: unknown argument 'warmup'. Did you mean 'warmup_steps'? {LISTED}"),
        (lambda: olrs.Cosine(**COSINE).replace(Peak=3), TypeError,
         f"Cosine: unknown argument 'Peak'. Did you mean 'peak'? {LISTED}"),
        (lambda: olrs.Cosine(**COSINE, zzz=3), TypeError,
         f"Cosine: unknown argument 'zzz'. {LISTED}"),
        (lambda: olrs.Cosine(3e-4), TypeError,
         f"Cosine: arguments are given by name, got 0.0003. Write peak=0.0003. {LISTED}"),
        (lambda: olrs.Cosine(peak=1.0), TypeError,
         f"Cosine: missing argument 'total_steps'. {LISTED}"),
        (lambda: olrs.Cosine(), TypeError,
         f"Cosine: missing arguments 'peak', 'total_steps'. {LISTED}"),
        (lambda: olrs.Cosine(peak=1.0, total_steps=1e5), TypeError,
         "Cosine: total_steps must be an int, got 100000.0; write 100_000 or int(1e5)"),
        (lambda: profiles.power(1.0, p=2.0), TypeError,
         "power: the argument 'p' is given by position and by name. Arguments: p."),
        (lambda: profiles.power(1.0, 2.0), TypeError,
         "power: got 2 arguments by position, at most 1 fit. Arguments: p."),
        (lambda: olrs.parse("cosine(peak=1, total_steps=10)"), ValueError,
         "cosine: unknown argument 'peak'. Did you mean 'Cosine'? It takes no arguments."),
        (lambda: olrs.parse("wsd(peak=1, total_steps=10)"), ValueError,
         "unknown name 'wsd'. Did you mean 'WSD'?"),
        (lambda: olrs.parse("Cosin(peak=1, total_steps=10)"), ValueError,
         "unknown name 'Cosin'. Did you mean 'Cosine'?"),
        (lambda: olrs.parse("Cosine(3e-4)"), ValueError,
         f"Cosine: arguments are given by name, got 0.0003. Write peak=0.0003. {LISTED}"),
        (lambda: olrs.parse("Cosine(peak=1, total_steps=1e5)"), TypeError,
         "Cosine: total_steps must be an int, got 100000.0; write 100_000 or int(1e5)"),
        (lambda: olrs.Cosine(**COSINE).peek, AttributeError,
         "'Cosine' object has no attribute 'peek'. Did you mean 'peak'?"),
        (lambda: olrs.Cosine(**COSINE).end_at, AttributeError,
         "'Cosine' object has no attribute 'end_at'. Did you mean 'ends_at'?"),
        (lambda: olrs.Cosin, AttributeError,
         "module 'optax_lrs' has no attribute 'Cosin'. Did you mean 'Cosine'?"),
        (lambda: olrs.WDS, AttributeError,
         "module 'optax_lrs' has no attribute 'WDS'. Did you mean 'WSD'?"),
        (lambda: olrs.Joined, AttributeError,
         "module 'optax_lrs' has no attribute 'Joined'. Did you mean optax_lrs.schedules.Joined?"),
        (lambda: olrs.Qqqq, AttributeError,
         "module 'optax_lrs' has no attribute 'Qqqq'"),
    ],
)  # fmt: skip
def test_the_nearest_name(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and str(caught.value) == message


def test_python_adds_no_second_hint():
    for make in (lambda: olrs.Cosine(**COSINE).peek, lambda: olrs.Cosin):
        with pytest.raises(AttributeError) as caught:
            make()
        assert "".join(traceback.format_exception(caught.value)).count("Did you mean") == 1


def test_an_unknown_name_lists_the_known_names_if_none_is_near():
    with pytest.raises(ValueError, match=r"unknown name 'Qqqq'. Known names: .*Cosine, .*linear"):
        olrs.parse("Qqqq(peak=1)")


def test_an_error_inside_a_users_schedule_is_not_hidden():
    class Raises(olrs.Schedule):
        peak: float

        def check(self):
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        Raises(peak=1.0)
