"""Roost: a self-hosted hub that devices join, speak to, and are seen through."""

__version__ = "0.1.0"
