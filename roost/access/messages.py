"""What this room tells the others."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from roost.core import outbox

GRANTS_CHANGED = "user.grants_changed"
DEACTIVATED = "user.deactivated"


def tell_grants_changed(session: AsyncSession, user_id: int) -> None:
    """Somebody may do more or less than before: open connections are judged anew at once."""
    outbox.add(session, GRANTS_CHANGED, _user_event(user_id))


def tell_deactivated(session: AsyncSession, user_id: int) -> None:
    """Somebody may do nothing any more: open connections end at once."""
    outbox.add(session, DEACTIVATED, _user_event(user_id))


def _user_event(user_id: int) -> dict[str, Any]:
    return {"user_id": user_id}
