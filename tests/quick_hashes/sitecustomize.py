"""Loaded first by the tests and their servers: password hashes are real, and guessed a hundred times faster.

Signing people in was a third of what the whole suite computed. `tests/access/test_passwords.py` holds the real costs.
"""

from typing import Any

import argon2


class _QuickHasher(argon2.PasswordHasher):
    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(memory_cost=128, time_cost=1, parallelism=1)


argon2.PasswordHasher = _QuickHasher  # type: ignore[misc]
