"""What happens at live sockets and belongs into the audit log."""

from fastapi import WebSocket

from roost.access.audit.journal import AuditJournal
from roost.access.audit.log import ANONYMOUS, Actor, Deed, only_organization
from roost.access.audit.refusals import REFUSED
from roost.access.principals import UserPrincipal
from roost.core.ids import redact
from roost.live.closings import NOT_ALLOWED, NOT_FOUND, NOT_SIGNED_IN, TOO_MANY, Closing

_LONGEST_QUOTE = 200
_REFUSALS = {NOT_SIGNED_IN: 401, NOT_ALLOWED: 403, NOT_FOUND: 404, TOO_MANY: 429}


class SocketAudit:
    """Tells the journal. Nothing here waits."""

    def __init__(self, journal: AuditJournal) -> None:
        self._journal = journal

    def opened(self, websocket: WebSocket, principal: UserPrincipal) -> None:
        """Somebody came with a good token."""
        if websocket.client is not None:
            self._journal.used_by(principal, websocket.client.host)

    def refused(self, websocket: WebSocket, principal: UserPrincipal | None, closing: Closing) -> None:
        """A socket was closed instead of opened, in answer to a token."""
        status = _REFUSALS.get(closing.code)
        if status is None:
            return
        actor = ANONYMOUS if principal is None else Actor.of(principal)
        details = {
            "method": "WS",
            "path": redact(websocket.scope["roost.path"])[:_LONGEST_QUOTE],
            "status": status,
            "code": closing.code,
        }
        organization_id = None if principal is None else only_organization(principal.grants)
        self._journal.note(Deed(REFUSED, actor, "refused", organization_id=organization_id, details=details))
