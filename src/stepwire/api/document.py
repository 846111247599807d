"""The OpenAPI document as clients get it: Litestar's, with what it cannot say by itself.

The schemas are msgspec's own, so that what the document says is what the decoder does; answers' headers, links between
operations and examples are added by operation id. Everything here works on the finished document, once.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from stepwire.api.examples import ANSWERS, BODIES, refusal
from stepwire.api.problems import PROBLEM_JSON
from stepwire.api.schemas import catalog, common, hooks, runs, schedules, secrets, webhooks, workflows
from stepwire.api.schemas.common import Page, Problem, Sequel
from stepwire.api.schemas.workflows import ReadOnly
from stepwire.definition.plan import Handles

Json = dict[str, Any]
_GENERIC: dict[str, Any] = {
    "WorkflowPage": Page[workflows.WorkflowResponse],
    "RunPage": Page[runs.RunResponse],
    "SchedulePage": Page[schedules.ScheduleResponse],
    "StepRunPage": Sequel[runs.StepRunResponse],
    "EventPage": Sequel[runs.EventResponse],
}
_PREFIX = "#/components/schemas/"

_HEADERS: dict[str, Json] = {
    "X-Request-ID": {"description": "The request's id, yours or made; it is in every log line", "type": "string"},
    "Location": {"description": "Where the resource is", "type": "string", "format": "uri-reference"},
    "ETag": {"description": "The revision, for If-Match and If-None-Match", "type": "string", "examples": ['"1"']},
    "Link": {"description": "RFC 8288: first, prev, next, last", "type": "string"},
    "Idempotency-Replayed": {"description": "An earlier request with this key did it", "const": "true"},
    "Preference-Applied": {
        "description": "The preference that was honoured",
        "type": "string",
        "examples": ["wait=5"],
    },
    "Retry-After": {"description": "Seconds", "type": "string", "pattern": "^[0-9]+$"},
    "RateLimit": {"description": "What is left, where requests are limited", "type": "string"},
    "RateLimit-Policy": {"description": "The limit, where there is one", "type": "string"},
    "WWW-Authenticate": {"description": "RFC 6750", "type": "string", "examples": ["Bearer"]},
}
_REQUIRED = {"X-Request-ID", "Location", "ETag", "Retry-After", "WWW-Authenticate", "Idempotency-Replayed"}
_BY_STATUS = {
    "401": ["WWW-Authenticate"],
    "429": ["Retry-After", "RateLimit", "RateLimit-Policy"],
    "503": ["Retry-After"],
}
_BY_OPERATION: dict[str, list[str]] = {
    "listWorkflows 200": ["Link"],
    "listRuns 200": ["Link"],
    "getWorkflow 200": ["ETag"],
    "getWorkflow 304": ["ETag"],
    "updateWorkflow 200": ["ETag"],
    "publishWorkflow 200": ["ETag"],
    "archiveWorkflow 200": ["ETag"],
    "createWorkflow 201": ["Location", "ETag"],
    "createWorkflow 200": ["Location", "ETag", "Idempotency-Replayed"],
    "duplicateWorkflow 201": ["Location", "ETag"],
    "duplicateWorkflow 200": ["Location", "ETag", "Idempotency-Replayed"],
    "startRun 201": ["Location", "Preference-Applied"],
    "startRun 200": ["Location", "Idempotency-Replayed", "Preference-Applied"],
    "putSecret 201": ["Location"],
    "receiveWebhook 202": ["Location", "Preference-Applied"],
    "receiveWebhook 200": ["Preference-Applied"],
    "renewWebhookSecret 200": ["Idempotency-Replayed"],
    "renewHookSecret 200": ["Idempotency-Replayed"],
    "listSchedules 200": ["Link"],
    "putSchedule 201": ["Location"],
    "putSchedule 200": ["Location"],
    "resumeRun 202": ["Preference-Applied"],
    "retryRun 202": ["Preference-Applied"],
}
_WORKFLOW_LINKS = [
    "getWorkflow", "updateWorkflow", "validateWorkflow", "publishWorkflow", "duplicateWorkflow", "deleteWorkflow",
]  # fmt: skip
_RUN_LINKS = ["getRun", "listSteps", "listEvents", "cancelRun", "retryRun", "createSocketTicket"]
_LINKS: dict[str, tuple[str, list[str]]] = {
    "createWorkflow 201": ("workflow_id", _WORKFLOW_LINKS),
    "duplicateWorkflow 201": ("workflow_id", _WORKFLOW_LINKS),
    "publishWorkflow 200": ("workflow_id", ["startRun", "archiveWorkflow", "duplicateWorkflow"]),
    "startRun 201": ("run_id", _RUN_LINKS),
}
_PATHS = {
    "workflow_id": "The workflow's id",
    "run_id": "The run's id",
    "name": "The secret's name",
    "delivery_id": "The delivery's id",
    "schedule_id": "The schedule's id",
}
_PUBLIC = {"receiveWebhook", "shakeHands"}
_PHRASES = {
    "200": "What was asked for", "201": "Made", "202": "Accepted: it happens now", "204": "Done",
    "429": "Too many requests", "503": "Something that is needed is away just now; send it again",
}  # fmt: skip


def complete(document: Json) -> Json:
    """The document with schemas, headers, links, examples and every problem."""
    components = document["components"]
    components["schemas"], renamed = _schemas()
    components["headers"] = {name: _header(name) for name in _HEADERS}
    for path, operation in _operations(document):
        _complete_operation(path, operation)
    _rename(document["paths"], renamed)
    reachable = _reachable(document)
    components["schemas"] = {name: schema for name, schema in components["schemas"].items() if name in reachable}
    document["paths"] = dict(sorted(document["paths"].items(), key=lambda item: _place(document, *item)))
    return document


def _place(document: Json, path: str, item: Json) -> tuple[int, bool, int, str]:
    """By tag: what starts a run first, then the collection before what is in it."""
    tags, first = [tag["name"] for tag in document["tags"]], next(iter(item.values()))
    return tags.index(first["tags"][0]), first["operationId"] != "startRun", path.count("/"), path


def _schemas() -> tuple[Json, dict[str, str]]:
    """Msgspec's schemas of all Structs, and Litestar's names to ours."""
    kinds = {
        name: kind
        for module in (common, catalog, workflows, runs, secrets, hooks, schedules, webhooks)
        for name, kind in _structs(module)
    }
    kinds[Handles.__name__] = Handles
    named = {**kinds, **_GENERIC}
    _, found = msgspec.json.schema_components(list(named.values()), ref_template=_PREFIX + "{name}")
    for name, kind in kinds.items():
        if name in found:
            _require_what_is_always_there(found[name], kind)
    for schema in found.values():
        for each in _schemas_in(schema):
            _complete_schema(each)
    for name, kind in _GENERIC.items():
        item = kind.__args__[0].__name__
        found[name] = found.pop(f"{kind.__origin__.__name__}_{item}_") | {"title": name}
    for name, answer in ANSWERS.items():
        found[name]["examples"] = [answer]
    renamed = {
        f"{kind.__origin__.__name__}_{kind.__args__[0].__module__}.{kind.__args__[0].__name__}_": name
        for name, kind in _GENERIC.items()
    }
    return msgspec.json.decode(msgspec.json.encode(dict(sorted(found.items())))), renamed


def _structs(module: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct)
        if is_struct and value.__module__ == module.__name__ and not getattr(value, "__parameters__", ()):
            yield name, value


def _require_what_is_always_there(schema: Json, kind: Any) -> None:
    """Answers hold every field but those that are unset, or left out where they say nothing."""
    config = kind.__struct_config__
    if config.forbid_unknown_fields or config.omit_defaults or not schema.get("properties"):
        return
    optional = {field.name for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
    schema["required"] = [name for name in schema["properties"] if name not in optional]
    for value in schema["properties"].values():
        value.pop("default", None)


def _schemas_in(schema: Any) -> Iterator[Json]:
    """A schema and those within it."""
    if isinstance(schema, dict):
        yield schema
        for keyword in ("properties", "$defs"):
            for each in schema.get(keyword, {}).values():
                yield from _schemas_in(each)
        for keyword in ("items", "additionalProperties"):
            yield from _schemas_in(schema.get(keyword))
        for each in schema.get("anyOf", []):
            yield from _schemas_in(each)


def _complete_schema(schema: Json) -> None:
    """Say what generators ask for: the type of an enum, that objects are open, what a field that may be null is."""
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        schema["type"] = "string"
    if schema.get("type") == "object" and "properties" not in schema:
        schema.setdefault("additionalProperties", True)
    for choice in schema.get("anyOf", []):
        for keyword in ("description", "examples"):
            if keyword in choice:
                schema[keyword] = choice.pop(keyword)
    for value in schema.get("properties", {}).values():
        _put_default_into_words(value)
    for name in ReadOnly.__struct_fields__:
        if schema.get("additionalProperties") is False and name in schema["properties"]:
            schema["properties"][name] = {"readOnly": True, "description": "Ignored: what GET answers may be sent back"}


def _put_default_into_words(field: Json) -> None:
    """Generated clients (openapi-typescript's) demand every field of a body that has a `default`; a sentence they let be."""
    default = field.pop("default", None)
    if default not in (None, "", [], {}):
        said = f"Default: `{msgspec.json.encode(default).decode()}`"
        field["description"] = f"{field['description']}. {said}" if "description" in field else said


def _reachable(document: Json) -> set[str]:
    """The schemas that operations lead to."""
    schemas, found, unfollowed = document["components"]["schemas"], set[str](), [document["paths"]]
    while unfollowed:
        value = unfollowed.pop()
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).removeprefix(_PREFIX)
            if name in schemas and name not in found:
                found.add(name)
                unfollowed.append(schemas[name])
            unfollowed.extend(value.values())
        elif isinstance(value, list):
            unfollowed.extend(value)
    return found


def _header(name: str) -> Json:
    schema = dict(_HEADERS[name])
    return {"description": schema.pop("description"), "required": name in _REQUIRED, "schema": schema}


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _complete_operation(path: str, operation: Json) -> None:
    name, responses = operation["operationId"], operation["responses"]
    operation.pop("deprecated", None)
    operation["summary"] = (
        operation["description"].partition(".")[0].partition(";")[0].partition(":")[0].replace("`", "")
    )
    for parameter in operation.get("parameters", []):
        _complete_parameter(parameter)
    if name in _PUBLIC:
        operation["security"] = [{}, {"bearer": []}]  # what it is signed with is the sender's affair
    if name == "receiveWebhook":
        operation["requestBody"] = {"content": {"application/json": {"schema": {"oneOf": [{}]}}}}
    if "requestBody" in operation:
        _complete_body(name, operation["requestBody"])
    if path.startswith("/api/"):
        for status in ("429", "503"):
            schema = {"$ref": f"{_PREFIX}{Problem.__name__}"}
            responses[status] = {"description": _PHRASES[status], "content": {PROBLEM_JSON: {"schema": schema}}}
    else:
        operation["security"] = []  # no token is needed
    operation["responses"] = {
        status: _complete_response(name, status, responses[status]) for status in sorted(responses)
    }
    for status, response in responses.items():
        if PROBLEM_JSON in response.get("content", {}):
            response["content"][PROBLEM_JSON]["example"] = msgspec.to_builtins(refusal(name, status, path))


def _complete_parameter(parameter: Json) -> None:
    """A parameter is there or not, never null."""
    for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
        parameter.pop(noise, None)
    if parameter["in"] == "path":
        parameter.setdefault("description", _PATHS[parameter["name"]])
    schema = parameter["schema"]
    choices = [each for each in schema.pop("oneOf", []) if each != {"type": "null"}]
    for choice in choices:
        schema.update(choice)
    if isinstance(schema.get("type"), list):
        schema["type"] = next(kind for kind in schema["type"] if kind != "null")
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    schema.pop("description", None)
    if parameter["name"].endswith("Idempotency-Key"):
        schema.update(minLength=1, maxLength=255, pattern="^[!-~]+$")
    for bound in ("minimum", "maximum"):
        if bound in schema:
            schema[bound] = int(schema[bound])


def _complete_body(name: str, body: Json) -> None:
    content = body["content"]["application/json"]
    choices = content["schema"].get("oneOf")
    if choices is not None:
        content["schema"] = {"anyOf": choices}
    body["required"] = choices is None
    content["examples"] = BODIES[name]


def _complete_response(name: str, status: str, response: Json) -> Json:
    headers = ["X-Request-ID", *_BY_STATUS.get(status, []), *_BY_OPERATION.get(f"{name} {status}", [])]
    response["headers"] = {each: {"$ref": f"#/components/headers/{each}"} for each in headers}
    if response["description"] == HTTPStatus(int(status)).description:
        response["description"] = _PHRASES.get(status, response["description"])
    parameter, targets = _LINKS.get(f"{name} {status}", ("", []))
    if targets:
        response["links"] = {
            target: {"operationId": target, "parameters": {parameter: "$response.body#/id"}} for target in targets
        }
    return response


def _rename(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_PREFIX):
            known = reference.removeprefix(_PREFIX)
            value["$ref"] = _PREFIX + names.get(known, known)
        for item in value.values():
            _rename(item, names)
    elif isinstance(value, list):
        for item in value:
            _rename(item, names)
