"""Devices: how they join, prove who they are, and are known to be there."""
