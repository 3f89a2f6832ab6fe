"""Long lists in pieces: `limit`, an opaque `cursor`, and `X-Next-Cursor` and `Link` while there is more."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from roost.core.errors import Malformed

Item = TypeVar("Item")
Position = int | str
_LONGEST_CURSOR = 512
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which piece is wanted. `after` holds the sort keys of the last item already seen, None at the start."""

    limit: int
    after: list[Position] | None
    request: Request
    response: Response

    @property
    def after_id(self) -> int:
        """The last id already seen, for lists sorted by id alone; 0 at the start."""
        if self.after is None:
            return 0
        if len(self.after) != 1 or not isinstance(self.after[0], int):
            raise _broken()
        return self.after[0]

    def cut(self, rows: Sequence[Item], key: Callable[[Item], Position | list[Position]]) -> list[Item]:
        """The page of `rows` (fetch `limit + 1` of them); sets the headers when there is one more."""
        page = list(rows[: self.limit])
        if len(rows) > self.limit:
            keys = key(page[-1])
            cursor = _encode(keys if isinstance(keys, list) else [keys])
            following = self.request.url.include_query_params(cursor=cursor, limit=self.limit)
            path = self.request.scope.get("roost.path", following.path)
            self.response.headers["X-Next-Cursor"] = cursor
            self.response.headers["Link"] = f'<{path}?{following.query}>; rel="next"'
        return page


async def _page_request(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many items.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=_LONGEST_CURSOR, description="`X-Next-Cursor` of the page before.")
    ] = None,
) -> PageRequest:
    return PageRequest(limit, None if cursor is None else _decode(cursor), request, response)


Page = Annotated[PageRequest, Depends(_page_request)]
"""The page that a list endpoint was asked for."""


def _encode(keys: list[Position]) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str) -> list[Position]:
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise _broken() from None
    if not isinstance(keys, list) or not keys or not all(_is_position(key) for key in keys):
        raise _broken()
    return keys


def _is_position(key: object) -> bool:
    if isinstance(key, bool):
        return False
    return isinstance(key, str) or (isinstance(key, int) and abs(key) <= _LARGEST_INTEGER)


def _broken() -> Malformed:
    return Malformed("The cursor is not one that this list gave out; start again without it.", code="bad_cursor")
