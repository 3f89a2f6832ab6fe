"""Which entries of the audit log are wanted: the query parameters of its endpoints."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from sqlalchemy import ColumnElement

from roost.access.audit.models import AuditEntry
from roost.core.clock import from_ms, parse_time
from roost.core.errors import Invalid
from roost.core.ids import RowId

_TIME_TEXT = "RFC 3339 or integer milliseconds since 1970."
Word = Annotated[str | None, Query(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is None is not asked for. `since` is included, `until` is not."""

    actor_id: int | None = None
    actor: str | None = None
    action: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    outcome: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """For a WHERE clause."""
        wanted: list[ColumnElement[bool]] = []
        for name in ("actor_id", "object_kind", "object_id", "outcome", "address"):
            value = getattr(self, name)
            if value is not None:
                wanted.append(getattr(AuditEntry, name) == value)
        if self.actor is not None:
            wanted.append(AuditEntry.actor_name.icontains(self.actor, autoescape=True))
        if self.action is not None:
            wanted.append(AuditEntry.action.startswith(self.action, autoescape=True))
        if self.since is not None:
            wanted.append(AuditEntry.at >= self.since)
        if self.until is not None:
            wanted.append(AuditEntry.at < self.until)
        return wanted

    def said(self) -> dict[str, str]:
        """What is asked for, as plain text: an export is itself audited."""
        given = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: str(value) for name, value in given if value is not None}


def moment(text: str | None, name: str) -> datetime | None:
    """A time as a query parameter or an option spells it. Raises Invalid."""
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        return from_ms(parse_time(text.replace(" ", "+")))
    except ValueError:
        detail = f"`{name}` must be {_TIME_TEXT}"
        raise Invalid(detail, errors=[{"pointer": f"/query/{name}", "detail": detail}]) from None


async def _wanted(  # noqa: PLR0917 - FastAPI calls it by keyword
    actor_id: Annotated[RowId | None, Query(description="The user's or device's id.")] = None,
    actor: Annotated[str | None, Query(min_length=1, max_length=255, description="Part of the actor's name.")] = None,
    action: Annotated[
        str | None, Query(min_length=1, max_length=64, description="How the action begins, such as `user.`.")
    ] = None,
    object_kind: Word = None,
    object_id: Word = None,
    outcome: Annotated[Literal["success", "refused", "failed"] | None, Query()] = None,
    address: Word = None,
    from_: Annotated[
        str | None, Query(alias="from", max_length=40, description=f"Start, included; {_TIME_TEXT}")
    ] = None,
    to: Annotated[str | None, Query(max_length=40, description=f"End, not included; {_TIME_TEXT}")] = None,
) -> AuditFilter:
    since, until = moment(from_, "from"), moment(to, "to")
    return AuditFilter(actor_id, actor, action, object_kind, object_id, outcome, address, since, until)


Wanted = Annotated[AuditFilter, Depends(_wanted)]
"""The entries that a request asks for."""
