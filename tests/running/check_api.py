"""`make test-api`: the system endpoints of a running hub answer as promised."""

import sys

import httpx2

from tests.running.hub import expect, run_checks


def check_system(client: httpx2.Client) -> None:
    """Public endpoints, and those of the system where they are public."""
    root = expect(client.get("/"), 200).json()
    assert {"name", "version", "status"} <= root.keys(), f"GET / answered {root}"
    assert expect(client.get("/system/health"), 200).json()["ok"] is True, "the hub does not call itself healthy"
    expect(client.get("/healthz"), 200)
    expect(client.get("/readyz"), 200)
    paths = expect(client.get("/openapi.json"), 200).json()["paths"]
    assert paths, "the OpenAPI document is empty"
    if client.get("/system/temp").status_code == 401:
        print("    /system/* asks for a sign-in on this hub")
        return
    temperature = expect(client.get("/system/temp"), 200).json()
    assert {"time", "temp_c"} <= temperature.keys(), f"GET /system/temp answered {temperature}"
    metrics = expect(client.get("/system/metrics", params={"sample_ms": 100, "top_n": 3}), 200).json()
    assert {"time", "cpu", "memory", "top"} <= metrics.keys(), f"GET /system/metrics answered {sorted(metrics)}"
    expect(client.get("/system/version"), 200)


if __name__ == "__main__":
    sys.exit(run_checks(check_system))
