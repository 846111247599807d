"""The documentation works offline and says what every route does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

import stepwire.api
from stack import Api

STYLE_URLS = re.compile(r"""(?:url\(|@import)\s*["']?(?!data:)([^"')]+)""")


def links_of(page: str) -> list[str]:
    return re.findall(r"""(?:src|href)=["']([^"']+)""", page)


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/swagger"])
def test_the_documentation_loads_nothing_from_elsewhere(server: Api, path: str) -> None:
    response = server.http.get(path)
    links = links_of(response.text)

    assert response.status_code == 200
    assert {link.rpartition(".")[2] for link in links} == {"js", "css", "png"}
    for link in links:
        asset = server.http.get(link)
        assert link.startswith("/docs/assets/"), link
        assert asset.status_code == 200, link
        if link.endswith(".css"):
            assert STYLE_URLS.findall(asset.text) == [], link


def test_the_page_of_the_documentation_names_no_other_host(server: Api) -> None:
    found = set(re.findall(r"https?://[^\s\"'<>\\\\]+", server.http.get("/docs").text))

    assert found <= {"https://json-schema.org/draft/2020-12/schema"}, found


def test_every_operation_has_a_name_and_says_its_problems(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    operations = list(operations_of(document))
    names = [operation["operationId"] for _, _, operation in operations]

    assert document["openapi"].startswith("3.1")
    assert len(set(names)) == len(names)
    for path, _, operation in operations:
        assert operation["description"] or operation["summary"]
        if path.startswith("/api/"):
            assert {"400", "401"} <= set(operation["responses"]), path


def test_every_reference_in_the_document_leads_somewhere(server: Api) -> None:
    text = server.http.get("/docs/openapi.json").text
    document = server.http.get("/docs/openapi.json").json()
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', text))

    assert references
    for reference in references:
        assert reference.startswith("#/components/schemas/"), reference
        assert reference.rpartition("/")[2] in document["components"]["schemas"], reference


def test_the_document_is_valid_openapi(server: Api) -> None:
    validate(server.http.get("/docs/openapi.json").json())


def test_a_route_handler_is_short_and_calls_a_service() -> None:
    handlers = [
        (file.name, item)
        for file in Path(str(stepwire.api.__file__)).parent.glob("*.py")
        for item in ast.walk(ast.parse(file.read_text()))
        if isinstance(item, ast.AsyncFunctionDef) and item.decorator_list and item.end_lineno is not None
    ]

    assert len(handlers) >= 12
    for name, handler in handlers:
        lines = (handler.end_lineno or 0) - handler.body[0].lineno + 1
        assert lines < 20, f"{name}: {handler.name} has {lines} lines"
