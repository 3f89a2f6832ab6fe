"""Documents of a shadow, as values: merging (RFC 7396), what differs, and what may stand in one.

null never stands in a member of a document: there it means that the member goes.
"""

import json
from typing import Any

from roost.core.errors import Invalid, TooLarge

Document = dict[str, Any]

LIMIT_BYTES = 16 * 1024
DEEPEST = 16


def merge(target: Document, patch: Document) -> Document:
    """`target` with the patch applied (RFC 7396): objects merge, null removes, everything else replaces."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def difference(before: Document, after: Document) -> Document:
    """The smallest patch that makes `before` into `after`."""
    patch: Document = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = difference(old, value)
            if inner:
                patch[key] = inner
        elif key not in before or not same(old, value):
            patch[key] = value
    return patch


def delta(desired: Document, reported: Document) -> Document:
    """What of `desired` the device does not report. Members that only the device has are its own affair."""
    missing: Document = {}
    for key, value in desired.items():
        said = reported.get(key)
        if isinstance(value, dict) and isinstance(said, dict):
            inner = delta(value, said)
            if inner:
                missing[key] = inner
        elif key not in reported or not same(said, value):
            missing[key] = value
    return missing


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def check(document: Document, name: str) -> None:
    """Raises TooLarge above 16 KiB of JSON; Invalid for what JSON does not know or is nested too deeply."""
    if not _shallow(document, DEEPEST):
        raise _invalid(name, f"{name} may be nested {DEEPEST} levels deep.")
    try:
        encoded = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError:
        raise _invalid(name, f"{name} holds a number or a character that JSON does not know.") from None
    if len(encoded) > LIMIT_BYTES:
        raise TooLarge(f"{name} may have {LIMIT_BYTES} bytes of JSON; this would be {len(encoded)}.")


def _shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_shallow(one, levels - 1) for one in inner)


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[{"pointer": f"/{name}", "detail": detail}])
