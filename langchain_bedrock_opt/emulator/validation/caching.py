"""Rules on cache points: in the tools, the system prompt and the messages, in this order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation.answers import Request, messages_of, returned
from langchain_bedrock_opt.emulator.validation.features import Features

_MAX_CACHE_POINTS: Final = 4


def _cache_points(request: Request) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every cache point with its place, in the order in which a prompt is cached."""
    tools = request.get("toolConfig", {}).get("tools", ())
    for part, blocks in (("tools", tools), ("system", request.get("system", ()))):
        for index, block in enumerate(blocks):
            if "cachePoint" in block:
                yield f"{part}.{index}", block["cachePoint"]
    for index, message in enumerate(messages_of(request)):
        for place, block in enumerate(message["content"]):
            if "cachePoint" in block:
                yield f"messages.{index}.content.{place}", block["cachePoint"]


def cache_points_are_supported(request: Request, features: Features) -> None:
    """Cache points go to models that have a prompt cache, and for Nova not among the tools."""
    if features.caching and features.tool_cache_points:
        return
    for where, _ in _cache_points(request):
        if not features.caching:
            # BerriAI/litellm#39210 (Nemotron)
            raise ServiceFailure(
                "AccessDeniedException",
                "You invoked an unsupported model or your request did not allow prompt caching. "
                "See the documentation for more information.",
                403,
            )
        part, _, index = where.partition(".")
        if part == "tools":
            # NousResearch/hermes-agent#97281, danny-avila/LibreChat#13838
            raise returned(
                f"Malformed input request: #/toolConfig/tools/{index}: extraneous key [cachePoint] "
                "is not permitted, please reformat your input and try again."
            )


def cache_points_are_few(request: Request, _features: Features) -> None:
    """Claude takes four cache points."""
    count = sum(1 for _ in _cache_points(request))
    if count > _MAX_CACHE_POINTS:
        # twentyhq/twenty#26217
        raise returned(
            f"A maximum of {_MAX_CACHE_POINTS} blocks with cache_control may be provided. "
            f"Found {count}."
        )


def longer_lives_come_first(request: Request, _features: Features) -> None:
    """Claude refuses an hour's cache point behind one of five minutes.

    That it does: Portkey-AI/gateway#1762. The text is unverified against AWS.
    """
    short_lived = False
    for where, point in _cache_points(request):
        if point.get("ttl", "5m") == "5m":
            short_lived = True
        elif short_lived:
            raise returned(
                f"{where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
                "ttl='5m' cache_control block. Note that blocks are processed in the following "
                "order: `tools`, `system`, `messages`."
            )
