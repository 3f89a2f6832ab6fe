"""The OpenAPI document of the hub, made once per test process and only when a test asks: it takes a second."""

from functools import cache
from typing import Any

from roost.app import create_app
from roost.core.settings import Settings


@cache
def api_document() -> dict[str, Any]:
    """The document; shared, so leave it as it is."""
    return create_app(Settings(_env_file=None)).openapi()
