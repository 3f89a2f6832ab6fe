"""How long telemetry is kept: policies, and what takes away that for which the time is over."""
