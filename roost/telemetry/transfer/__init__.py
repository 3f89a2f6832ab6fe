"""Telemetry as files: out to whoever asks, in from other systems, and into the archive."""
