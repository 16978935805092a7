"""Pictures of schedules, drawn with matplotlib."""

from optax_lrs.pictures._gallery import gallery as gallery
from optax_lrs.pictures._schedules import plot as plot
