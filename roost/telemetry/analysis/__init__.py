"""Calculating with telemetry, on columns. Everything here needs numpy, so that it is loaded with the first question."""
