"""Tenants, their members and invitations."""
