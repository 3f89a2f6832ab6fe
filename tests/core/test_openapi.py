"""The OpenAPI document: complete enough to generate a client from, and to hold the hub to."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.api_document import api_document

REPOSITORY = Path(__file__).parents[2]
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in api_document()["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method, path, operation


def test_operation_ids_are_unique_and_read_like_functions() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert all(name.replace("_", "").isalnum() and name.islower() for name in ids), ids


def test_every_operation_is_described() -> None:
    for method, path, operation in operations():
        _check_description(method, path, operation)


def _check_description(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation.get("summary"), (method, path)
    assert operation.get("tags"), (method, path)
    responses = operation["responses"]
    assert any(status.startswith(("2", "3")) for status in responses), (method, path)
    assert {"422", "500", "503"} <= responses.keys(), (method, path)
    if operation.get("security"):
        assert "401" in responses, (method, path)
    if "requestBody" in operation:
        assert {"400", "408", "413"} <= responses.keys(), (method, path)
    if "{" in path:
        assert "404" in responses, (method, path)
    for status, response in responses.items():
        if int(status) >= 400 and status != "503":
            assert "application/problem+json" in response["content"], (method, path, status)


def test_the_types_of_the_web_app_are_those_of_the_endpoints() -> None:
    digest = runpy.run_path(str(REPOSITORY / "frontend/scripts/api_document.py"))["digest"]
    made_from = (REPOSITORY / "frontend/src/api/schema.sha256").read_text().strip()
    assert made_from == digest(api_document()), "The endpoints have changed: run `npm --prefix frontend run api`."


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    components = api_document()["components"]["schemas"]
    for reference in references(api_document()):
        assert reference.removeprefix("#/components/schemas/") in components, reference
    schemes = api_document()["components"]["securitySchemes"]
    for _, _, operation in operations():
        for requirement in operation.get("security", ()):
            assert requirement.keys() <= schemes.keys()
