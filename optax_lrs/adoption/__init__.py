"""Continues the state of one optimizer with another, and reads the step that a state is at."""

from optax_lrs.adoption._adopt import AdoptionReport as AdoptionReport
from optax_lrs.adoption._adopt import adopt as adopt
from optax_lrs.adoption._adopt import adopt_with_report as adopt_with_report
from optax_lrs.adoption._migrate import migrate as migrate
from optax_lrs.adoption._steps import reset_schedule as reset_schedule
from optax_lrs.adoption._steps import step_of as step_of
