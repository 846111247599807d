"""The documentation works offline and says what every route does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
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

    assert found <= {"https://json-schema.org/draft/2020-12/schema", "https://example.com/hooks/stepwire"}, found


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


def test_every_post_says_that_it_may_refuse_a_body_that_is_no_json(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    posts = [(path, operation) for path, method, operation in operations_of(document) if method == "post"]
    nobody = "00000000-0000-7000-8000-000000000000"

    for path, operation in posts:
        answer = server.http.post(re.sub(r"{\w+}", nobody, path), content=b"<a/>", headers={"Content-Type": "text/xml"})
        assert str(answer.status_code) in operation["responses"], f"{path}: {answer.status_code}"


@pytest.mark.parametrize(
    ("operation_id", "method", "path", "content"),
    [
        ("listWorkflows", "GET", "/api/v1/workflows?name=%00", None),
        ("validateWorkflow", "POST", "/api/v1/workflows/{}/validate", b'{"definition": 1e400}'),
    ],
)
def test_what_cannot_be_kept_is_refused_as_the_document_says(
    server: Api, operation_id: str, method: str, path: str, content: bytes | None
) -> None:
    document = server.http.get("/docs/openapi.json").json()
    said = next(each["responses"] for _, _, each in operations_of(document) if each["operationId"] == operation_id)
    workflow = server.http.post("/api/v1/workflows", json={"name": "x"}).json()

    answer = server.http.request(
        method, path.format(workflow["id"]), content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert "422" in said


def test_every_reference_in_the_document_leads_somewhere(server: Api) -> None:
    text = server.http.get("/docs/openapi.json").text
    document = server.http.get("/docs/openapi.json").json()
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', text))

    assert references
    for reference in references:
        _, components, kind, name = reference.split("/")
        assert (components, name in document["components"][kind]) == ("components", True), reference


def test_the_document_is_valid_openapi(server: Api) -> None:
    validate(server.http.get("/docs/openapi.json").json())


def test_the_example_bodies_are_taken_as_they_are(server: Api) -> None:
    """In the order in which the document links the operations: each finds what the one before has made."""
    document = server.http.get("/docs/openapi.json").json()
    bodies = {
        operation["operationId"]: [
            each["value"] for each in operation["requestBody"]["content"]["application/json"]["examples"].values()
        ]
        for _, _, operation in operations_of(document)
        if "requestBody" in operation
    }
    path = "/api/v1/workflows"
    empty = [server.http.post(path, json=body) for body in bodies.pop("createWorkflow")]
    path = f"{path}/{empty[0].json()['id']}"
    answers = [
        *empty,
        *(server.http.put(path, json=body) for body in bodies.pop("updateWorkflow")),
        *(server.http.post(f"{path}/validate", json=body) for body in bodies.pop("validateWorkflow")),
        server.http.post(f"{path}/publish"),
        *(
            server.http.post(f"/api/v1/triggers/webhook/{path.rpartition('/')[2]}", json=body | {"name": "Ada"})
            for body in bodies.pop("receiveWebhook")
        ),
        *(
            server.http.post(f"/api/v1/triggers/webhook/{path.rpartition('/')[2]}/secret", json=body)
            for body in bodies.pop("renewWebhookSecret")
        ),
        *(
            server.http.post("/api/v1/triggers/schedule", json=body | {"workflow_id": path.rpartition("/")[2]})
            for body in bodies.pop("putSchedule")
        ),
        *(server.http.put(f"{path}/hook", json=body) for body in bodies.pop("putHook")),
        *(server.http.put("/api/v1/secrets/api_token", json=body) for body in bodies.pop("putSecret")),
        *(server.http.post(f"{path}/run", json=body) for body in bodies.pop("startRun")),
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 200, 200, 202, 201, 201, 201, 201, 201]
    assert all(answer.json()["valid"] for answer in answers if "valid" in answer.json())
    assert server.finished(answers[-1].json()["id"])["output"] == {"greet": {"text": "Hello Ada"}}
    assert set(bodies) == {"resumeRun"}, "an operation whose examples nobody tries"


def test_every_link_names_an_operation_and_its_parameter(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    parameters = {
        operation["operationId"]: {each["name"] for each in operation.get("parameters", [])}
        for _, _, operation in operations_of(document)
    }
    links = [
        link
        for _, _, operation in operations_of(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]

    assert len(links) > 10
    assert all(set(link["parameters"]) <= parameters[link["operationId"]] for link in links)


def test_the_document_is_what_the_decoders_do(server: Api) -> None:
    schemas = server.http.get("/docs/openapi.json").json()["components"]["schemas"]
    inputs = {
        "WorkflowCreate",
        "WorkflowUpdate",
        "RunInput",
        "ResumeInput",
        "ValidationRequest",
        "SecretInput",
        "HookInput",
        "ScheduleInput",
        "WebhookSecretInput",
    }

    assert inputs == {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert schemas["WorkflowResponse"]["properties"]["status"]["type"] == "string"
    assert "definition" not in schemas["WorkflowResponse"]["required"], "lists leave it out"
    assert {"output", "error", "started_at"} <= set(schemas["RunResponse"]["required"]), "there, if only as null"
    assert all("_" not in name for name in schemas)


def test_every_answer_says_its_headers(server: Api) -> None:
    """What it says to be always there is there."""
    document = server.http.get("/docs/openapi.json").json()
    made = server.http.post("/api/v1/workflows", json={"name": "x"}, headers={"Idempotency-Key": "headers"})
    again = server.http.post("/api/v1/workflows", json={"name": "x"}, headers={"Idempotency-Key": "headers"})
    responses = document["paths"]["/api/v1/workflows"]["post"]["responses"]

    for answer, status in ((made, "201"), (again, "200")):
        headers = responses[status]["headers"]
        required = {name for name in headers if document["components"]["headers"][name]["required"]}
        assert required <= {name for name in headers if name in answer.headers}
    assert {"Location", "ETag", "X-Request-ID"} <= set(responses["201"]["headers"])


def test_every_refusal_is_shown_as_it_is(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    shown = [
        (status, response["content"]["application/problem+json"]["example"])
        for _, _, operation in operations_of(document)
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
    ]

    assert len(shown) > 50
    for status, problem in shown:
        assert problem["status"] == int(status), problem
        assert problem["instance"].startswith("/api/v1/"), problem


def test_bodies_may_leave_out_what_has_a_default(server: Api) -> None:
    """Generators take a field with a `default` for one that is always there, in bodies too."""
    schemas = server.http.get("/docs/openapi.json").json()["components"]["schemas"]
    fields = [field for schema in schemas.values() for field in schema.get("properties", {}).values()]

    assert len(fields) > 50
    assert not [field for field in fields if "default" in field]


def test_only_the_routes_under_api_ask_for_a_token(server: Api) -> None:
    document = server.http.get("/docs/openapi.json").json()
    public = {path for path, _, operation in operations_of(document) if operation.get("security") == []}

    assert public == {"/health", "/health/ready"}
    for path in public:
        assert httpx.get(server.url + path).status_code == 200


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
