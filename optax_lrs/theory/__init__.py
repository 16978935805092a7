"""Convex theory as a calculator: rank schedules, and adapt them when the run changes.

For convex functions there is a bound on how far the *last* parameters of a run are from the
optimum, for any rates and any gradient norms (:func:`last_iterate_terms`). It is not a theorem
about neural networks, but it describes them well: it predicts the drop of the loss in the cooldown,
that longer cooldowns prefer higher rates, and how the best rate falls with the horizon
(arXiv:2501.18965). Import the module by name: ``from optax_lrs import theory``.

**Rank schedules.** Lower is better. Each schedule is compared at its own best rate, so only shapes
count. Any ``optax.Schedule`` works, and any array of rates. With the norms recorded in a run, the
ranking is for that task::

    theory.optimal_bound(olrs.Cosine(peak=1.0, total_steps=T), total_steps=T)
    theory.optimal_bound(lrs, grad_norms=run.grad_norms)

**What does a longer cooldown gain, and which rate does it need?** ::

    theory.wsd_terms(total_steps=50_000, decay_steps=10_000).optimal_bound
    factor = theory.rate_transfer(total_steps=50_000, decay_steps=10_000, new_decay_steps=30_000)
    new_peak = factor * tuned_peak

**The run becomes longer.** Keep the tuned peak and begin the cooldown later, or continue with a
lower rate::

    theory.adapted_cooldown(total_steps=50_000, decay_steps=10_000, new_total_steps=100_000)
    theory.two_stage_factor(total_steps=50_000, decay_steps=10_000, new_total_steps=100_000)

**Where in the run is the gain?** :func:`bound_along_run` is the counterpart of a loss curve.
**Which rates are best if nothing is known?** :func:`worst_case_optimum`: linear decay.

**What did learning one task after another cost?** These are measures, not theory, of a record of
accuracies or losses by task: :func:`worst_case_accuracy` and :func:`windowed_forgetting` show the
stability gap that :func:`average_accuracy` and :func:`average_forgetting` miss (arXiv:2205.13452).

Functions of arrays take time proportional to the number of steps (under 0.2 s for a million). They
return NumPy float64 for NumPy inputs, and JAX arrays for JAX inputs, where they work with ``jit``,
``vmap`` and ``grad``. :func:`last_iterate_terms_and_gradient` is for minimizers without JAX.
Functions of lengths alone take constant time at any horizon, because WSD with a linear cooldown has
a closed form; other cooldowns cost O(steps).

**Limits.**

- The bound is for subgradient steps with the gradients' Euclidean norms. Its use for Adam is
  empirical: agreement with training was observed, not proved.
- It gives *ratios* of rates, between shapes, cooldowns and horizons, but never the rate itself,
  which depends on the distance to the optimum.
- It is about twice the true worst case, and neural networks are not the worst case: read a ranking,
  not a loss.
- It does not see what limits the rate from above: a rate at which training diverges can be optimal
  here. Warmup is an example; with equal norms it looks like a waste.
- It bounds the last parameters, not the best ones or an average of them; for the average, use
  :func:`average_iterate_bound`.
"""

from optax_lrs.theory._along_run import bound_along_run as bound_along_run
from optax_lrs.theory._average_iterate import average_iterate_bound as average_iterate_bound
from optax_lrs.theory._average_iterate import average_iterate_terms as average_iterate_terms
from optax_lrs.theory._closed_forms import worst_case_optimum as worst_case_optimum
from optax_lrs.theory._closed_forms import wsd_terms as wsd_terms
from optax_lrs.theory._forgetting import average_accuracy as average_accuracy
from optax_lrs.theory._forgetting import average_forgetting as average_forgetting
from optax_lrs.theory._forgetting import min_accuracy as min_accuracy
from optax_lrs.theory._forgetting import windowed_forgetting as windowed_forgetting
from optax_lrs.theory._forgetting import windowed_plasticity as windowed_plasticity
from optax_lrs.theory._forgetting import worst_case_accuracy as worst_case_accuracy
from optax_lrs.theory._guaranteed import GuaranteedRates as GuaranteedRates
from optax_lrs.theory._last_iterate import BoundTerms as BoundTerms
from optax_lrs.theory._last_iterate import last_iterate_bound as last_iterate_bound
from optax_lrs.theory._last_iterate import last_iterate_terms as last_iterate_terms
from optax_lrs.theory._last_iterate import last_iterate_terms_and_gradient as last_iterate_terms_and_gradient
from optax_lrs.theory._last_iterate import optimal_bound as optimal_bound
from optax_lrs.theory._last_iterate import optimal_rate as optimal_rate
from optax_lrs.theory._refined import refined_rates as refined_rates
from optax_lrs.theory._refined import refined_shape as refined_shape
from optax_lrs.theory._transfer import adapted_cooldown as adapted_cooldown
from optax_lrs.theory._transfer import rate_transfer as rate_transfer
from optax_lrs.theory._transfer import two_stage_factor as two_stage_factor
