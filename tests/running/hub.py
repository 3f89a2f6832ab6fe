"""The hub that `make test-api` and `make test-auth` look at: whichever runs, on this machine or another."""

import os
import sys
from collections.abc import Callable

import httpx2

from roost.core.settings import Settings


def hub_url() -> str:
    """`ROOST_URL`, or where the settings say that this machine's hub listens."""
    settings = Settings()
    scheme = "https" if settings.tls_cert else "http"
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
    return os.environ.get("ROOST_URL", f"{scheme}://{host}:{settings.port}").rstrip("/")


def run_checks(checks: Callable[[httpx2.Client], None]) -> int:
    """Run the checks; 0 when all hold, 1 with a sentence otherwise."""
    url = hub_url()
    with httpx2.Client(base_url=url, timeout=10) as client:
        try:
            checks(client)
        except httpx2.TransportError as error:
            print(f"No hub answers at {url} ({error}). Start one with: make run", file=sys.stderr)
            return 1
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(f"All checks passed at {url}.")
    return 0


def expect(answer: httpx2.Response, status: int) -> httpx2.Response:
    """The answer, if it has this status; AssertionError with what it says otherwise."""
    line = f"{answer.request.method} {answer.request.url.path}"
    assert answer.status_code == status, f"{line} answered {answer.status_code}, not {status}: {answer.text[:500]}"
    print(f"ok  {line} {status}")
    return answer
