"""Lists in pieces."""

import httpx2
import pytest

from tests.conftest import UserClient, register_device


def test_pages_follow_each_other_without_gap_or_repetition(user: UserClient) -> None:
    made = [register_device(user).id for _ in range(5)]
    seen: list[int] = []
    address = "/devices?limit=2"
    pages = 0
    while True:
        answer = user.get(address)
        seen += [device["id"] for device in answer.json()]
        pages += 1
        if "X-Next-Cursor" not in answer.headers:
            assert "Link" not in answer.headers
            break
        assert answer.headers["Link"].endswith('>; rel="next"')
        following = answer.headers["Link"].partition(">")[0].removeprefix("<")
        assert following.startswith("/api/v1/devices?")
        address = following.removeprefix("/api/v1")
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))
    assert pages == 3


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA", "W10", "W3RydWVd", "WzFd" * 200])
def test_a_made_up_cursor_is_refused(user: UserClient, cursor: str) -> None:
    answer: httpx2.Response = user.get("/devices", params={"cursor": cursor})
    assert answer.status_code in {400, 422}, answer.text
