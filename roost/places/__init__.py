"""Homes, and how someone new gets one: registration makes a user, an organization and a first home."""
