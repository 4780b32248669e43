"""Which Bedrock operation a method and a path stand for, as botocore's service models say.

The models are loaded once a process, at the first question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import unquote

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel

from langchain_bedrock_opt.emulator.types import HttpRequest, Service

_SERVICES: Final[tuple[Service, ...]] = ("bedrock-runtime", "bedrock")
_LABEL: Final = re.compile(r"\{(?P<name>[^}+]+)(?P<greedy>\+?)\}")
_SIGNING_NAME: Final = re.compile(r"[^/]/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation's method and path.

    Attributes:
        service: The service whose model names the operation.
        operation: The operation's name.
        method: `GET`, `POST`, …
        pattern: Matches the raw path; a group for each label.
        labels: The names of the labels, in the order of the groups.
    """

    service: Service
    operation: str
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]


def match_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Find the operation that a request line names.

    Args:
        method: The HTTP method.
        path: The raw path. It is matched before it is decoded, so `%2F` in an ARN does not
            separate segments.

    Returns:
        The route and its decoded labels, or None if no operation of Bedrock is there.

    Example:
        >>> route, labels = match_route("POST", "/model/amazon.nova-lite-v1%3A0/converse")
        >>> route.operation, labels
        ('Converse', {'modelId': 'amazon.nova-lite-v1:0'})
    """
    for route in _routes_by_start().get((method, _first_segment(path)), ()):
        matched = route.pattern.fullmatch(path)
        if matched is not None:
            values = map(unquote, matched.groups())
            return route, dict(zip(route.labels, values, strict=True))
    return None


def is_for_bedrock(request: HttpRequest) -> bool:
    """Whether a request to an endpoint that all services share is meant for Bedrock.

    The signature's scope says it; an API key (`Bearer`) is used by Bedrock alone; a request that
    is not signed at all is told by its path.

    Args:
        request: Any request.

    Example:
        >>> is_for_bedrock(HttpRequest(method="POST", path="/model/m/converse"))
        True
        >>> is_for_bedrock(HttpRequest(method="PUT", path="/bucket/key"))
        False
    """
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("Bearer "):
        return True
    service = signing_name(request)
    if service is not None:
        return service == "bedrock"
    return match_route(request.method, request.path) is not None


def signing_name(request: HttpRequest) -> str | None:
    """The service that a request is signed for; None if it is not signed.

    Args:
        request: Any request, signed in a header or in its query.
    """
    text = request.headers.get("authorization") or unquote(request.query)
    scope = _SIGNING_NAME.search(text)
    return None if scope is None else scope["service"]


@cache
def service_model(service: Service) -> ServiceModel:
    """Botocore's model of a service, loaded once.

    Args:
        service: `bedrock` or `bedrock-runtime`.
    """
    description = create_loader().load_service_model(service, "service-2")
    return ServiceModel(description, service)


@cache
def error_statuses() -> Mapping[str, int]:
    """HTTP statuses by error code, from the error shapes of both services.

    Example:
        >>> error_statuses()["ThrottlingException"], error_statuses()["ModelTimeoutException"]
        (429, 408)
    """
    return {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for service in _SERVICES
        for shape in service_model(service).error_shapes
        if "httpStatusCode" in shape.metadata.get("error", {})
    }


@cache
def _routes_by_start() -> Mapping[tuple[str, str], tuple[Route, ...]]:
    grouped: dict[tuple[str, str], list[tuple[int, Route]]] = {}
    for service in _SERVICES:
        model = service_model(service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            template = operation.http["requestUri"].partition("?")[0]
            route = _route(service, operation, template)
            start = (route.method, _first_segment(template))
            grouped.setdefault(start, []).append((len(_LABEL.sub("", template)), route))
    # The longest literal text first: a fixed word wins over a label in its place.
    return {
        start: tuple(route for _, route in sorted(routes, key=lambda pair: -pair[0]))
        for start, routes in grouped.items()
    }


def _route(service: Service, operation: OperationModel, template: str) -> Route:
    pattern, position = "", 0
    for label in _LABEL.finditer(template):
        pattern += re.escape(template[position : label.start()])
        pattern += "(.+)" if label["greedy"] else "([^/]+)"
        position = label.end()
    return Route(
        service=service,
        operation=operation.name,
        method=operation.http["method"],
        pattern=re.compile(pattern + re.escape(template[position:])),
        labels=tuple(label["name"] for label in _LABEL.finditer(template)),
    )


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
