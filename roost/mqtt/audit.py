"""What happens at the MQTT endpoint and belongs into the audit log."""

from typing import Any

from roost.access.audit.addresses import DEVICES, Sighting
from roost.access.audit.journal import AuditJournal
from roost.access.audit.log import ANONYMOUS, Actor, Deed, only_organization
from roost.access.principals import UserPrincipal
from roost.core.ids import redact
from roost.devices.identity import DeviceIdentity
from roost.mqtt.reasons import Reason, SignInError

CONNECT_REFUSED = "mqtt.connect_refused"
PUBLISH_REFUSED = "mqtt.publish_refused"
SUBSCRIBE_REFUSED = "mqtt.subscribe_refused"
_LONGEST_QUOTE = 200
# A CONNECT may also be refused because of its form; that says nothing about who may do what.
_CREDENTIALS = frozenset(
    {Reason.BAD_USER_NAME_OR_PASSWORD, Reason.NOT_AUTHORIZED, Reason.CONNECTION_RATE_EXCEEDED, Reason.QUOTA_EXCEEDED}
)


class MqttAudit:
    """Tells the journal. Nothing here waits; repetitions are folded there."""

    def __init__(self, journal: AuditJournal) -> None:
        self._journal = journal

    def entered(self, principal: DeviceIdentity | UserPrincipal, address: str) -> None:
        """Somebody was let in from there."""
        if isinstance(principal, UserPrincipal):
            self._journal.used_by(principal, address)
        elif not self._journal.addresses.knows(DEVICES, principal.device_id, address):
            actor, organization_id = _who(principal)
            self._journal.used(Sighting(DEVICES, principal.device_id, address, actor, organization_id))

    def connect_refused(self, name: str | None, address: str, error: SignInError) -> None:
        """Somebody was not let in."""
        if error.reason in _CREDENTIALS:
            typed = redact(name)[:_LONGEST_QUOTE] if name else None
            details = {"code": error.reason.name.lower()}
            deed = Deed(CONNECT_REFUSED, ANONYMOUS, "refused", object_name=typed, details=details, address=address)
            self._journal.note(deed)

    def topic_refused(
        self, action: str, principal: DeviceIdentity | UserPrincipal | None, address: str, topic: str, reason: Reason
    ) -> None:
        """Somebody published or subscribed to what is not theirs; what is no topic at all is nobody's."""
        if reason is not Reason.NOT_AUTHORIZED:
            return
        actor, organization_id = _who(principal)
        details: dict[str, Any] = {"code": reason.name.lower(), "path": redact(topic)[:_LONGEST_QUOTE]}
        deed = Deed(action, actor, "refused", organization_id=organization_id, details=details, address=address)
        self._journal.note(deed)


def _who(principal: DeviceIdentity | UserPrincipal | None) -> tuple[Actor, int | None]:
    if isinstance(principal, DeviceIdentity):
        return Actor("device", principal.device_id, principal.device_uid), principal.organization_id
    if isinstance(principal, UserPrincipal):
        return Actor.of(principal), only_organization(principal.grants)
    return ANONYMOUS, None
