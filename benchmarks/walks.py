"""The series that everything is measured with: random walks with two decimals, at an even pace with jitter."""

import numpy as np
import numpy.typing as npt

JITTER_MS = 50

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def random_walks(
    rng: np.random.Generator, keys: tuple[str, ...], *, rows: int, span: int, end: int
) -> tuple[Times, dict[str, Values]]:
    """Times in milliseconds, spread over the `span` before `end`, and as many values of each key."""
    step = span / rows
    jitter = np.minimum(JITTER_MS, step / 3)
    times = (end - span + (np.arange(rows) + 0.5) * step + rng.uniform(-jitter, jitter, rows)).astype(np.int64)
    return times, {key: np.round(20 + np.cumsum(rng.normal(0, 0.05, rows)), 2) for key in keys}
