"""Telemetry: the one way in for what devices measure, the log it is kept in, and the ways to read it back."""
