"""Optimizer states: the roles that their fields declare, and functions that find and change them at any depth."""

from optax_lrs._states.roles import Roles as Roles
from optax_lrs._states.roles import roles_of as roles_of
