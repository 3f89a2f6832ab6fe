"""What a hub has loaded that nobody asks for history."""

import subprocess
import sys

_HEAVY = ("numpy", "pcodec", "pyarrow", "zstandard")
_START = """
import sys
from roost.app import create_app
from roost.core.settings import Settings
create_app(Settings(_env_file=None))
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_nothing_that_only_history_needs_is_there_at_start() -> None:
    started = subprocess.run(
        [sys.executable, "-c", _START, *_HEAVY], check=True, capture_output=True, text=True, timeout=60
    )
    assert started.stdout.split() == []
