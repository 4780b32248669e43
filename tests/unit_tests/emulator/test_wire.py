"""Requests as bytes: finding the operation, reading its parameters, checking the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.http.parameters import MAX_BODY_BYTES
from langchain_bedrock_opt.emulator.http.routes import is_for_bedrock, match_route, service_model
from langchain_bedrock_opt.emulator.http.wire import Wire
from langchain_bedrock_opt.emulator.types import (
    Call,
    HttpRequest,
    Service,
    ServiceFailure,
)

Recordings = Callable[[str], list[dict[str, Any]]]

WIRE = Wire(clock=lambda: 0.0)
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/1arbu5hu2sjr"
HELLO = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


def _converse(document: Any, model_id: str = "amazon.nova-lite-v1:0") -> Call:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    path = f"/model/{quote(model_id, safe='')}/converse"
    return WIRE.parse(HttpRequest(method="POST", path=path, body=body), "id-1")


def _refusal(document: Any, model_id: str = "amazon.nova-lite-v1:0") -> ServiceFailure:
    with pytest.raises(ServiceFailure) as refused:
        _converse(document, model_id)
    return refused.value


@pytest.mark.parametrize(
    "name",
    ["Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream", "errors"],
)
def test_recorded_requests_are_understood(recordings: Recordings, name: str) -> None:
    """Every request recorded against AWS parses to its operation, model and messages."""
    for exchange in recordings(name):
        recorded = exchange["request"]
        request = HttpRequest(
            method=recorded["method"],
            path=recorded["path"],
            headers=recorded["headers"],
            body=recorded["body"].encode(),
        )
        call = WIRE.parse(request, "id-1")
        assert call.operation == exchange["operation"]
        assert call.service == "bedrock-runtime"
        assert quote(call.model_id or "", safe="") == quote(
            recorded["path"].split("/")[2], safe="%"
        ).replace(":", "%3A")
        if "messages" in call.params:
            sent = json.loads(recorded["body"])["messages"]
            assert [m["role"] for m in call.params["messages"]] == [m["role"] for m in sent]


def test_recorded_control_plane_request_is_understood(recordings: Recordings) -> None:
    """The recorded GetInferenceProfile finds its ARN in the path again."""
    [exchange] = recordings("GetInferenceProfile")
    call = WIRE.parse(HttpRequest(method="GET", path=exchange["request"]["path"]), "id-1")
    assert (call.service, call.operation) == ("bedrock", "GetInferenceProfile")
    assert call.params == {"inferenceProfileIdentifier": ARN}


@pytest.mark.parametrize("service", ["bedrock", "bedrock-runtime"])
def test_every_operation_is_found_at_its_own_path(service: Service) -> None:
    """Each modelled operation is reached with ARNs, slashes and all, in every label."""
    model = service_model(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        labels = dict.fromkeys(
            part.strip("{}") for part in http["requestUri"].split("/") if part.startswith("{")
        )
        path = http["requestUri"]
        for label in labels:
            path = path.replace(f"{{{label}}}", quote(ARN, safe=""))
        matched = match_route(http["method"], path)
        assert matched is not None, name
        route, found = matched
        assert (route.service, route.operation) == (service, name)
        assert found == dict.fromkeys(labels, ARN)


def test_no_member_is_renamed_on_the_wire() -> None:
    """In no structure of either model has a body member another name than boto3 gives it."""
    services: tuple[Service, ...] = ("bedrock", "bedrock-runtime")
    for service in services:
        model = service_model(service)
        for shape in map(model.shape_for, model.shape_names):
            for name, member in getattr(shape, "members", {}).items():
                in_body = "location" not in member.serialization
                assert not in_body or member.serialization.get("name", name) == name


@pytest.mark.parametrize(
    "model_id",
    [
        ARN,
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-pro-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abcdef123456",
        "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1",
    ],
)
@pytest.mark.parametrize("safe", ["", ":"])
def test_model_ids_survive_the_path(model_id: str, safe: str) -> None:
    """A model id or ARN is read back from the path, with its colons encoded or not."""
    path = f"/model/{quote(model_id, safe=safe)}/converse"
    request = HttpRequest(method="POST", path=path, body=json.dumps(HELLO).encode())
    assert WIRE.parse(request, "id-1").model_id == model_id


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/model",
        "/model//converse",
        "/model/a/b/converse",
        "/model/a/converse/",
        "/model/a/Converse",
        "/model/a/../converse",
        "model/a/converse",
        "/model/a/converse\x00",
        "/%6Dodel/a/converse",
        "/guardrail/a/version/1",
    ],
)
def test_paths_of_no_operation_are_404(path: str) -> None:
    """A path that no operation has is answered by UnknownOperationException."""
    with pytest.raises(ServiceFailure) as refused:
        WIRE.parse(HttpRequest(method="POST", path=path), "id-1")
    response = WIRE.serialise_failure(refused.value, "id-1")
    assert (refused.value.code, response.status) == ("UnknownOperationException", 404)


def test_wrong_method_is_404() -> None:
    """GET on a path that only takes POST is no operation either."""
    with pytest.raises(ServiceFailure, match="GET /model/a/converse"):
        WIRE.parse(HttpRequest(method="GET", path="/model/a/converse"), "id-1")


@given(st.text(max_size=40), st.binary(max_size=60))
@example("%FF%00%2e%2e", b"\xff")
@example("a\r\nX-Injected: 1", b"{}")
@example("%", b'{"messages": [{"role": "user", "content": [{"text": "\\ud800"}]}]}')
def test_no_request_crashes_the_parser(model_id: str, body: bytes) -> None:
    """Whatever the path and the body, the answer is a call or an AWS error that can be sent."""
    for operation in ("converse", "invoke", "count-tokens"):
        request = HttpRequest(method="POST", path=f"/model/{model_id}/{operation}", body=body)
        try:
            call = WIRE.parse(request, "id-1")
        except ServiceFailure as failure:
            response = WIRE.serialise_failure(failure, "id-1")
            assert response.status in (400, 404)
            assert isinstance(response.body, bytes)
            assert json.loads(response.body)["message"]
        else:
            assert call.model_id


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"{'messages': []}",
        b'{"messages": NaN}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"maxTokens": ' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_not_json_is_a_serialization_exception(body: bytes) -> None:
    """A body that is no JSON object, however nasty, is a clean 400."""
    failure = _refusal(body)
    assert failure.code == "SerializationException"
    assert WIRE.serialise_failure(failure, "id-1").status == 400


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_blank_body_names_what_is_missing(body: bytes) -> None:
    """A blank body counts as an empty object, so the answer says which member is missing."""
    request = HttpRequest(method="POST", path="/model/m/count-tokens", body=body)
    with pytest.raises(ServiceFailure) as refused:
        WIRE.parse(request, "id-1")
    assert refused.value.message == (
        "1 validation error detected: Value null at 'input' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_huge_body_is_refused() -> None:
    """A body over the service's limit of 25 MB is a ValidationException."""
    assert _refusal(b" " * (MAX_BODY_BYTES + 1)).code == "ValidationException"


def test_constraints_are_reported_in_the_services_words() -> None:
    """All broken constraints are listed, as seen in a public report of AWS's answer."""
    tool = {"toolSpec": {"inputSchema": {"json": {}}, "name": "", "description": ""}}
    failure = _refusal({**HELLO, "toolConfig": {"tools": [tool]}})
    name = "at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must"
    description = "at 'toolConfig.tools.1.member.toolSpec.description' failed to satisfy constraint"
    assert failure.code == "ValidationException"
    assert failure.message == (
        f"3 validation errors detected: Value '' {name} satisfy regular expression pattern: "
        f"[a-zA-Z0-9_-]+; Value '' {name} have length greater than or equal to 1; "
        f"Value '' {description}: Member must have length greater than or equal to 1"
    )


def test_empty_tool_list_is_reported_in_the_services_words() -> None:
    """An empty list of tools is refused as AWS was seen to refuse it."""
    assert _refusal({**HELLO, "toolConfig": {"tools": []}}).message == (
        "1 validation error detected: Value at 'toolConfig.tools' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


def _message(**members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": "Hello"}], **members}]}


@pytest.mark.parametrize(
    ("document", "place", "rule"),
    [
        (_message(role="robot"), "messages.1.member.role", "enum value set: [user, assistant"),
        ({"messages": [{"role": "user"}]}, "messages.1.member.content", "must not be null"),
        (_message(role=None), "messages.1.member.role", "must not be null"),
        (_message(role=1), "messages.1.member.role", "must be a string, not a number"),
        (_message(content="Hello"), "messages.1.member.content", "must be a list, not a string"),
        ({"messages": {}}, "messages", "must be a list, not an object"),
        ({"messages": [None]}, "messages.1.member", "must be a structure, not null"),
        (
            _message(content=[{"text": ["Hello"]}]),
            "messages.1.member.content.1.member.text",
            "must be a string, not an array",
        ),
        ({**HELLO, "inferenceConfig": []}, "inferenceConfig", "must be a structure"),
        (
            {**HELLO, "inferenceConfig": {"maxTokens": 0}},
            "inferenceConfig.maxTokens",
            "value greater than or equal to 1",
        ),
        (
            {**HELLO, "inferenceConfig": {"maxTokens": 1.5}},
            "inferenceConfig.maxTokens",
            "must be an integer, not a number",
        ),
        (
            {**HELLO, "inferenceConfig": {"maxTokens": True}},
            "inferenceConfig.maxTokens",
            "must be an integer, not a boolean",
        ),
        (
            {**HELLO, "inferenceConfig": {"temperature": 1.1}},
            "inferenceConfig.temperature",
            "value less than or equal to 1",
        ),
        (
            {**HELLO, "inferenceConfig": {"topP": "0.5"}},
            "inferenceConfig.topP",
            "must be a number, not a string",
        ),
        (
            _message(content=[{"image": {"format": "png", "source": {"bytes": "not base64!"}}}]),
            "messages.1.member.content.1.member.image.source.bytes",
            "must be a base64 string",
        ),
        ({**HELLO, "requestMetadata": {"a": 1}}, "requestMetadata.a", "must be a string"),
        ({**HELLO, "requestMetadata": []}, "requestMetadata", "must be a map"),
    ],
)
def test_what_breaks_the_model_is_refused(document: Any, place: str, rule: str) -> None:
    """A value of the wrong type, range or enum is a ValidationException that names its place."""
    failure = _refusal(document)
    assert failure.code == "ValidationException"
    assert f"'{place}'" in failure.message
    assert rule in failure.message


@pytest.mark.parametrize(
    ("block", "start", "end"),
    [
        ({}, "The ContentBlock object at messages.0.content.0 must set one of the", "text, image"),
        ({"newBlock": {}}, "The ContentBlock object at messages.0.content.0 must set", "text"),
        ({"text": "a", "cachePoint": {"type": "default"}}, "The ContentBlock object", "only one"),
    ],
)
def test_unions_have_exactly_one_member(block: dict[str, Any], start: str, end: str) -> None:
    """A content block with no known member, or with two, is refused in the service's words."""
    failure = _refusal(_message(content=[block]))
    assert failure.code == "ValidationException"
    assert failure.message.startswith(start)
    assert end in failure.message


def test_unknown_members_and_nulls_are_ignored() -> None:
    """What the service does not know, and nulls, do not reach the parameters."""
    call = _converse(
        {**HELLO, "seed": 7, "system": None, "messages": [{**HELLO["messages"][0], "id": 1}]}
    )
    assert call.params == {"modelId": "amazon.nova-lite-v1:0", **HELLO}


def test_blobs_become_bytes_and_documents_stay() -> None:
    """Image bytes arrive decoded, a tool's schema as the JSON it is."""
    image = {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}}
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "const": None}}}
    tools = [{"toolSpec": {"name": "t", "inputSchema": {"json": schema}}}]
    call = _converse({**_message(content=[image]), "toolConfig": {"tools": tools}})
    assert call.params["messages"][0]["content"][0]["image"]["source"]["bytes"] == b"\x89PNG"
    assert call.params["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == schema


def test_invoke_model_body_and_headers_are_parameters() -> None:
    """InvokeModel's body stays raw; its headers become parameters by their model's names."""
    request = HttpRequest(
        method="POST",
        path="/model/m/invoke",
        headers={
            "accept": "application/json",
            "x-amzn-bedrock-trace": "ENABLED",
            "x-amzn-bedrock-service-tier": "flex",
        },
        body=b"not even JSON",
    )
    assert WIRE.parse(request, "id-1").params == {
        "modelId": "m",
        "body": b"not even JSON",
        "accept": "application/json",
        "trace": "ENABLED",
        "serviceTier": "flex",
    }


def test_wrong_header_is_refused() -> None:
    """A header with a value outside its enum is a ValidationException."""
    request = HttpRequest(
        method="POST", path="/model/m/invoke", headers={"x-amzn-bedrock-trace": "LOUD"}
    )
    with pytest.raises(ServiceFailure, match=r"'LOUD' at 'trace' .* \[ENABLED, DISABLED"):
        WIRE.parse(request, "id-1")


def test_query_becomes_typed_parameters() -> None:
    """Query parameters arrive as integers, times and booleans."""
    jobs = HttpRequest(
        method="GET",
        path="/model-invocation-jobs",
        query="maxResults=5&submitTimeAfter=2026-01-02T03%3A04%3A05Z&nameContains=a%2Bb",
    )
    assert WIRE.parse(jobs, "id-1").params == {
        "maxResults": 5,
        "submitTimeAfter": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        "nameContains": "a+b",
    }
    models = HttpRequest(method="GET", path="/custom-models", query="isOwned=true")
    assert WIRE.parse(models, "id-1").params == {"isOwned": True}


@pytest.mark.parametrize(
    "query",
    [
        "maxResults=ten",
        "maxResults=0",
        "maxResults=" + "9" * 5_000,
        "submitTimeAfter=yesterday",
        "sortOrder=Sideways",
    ],
)
def test_wrong_query_is_refused(query: str) -> None:
    """A query parameter of the wrong type or range is a ValidationException."""
    request = HttpRequest(method="GET", path="/model-invocation-jobs", query=query)
    with pytest.raises(ServiceFailure) as refused:
        WIRE.parse(request, "id-1")
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("job_name", "accepted"),
    [("nightly-2026-01-02", True), ("a" + "-" * 62, True), ("a" + "-" * 61 + "!", False)],
)
def test_job_names_are_checked_in_no_time(job_name: str, accepted: bool) -> None:  # noqa: FBT001 - a parametrized expectation
    """A job name of many hyphens is checked at once, though the model's pattern backtracks."""
    request = HttpRequest(
        method="GET", path="/model-invocation-jobs", query=f"nameContains={job_name}"
    )
    if accepted:
        assert WIRE.parse(request, "id-1").params == {"nameContains": job_name}
    else:
        with pytest.raises(ServiceFailure, match="regular expression"):
            WIRE.parse(request, "id-1")


def test_pattern_that_only_java_knows_refuses_nothing() -> None:
    """A name whose pattern Python can't compile is let through instead of crashing."""
    types = [{"name": "größe?", "values": [{"value": "klein"}]}]
    document = {"name": "policy", "policyDefinition": {"types": types}}
    request = HttpRequest(
        method="POST",
        path="/automated-reasoning-policies",
        body=json.dumps(document).encode(),
    )
    assert WIRE.parse(request, "id-1").params == document


def _signed(scope: str, **request: Any) -> HttpRequest:
    credential = f"Credential=AKIDEXAMPLE/20260102/us-east-1/{scope}/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"}
    return HttpRequest(headers=headers, **request)


@pytest.mark.parametrize(
    ("request_", "for_bedrock"),
    [
        (_signed("bedrock", method="POST", path="/model/m/converse"), True),
        (_signed("bedrock", method="GET", path="/no/such/thing"), True),
        (_signed("s3", method="POST", path="/model/m/converse"), False),
        (_signed("dynamodb", method="POST", path="/"), False),
        (HttpRequest(method="POST", path="/", headers={"authorization": "Bearer key"}), True),
        (HttpRequest(method="POST", path="/model/m/converse"), True),
        (HttpRequest(method="GET", path="/foundation-models"), True),
        (HttpRequest(method="GET", path="/bucket/key"), False),
        (
            HttpRequest(
                method="GET",
                path="/foundation-models",
                query="X-Amz-Credential=AKID%2F20260102%2Fus-east-1%2Fs3%2Faws4_request",
            ),
            False,
        ),
    ],
)
def test_bedrock_is_told_from_other_services(request_: HttpRequest, for_bedrock: bool) -> None:  # noqa: FBT001 - a parametrized expectation
    """The signature's scope, an API key or the path tells which service a request is for."""
    assert is_for_bedrock(request_) is for_bedrock
