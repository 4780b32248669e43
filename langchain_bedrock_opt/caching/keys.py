"""The semantic key: equal for two Converse requests that ask the same of the same model.

In the key is all that can change an answer, and everything this version does not know:

* the model, or the profile that the request names, by id or by ARN (`us.` and `global.` profiles
  are different entries); its account and region are not;
* system, messages, tool definitions, `inferenceConfig`, `additionalModelRequestFields`,
  `outputConfig`, prompt variables, the guardrail's id and version;
* `additionalModelResponseFieldPaths`, because a stored answer holds only the fields asked for.

Not in the key:

* `requestMetadata` and cache points, which the model never sees;
* `serviceTier` and `performanceConfig`: the same model, sooner or later, cheaper or dearer. An
  answer bought at one tier is as good for a request at another;
* the guardrail's `trace` and stream mode, ids of tool calls (only their order counts), the order
  of tools, of JSON keys, of stop sequences and of a schema's `required`, `enum` and types.

Texts count in their canonical form (`caching.text`), media by their bytes. Tool results and
strings inside JSON, such as a tool call's arguments, count byte for byte, and the places where a
text is split into blocks count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from langchain_bedrock_opt.aws.call_context import notes_on
from langchain_bedrock_opt.caching.canonical import canonical_request, last_user_text

_NOTE: Final = "caching.keys"
"""Under what the digest of a conversation's messages is noted."""

KEY_VERSION: Final = "v2"
"""Changes whenever a key would; entries under older keys are no longer found, and expire."""

_PERSON = b"bedrock-opt key"


def semantic_key(request: Mapping[str, Any], *, tenant: str = "", namespace: str = "") -> str:
    r"""The key of a Converse request.

    Args:
        request: What boto3's `converse` would get: `modelId`, `messages` and so on.
        tenant: Whose answers these are. Two tenants never share a key.
        namespace: Which cache this is; likewise.

    Returns:
        `v2:` and 64 hexadecimal digits.

    Raises:
        TypeError: This is no request that Bedrock would take.

    Example:
        >>> ask = lambda text: {
        ...     "modelId": "m",
        ...     "messages": [{"role": "user", "content": [{"text": text}]}],
        ... }
        >>> semantic_key(ask("1 + 1 = ?")) == semantic_key(ask("\uff11 + 1 = ?\r\n"))
        True
        >>> semantic_key(ask("1 + 1 = ?")) == semantic_key(ask("1 + 1 = ?"), tenant="acme")
        False
    """
    rest = {name: value for name, value in request.items() if name != "messages"}
    document = [_canonical(rest), _messages_digest(request.get("messages") or [])]
    digest = keyed_digest(document, tenant=tenant, namespace=namespace)
    return f"{KEY_VERSION}:{digest}"


def similarity_scope(
    request: Mapping[str, Any], *, tenant: str = "", namespace: str = ""
) -> tuple[str, str] | None:
    """What two requests must share for their last texts to be compared, and that text.

    Args:
        request: What boto3's `converse` would get.
        tenant: Whose answers these are.
        namespace: Which cache this is.

    Returns:
        `v2s:` with a digest of the request without its last text, and the text in canonical form.
        None if the last message is not a user's, or is not one text and nothing else: what is
        asked about an image, or with a tool's result, is never similar to anything.

    Raises:
        TypeError: This is no request that Bedrock would take.

    Example:
        >>> ask = lambda text: {
        ...     "modelId": "m",
        ...     "messages": [{"role": "user", "content": [{"text": text}]}],
        ... }
        >>> one, other = similarity_scope(ask("Hi? ")), similarity_scope(ask("Hello?"))
        >>> one[0] == other[0], one[1], other[1]
        (True, 'Hi?', 'Hello?')
    """
    canonical = _canonical(request)
    messages = canonical.get("messages", [])
    text = last_user_text(messages)
    if text is None:
        return None
    rest = {**canonical, "messages": messages[:-1]}
    digest = keyed_digest(["scope", rest], tenant=tenant, namespace=namespace)
    return f"{KEY_VERSION}s:{digest}", text


def _messages_digest(messages: Sequence[Any]) -> str:
    """A digest of a request's messages, made once for a conversation that was sent before."""
    notes = notes_on(messages)
    if notes is None:
        return _digest_of_messages(messages)
    digest: str | None = notes.get(_NOTE)
    if digest is None:
        digest = notes[_NOTE] = _digest_of_messages(messages)
    return digest


def _digest_of_messages(messages: Sequence[Any]) -> str:
    canonical = _canonical({"messages": messages})
    return blake2b(_encoded(canonical), person=_PERSON, digest_size=32).hexdigest()


def keyed_digest(document: Any, *, tenant: str, namespace: str) -> str:
    """A BLAKE2b digest of JSON-like data, keyed by its scope.

    Args:
        document: JSON-like data; `bytes` count by their digest. The order of keys has no effect.
        tenant: Part of the hash's key.
        namespace: The other part.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: The document holds something else.
    """
    key = _scope_key(namespace, tenant)
    return blake2b(_encoded(document), key=key, person=_PERSON, digest_size=32).hexdigest()


def _encoded(document: Any) -> bytes:
    try:
        return _ENCODER.encode(document).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError) as error:
        raise TypeError(f"a key can't be made: {type(error).__name__}") from error


def _canonical(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return canonical_request(request)
    except (AttributeError, LookupError, RecursionError, ValueError) as error:
        raise TypeError(f"not a Converse request: {type(error).__name__}") from error


def _digest_bytes(value: object) -> list[str]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["blake2b", blake2b(value, digest_size=32).hexdigest()]
    raise TypeError(f"a request can't hold a {type(value).__name__}")


@lru_cache(maxsize=1024)
def _scope_key(namespace: str, tenant: str) -> bytes:
    scope = json.dumps([namespace, tenant]).encode()
    return blake2b(scope, digest_size=64, person=b"bedrock-opt scp").digest()


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_digest_bytes
)
