"""Alembic migrations, inside the package so that a wheel carries them, and what runs them at start."""
