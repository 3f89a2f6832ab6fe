"""Older telemetry, sealed: columns of one device, compressed, with what they hold beside them."""
