"""Convex theory as a calculator for schedules."""

from optax_lrs.theory._last_iterate import BoundTerms as BoundTerms
from optax_lrs.theory._last_iterate import bound_terms as bound_terms
from optax_lrs.theory._last_iterate import bound_terms_and_gradient as bound_terms_and_gradient
from optax_lrs.theory._last_iterate import last_iterate_bound as last_iterate_bound
from optax_lrs.theory._last_iterate import optimal_bound as optimal_bound
from optax_lrs.theory._last_iterate import optimal_rate as optimal_rate
from optax_lrs.theory._refined import RefinedRates as RefinedRates
from optax_lrs.theory._refined import refined_rates as refined_rates
from optax_lrs.theory._refined import refined_shape as refined_shape
