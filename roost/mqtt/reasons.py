"""Why a packet, a connection or a subscription was refused, in the numbers of MQTT 5 (section 2.4)."""

from enum import IntEnum


class Reason(IntEnum):
    """Reason codes that this endpoint sends; 3.1.1 clients get the nearest thing their version has."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC = 0x83
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    QOS_NOT_SUPPORTED = 0x9B
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1


# What a 3.1.1 CONNACK can say (section 3.2.2.3); everything else is "server unavailable": clients try again.
_CONNACK_311 = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_NOT_VALID: 2,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
}


def connack_code_311(reason: Reason) -> int:
    """The 3.1.1 CONNACK return code that says the same as `reason`."""
    return _CONNACK_311.get(reason, 3)


class MqttError(Exception):
    """Something a client sent is refused: `reason` for the wire, `detail` a sentence a person can act on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ProtocolError(MqttError):
    """The bytes break the standard, or ask for what this endpoint doesn't offer: the connection has to end."""


class SignInError(MqttError):
    """A well-formed CONNECT that is not let in."""


class TopicError(MqttError):
    """A topic or filter that this client may not use; the connection goes on."""


def malformed(detail: str) -> ProtocolError:
    """A packet that cannot be parsed (0x81)."""
    return ProtocolError(Reason.MALFORMED_PACKET, detail)


def violation(detail: str) -> ProtocolError:
    """A packet that can be parsed and yet must not be sent (0x82)."""
    return ProtocolError(Reason.PROTOCOL_ERROR, detail)
