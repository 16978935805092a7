"""Values: frozen dataclasses that are pytrees, and the checks of their arguments."""

from optax_lrs._value.fields import Note as Note
from optax_lrs._value.fields import Static as Static
from optax_lrs._value.value import JSON_VERSION as JSON_VERSION
from optax_lrs._value.value import Value as Value
from optax_lrs._value.value import build as build
