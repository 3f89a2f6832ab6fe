"""What a live socket is asked for when it opens: filters and, perhaps, a token."""

from dataclasses import dataclass

from starlette.datastructures import QueryParams

from roost.live.closings import BAD_FRAME, Closing

SUBPROTOCOL = "bearer"
MAX_ID = 2**31 - 1

FILTERS = ("home_id", "device_id")
TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a parameter


@dataclass(frozen=True, slots=True)
class Filters:
    """Only this home, only this device; None is no limit."""

    home_id: int | None = None
    device_id: int | None = None


def parse_filters(query: QueryParams) -> Filters:
    """The filters of a socket's address. Raises Closing (4400) for a filter that does not exist or is no id."""
    found: dict[str, int] = {}
    for name, value in query.multi_items():
        if name == TOKEN_PARAMETER:
            continue
        if name not in FILTERS:
            raise Closing(BAD_FRAME, f"There is no filter {name[:40]!r}; home_id and device_id exist.")
        if name in found:
            raise Closing(BAD_FRAME, f"{name} is given twice.")
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and 0 < int(value) <= MAX_ID):
            raise Closing(BAD_FRAME, f"{name} is not the id of anything.")
        found[name] = int(value)
    return Filters(**found)


def offered_token(query: QueryParams, subprotocols: list[str]) -> str | None:
    """The token in `Sec-WebSocket-Protocol: bearer, <token>` or in `?token=`; None when neither is there."""
    if SUBPROTOCOL in subprotocols:
        following = subprotocols[subprotocols.index(SUBPROTOCOL) + 1 :]
        if following:
            return following[0]
    return query.get(TOKEN_PARAMETER) or None
