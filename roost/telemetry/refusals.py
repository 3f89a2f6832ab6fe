"""Why a message is not accepted, in the words of both transports."""

MQTT_UNSPECIFIED = 0x80
MQTT_IMPLEMENTATION_SPECIFIC = 0x83
MQTT_NOT_AUTHORIZED = 0x87
MQTT_SERVER_BUSY = 0x89
MQTT_PACKET_TOO_LARGE = 0x95
MQTT_QUOTA_EXCEEDED = 0x97
MQTT_PAYLOAD_INVALID = 0x99


class Refusal(Exception):  # noqa: N818 - it reads as what it says
    """A message that is not stored, and why.

    `status` is the HTTP status, `mqtt_reason` the MQTT 5 reason code; `permanent` says that sending the
    same bytes again cannot help. `detail` is a sentence that the device's owner can act on.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        mqtt_reason: int = MQTT_PAYLOAD_INVALID,
        permanent: bool = True,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.mqtt_reason = mqtt_reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s


def malformed(detail: str) -> Refusal:
    return Refusal(400, "malformed_json", detail)


def invalid(code: str, detail: str) -> Refusal:
    return Refusal(422, code, detail)


def too_large(detail: str) -> Refusal:
    return Refusal(413, "too_large", detail, mqtt_reason=MQTT_PACKET_TOO_LARGE)


def too_often(rate_per_minute: int, retry_after_s: int) -> Refusal:
    return Refusal(
        429,
        "telemetry_rate",
        f"A device may send {rate_per_minute} messages a minute; send again in {retry_after_s} s.",
        mqtt_reason=MQTT_QUOTA_EXCEEDED,
        permanent=False,
        retry_after_s=retry_after_s,
    )


def disk_full() -> Refusal:
    return Refusal(
        503,
        "disk_full",
        "The hub's disk is full but for what it needs itself; nothing of this was stored.",
        mqtt_reason=MQTT_SERVER_BUSY,
        permanent=False,
        retry_after_s=30,
    )


def unavailable(detail: str, retry_after_s: int = 2) -> Refusal:
    return Refusal(
        503,
        "store_unavailable",
        detail,
        mqtt_reason=MQTT_SERVER_BUSY,
        permanent=False,
        retry_after_s=retry_after_s,
    )
