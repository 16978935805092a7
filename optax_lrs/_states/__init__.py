"""Optimizer states: the roles of their fields, and functions that find and replace them."""

from optax_lrs._states.roles import Roles as Roles
from optax_lrs._states.roles import roles_of as roles_of
