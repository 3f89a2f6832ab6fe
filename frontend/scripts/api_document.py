"""The OpenAPI document of the server in this tree, and a digest of what the web app's types are made from."""

import hashlib
import json
import sys
from typing import Any

from roost.app import create_app
from roost.core.settings import Settings

# What people read and no type depends on.
_WORDS = {"description", "summary", "example", "examples", "title"}


def document() -> dict[str, Any]:
    """The document as the server answers it."""
    return create_app(Settings(_env_file=None)).openapi()


def digest(node: dict[str, Any]) -> str:
    """The same for two documents that give the same types, whatever is said in them for people to read."""
    return hashlib.sha256(json.dumps(_shape(node), sort_keys=True).encode()).hexdigest()


def _shape(node: Any) -> Any:
    if isinstance(node, dict):
        # A property may be called like one of the words; then it is an object, and theirs are texts and lists.
        return {name: _shape(value) for name, value in node.items() if name not in _WORDS or isinstance(value, dict)}
    return [_shape(entry) for entry in node] if isinstance(node, list) else node


if __name__ == "__main__":
    made = document()
    json.dump({"document": made, "digest": digest(made)}, sys.stdout)
