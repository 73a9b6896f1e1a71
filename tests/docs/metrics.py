"""The names of everything that ``/metrics`` shows."""

from __future__ import annotations

from tests.observers.counted import Counted
from twistedgate.observers.families import families

FAMILIES = {family.sample_name: family for family in families(Counted().reading())}
"""Each family by the name of its samples; of a histogram, by what these names begin with."""

HISTOGRAMS = {name for name, family in FAMILIES.items() if family.kind == "histogram"}

SAMPLES = (FAMILIES.keys() - HISTOGRAMS) | {
    f"{name}_{end}" for name in HISTOGRAMS for end in ("bucket", "count", "sum")
}
"""The names that an expression may use."""

METRICS = SAMPLES | HISTOGRAMS
"""The names that a page may use."""
