"""The shadow in ThingsBoard's words: what is desired are shared attributes, what is reported client attributes."""

from collections.abc import Sequence
from typing import Any

from roost.devices.shadow.documents import Document
from roost.devices.shadow.state import Shadow


def attributes(
    shadow: Shadow, client_keys: Sequence[str] | None, shared_keys: Sequence[str] | None
) -> dict[str, Document]:
    """`{"client": {…}, "shared": {…}}` with these keys; all there are when none is named."""
    if client_keys is None and shared_keys is None:
        return {"client": shadow.reported.document, "shared": shadow.desired.document}
    answer = {
        "client": _chosen(shadow.reported.document, client_keys or ()),
        "shared": _chosen(shadow.desired.document, shared_keys or ()),
    }
    return {side: document for side, document in answer.items() if document}


def update(shadow: Shadow, patch: Document) -> dict[str, Any]:
    """What a device is told of a change of what is desired: whole members, and the names of those that are gone."""
    desired = shadow.desired.document
    told: dict[str, Any] = _chosen(desired, patch)
    deleted = [key for key in patch if key not in desired]
    return told | {"deleted": deleted} if deleted else told


def _chosen(document: Document, keys: Sequence[str] | Document) -> Document:
    return {key: document[key] for key in keys if key in document}
