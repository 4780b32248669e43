"""Rules on single content blocks: text, documents and media, also inside tool results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from langchain_bedrock_opt.emulator.validation.answers import (
    Block,
    Request,
    blocks_of,
    messages_of,
    refused,
    returned,
    unsupported_field,
)
from langchain_bedrock_opt.emulator.validation.features import Features

_MAX_DOCUMENTS: Final = 5

# aws-samples/generative-ai-use-cases#1671 measured it: an underscore passes although the message
# does not name it; a tab, a full-width space and any letter outside ASCII do not.
_DOCUMENT_NAME: Final = re.compile(r"(?!.*  )[A-Za-z0-9 _\-()\[\]]+")


class Place(NamedTuple):
    """Where a block stands, as Bedrock writes it and as Claude does."""

    path: str
    claude_path: str


BlockRule: TypeAlias = Callable[[Any, Place, Features], None]


def texts_are_not_blank(request: Request, features: Features) -> None:
    """Text blocks hold text.

    White space beside blocks that say something is accepted: recorded with a line break between a
    document and a cache point.
    """
    for index, place, text in blocks_of(request, "text"):
        if text.strip() or (text and _says_something(messages_of(request)[index]["content"])):
            continue
        if text and features.family == "claude":
            # NousResearch/hermes-agent#63983, #64858: a lone space
            raise returned("messages: text content blocks must contain non-whitespace text")
        # OpenHands/OpenHands#5722, LibreChat-AI/agents#501; white space: BerriAI/litellm#15850
        raise refused(
            f"The text field in the ContentBlock object at messages.{index}.content.{place} is "
            "blank. Add text to the text field, and try again."
        )


def _says_something(content: Sequence[Block]) -> bool:
    return any(block.get("text", "-").strip() for block in content if "cachePoint" not in block)


def blocks_are_supported(request: Request, features: Features) -> None:
    """Every block is of a kind that the model takes, and well formed."""
    for kind, value, place in _blocks(request):
        for rule in _BLOCK_RULES.get(kind, ()):
            rule(value, place, features)


def documents_have_plain_names(request: Request, _features: Features) -> None:
    """The name of a document has few kinds of characters; a dot is none of them."""
    for kind, value, _ in _blocks(request):
        if kind == "document" and not _DOCUMENT_NAME.fullmatch(value["name"]):
            # vercel/ai#20365, aws-samples/generative-ai-use-cases#1671, simonw/llm-bedrock#8
            raise refused(
                "The document file name can only contain alphanumeric characters, whitespace "
                "characters, hyphens, parentheses, and square brackets. The name can't contain "
                "more than one consecutive whitespace character. Check that the file name "
                "conforms to these restrictions and retry your request."
            )


def documents_come_with_text(request: Request, _features: Features) -> None:
    """A message with documents also has a text."""
    for message in messages_of(request):
        kinds = {kind for block in message["content"] for kind in block}
        if "document" in kinds and "text" not in kinds:
            # archestra-ai/archestra#4220
            raise refused("A text block must be included when using documents.")


def documents_are_few_and_distinct(request: Request, _features: Features) -> None:
    """A request has up to five documents, each with a name of its own."""
    names = [document["name"] for _, _, document in blocks_of(request, "document")]
    # Both texts: aws-samples/generative-ai-use-cases#1685
    if len(names) > _MAX_DOCUMENTS:
        raise refused(f"You can't include more than {_MAX_DOCUMENTS} documents in a request.")
    if len(set(names)) < len(names):
        raise refused("Messages can't contain duplicate document names.")


def _blocks(request: Request) -> Iterator[tuple[str, Any, Place]]:
    """Every block, and every block inside a tool result: its kind, what it holds, its place."""
    for index, message in enumerate(messages_of(request)):
        cache_points = 0
        for number, block in enumerate(message["content"]):
            place = Place(
                f"messages.{index}.content.{number}",
                # A cache point becomes part of the block in front of it before Claude sees it.
                f"messages.{index}.content.{number - cache_points}",
            )
            for kind, value in block.items():
                yield kind, value, place
                if kind == "toolResult":
                    yield from _result_blocks(value, place)
                cache_points += kind == "cachePoint"


def _result_blocks(result: Mapping[str, Any], place: Place) -> Iterator[tuple[str, Any, Place]]:
    for number, block in enumerate(result["content"]):
        inner = Place(
            f"{place.path}.toolResult.content.{number}",
            f"{place.claude_path}.tool_result.content.{number}",
        )
        for kind, value in block.items():
            yield kind, value, inner


def _media(kind: str) -> BlockRule:
    """The rule for images, videos and audio: the model takes them, and from where they are."""

    def check(value: Any, _place: Place, features: Features) -> None:
        if features.modalities is not None and kind not in features.modalities:
            # Recorded for a video.
            raise refused(
                f"This model doesn't support the {kind} content block that you provided. Update "
                "the content block and try again."
            )
        if "s3Location" in value.get("source", {}) and not features.s3:
            # Recorded for an image.
            raise unsupported_field("s3Uri")

    return check


def _document(value: Any, place: Place, features: Features) -> None:
    if features.modalities is not None and "document" not in features.modalities:
        # aws-samples/sample-ai-persona#126
        raise refused("This model doesn't support documents.")
    if "s3Location" in value["source"] and not features.s3:
        if features.family != "claude":
            raise unsupported_field("s3Uri")
        # Recorded for a document beside a tool result; inside one the path is unverified against
        # AWS.
        raise returned(f"{place.claude_path}.document.source.type: Field required")


def _json_is_object(value: Any, place: Place, _features: Features) -> None:
    if not isinstance(value, Mapping):
        # aws/aws-sdk-js-v3#7330, sigoden/aichat#1550
        raise _not_an_object(f"{place.path}.json")


def _input_is_object(value: Any, place: Place, _features: Features) -> None:
    if not isinstance(value["input"], Mapping):
        # vercel/ai#19023
        raise _not_an_object(f"{place.path}.toolUse.input")


def _not_an_object(path: str) -> Exception:
    return refused(
        f"The format of the value at {path} is invalid. Provide a json object for the field and "
        "try again."
    )


_BLOCK_RULES: Final[Mapping[str, tuple[BlockRule, ...]]] = {
    "image": (_media("image"),),
    "video": (_media("video"),),
    "audio": (_media("audio"),),
    "document": (_document,),
    "json": (_json_is_object,),
    "toolUse": (_input_is_object,),
}
"""The rules for each kind of block."""
