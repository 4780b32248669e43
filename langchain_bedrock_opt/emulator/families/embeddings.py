"""Embedding models: Amazon Titan, Amazon Nova and Cohere.

The vectors are those of `emulator.vectors`: hashed character n-grams, not a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.families.answers import Body, malformed, required
from langchain_bedrock_opt.emulator.families.vectors import embed
from langchain_bedrock_opt.emulator.replies.counting import IMAGE_TOKENS
from langchain_bedrock_opt.emulator.replies.digests import digest

_TITAN_V1: Final = 1_536
_TITAN_V2: Final = (1_024, 512, 256)
_TITAN_IMAGE: Final = (1_024, 384, 256)
_COHERE_V3: Final = 1_024
_COHERE_V4: Final = (1_536, 1_024, 512, 256)
_NOVA: Final = (3_072, 1_024, 384, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The answer of an embedding model.

    Attributes:
        body: The response's body.
        input_tokens: Tokens that were embedded, by estimate.
    """

    body: Body
    input_tokens: int


def titan_text_v1(body: Mapping[str, Any]) -> Embedding:
    """Titan Text Embeddings G1."""
    text = required(body, "inputText", str)
    tokens = _counted(text)
    answer = {"embedding": embed(text, _TITAN_V1), "inputTextTokenCount": tokens}
    return Embedding(body=answer, input_tokens=tokens)


def titan_text_v2(body: Mapping[str, Any]) -> Embedding:
    """Titan Text Embeddings V2: `dimensions`, `normalize` and `embeddingTypes`."""
    text = required(body, "inputText", str)
    vector = embed(text, _size(body, "dimensions", _TITAN_V2))
    if body.get("normalize") is False:
        # A vector that was not brought to unit length has some other one.
        vector = [x * (1 + len(text) % 7) for x in vector]
    kinds = body.get("embeddingTypes") or ["float"]
    by_type: Body = {}
    if "float" in kinds:
        by_type["float"] = vector
    if "binary" in kinds:
        by_type["binary"] = [int(x > 0) for x in vector]
    tokens = _counted(text)
    answer: Body = {"embedding": vector} if "float" in kinds else {}
    return Embedding(
        body={**answer, "embeddingsByType": by_type, "inputTextTokenCount": tokens},
        input_tokens=tokens,
    )


def titan_image(body: Mapping[str, Any]) -> Embedding:
    """Titan Multimodal Embeddings: a text, an image or both."""
    text, image = body.get("inputText"), body.get("inputImage")
    if text is None and image is None:
        raise malformed("#: required key [inputText] not found")
    config = body.get("embeddingConfig") or {}
    size = _size(config, "outputEmbeddingLength", _TITAN_IMAGE)
    tokens = _counted(text) if text else 0
    answer = {
        "embedding": embed(f"{text or ''} {_image_mark(image)}", size),
        "inputTextTokenCount": tokens,
        "message": None,
    }
    return Embedding(body=answer, input_tokens=tokens)


def cohere_v3(body: Mapping[str, Any]) -> Embedding:
    """Cohere Embed 3: always 1,024 dimensions; a list, or a dict if `embedding_types` is given."""
    texts = _texts(body)
    vectors = [embed(text, _COHERE_V3) for text in texts]
    answer: Body = {"embeddings": vectors, "id": _uuid(body), "response_type": "embeddings_floats"}
    if kinds := body.get("embedding_types"):
        answer["embeddings"] = {kind: [_as_type(v, kind) for v in vectors] for kind in kinds}
        answer["response_type"] = "embeddings_by_type"
    return Embedding(body={**answer, "texts": texts}, input_tokens=sum(map(_counted, texts)))


def cohere_v4(body: Mapping[str, Any]) -> Embedding:
    """Cohere Embed 4: `output_dimension`, always by type."""
    texts = _texts(body)
    size = _size(body, "output_dimension", _COHERE_V4)
    vectors = [embed(text, size) for text in texts]
    kinds = body.get("embedding_types") or ["float"]
    answer = {
        "embeddings": {kind: [_as_type(vector, kind) for vector in vectors] for kind in kinds},
        "id": _uuid(body),
        "response_type": "embeddings_by_type",
        "texts": texts,
    }
    return Embedding(body=answer, input_tokens=sum(map(_counted, texts)))


def nova(body: Mapping[str, Any]) -> Embedding:
    """Nova Multimodal Embeddings: one text, image, video or audio clip."""
    if body.get("taskType") != "SINGLE_EMBEDDING":
        raise malformed()
    params = required(body, "singleEmbeddingParams", dict)
    size = _size(params, "embeddingDimension", _NOVA)
    for kind in ("text", "image", "video", "audio"):
        if kind in params:
            part = params[kind]
            text = str(part.get("value", "")) if kind == "text" else _image_mark(part)
            tokens = _counted(text) if kind == "text" else IMAGE_TOKENS
            item = {"embedding": embed(text, size), "embeddingType": kind.upper()}
            return Embedding(body={"embeddings": [item]}, input_tokens=tokens)
    raise malformed()


def _texts(body: Mapping[str, Any]) -> list[str]:
    required(body, "input_type", str)
    if images := body.get("images"):
        return [_image_mark(image) for image in images]
    texts: list[str] = required(body, "texts", list)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise malformed()
    return texts


def _size(body: Mapping[str, Any], key: str, sizes: tuple[int, ...]) -> int:
    size = body.get(key, sizes[0])
    if size not in sizes:
        raise malformed(f"#/{key}: {size} is not a valid enum value")
    return int(size)


def _as_type(vector: list[float], kind: str) -> list[Any]:
    """A vector in one of Cohere's types; the packed ones hold eight dimensions in a byte."""
    if kind == "float":
        return vector
    if kind in ("int8", "uint8"):
        widest = max(map(abs, vector))
        shift = 128 if kind == "uint8" else 0
        return [round(x / widest * 127) + shift for x in vector]
    if kind not in ("binary", "ubinary"):
        raise malformed(f"#/embedding_types: {kind} is not a valid enum value")
    bits = "".join("1" if x > 0 else "0" for x in vector)
    packed = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    return packed if kind == "ubinary" else [byte - 128 for byte in packed]


def _counted(text: str) -> int:
    return max(1, estimate_tokens(text))


def _image_mark(image: Any) -> str:
    """A text that stands for a file: equal files are equal, others have nothing in common."""
    return digest(image).hex() if image is not None else ""


def _uuid(body: Mapping[str, Any]) -> str:
    digits = digest("embedding", body).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


Embedder = Callable[[Mapping[str, Any]], Embedding]

EMBEDDERS: Final[tuple[tuple[str, Embedder], ...]] = (
    ("amazon.titan-embed-text-v2", titan_text_v2),
    ("amazon.titan-embed-image", titan_image),
    ("amazon.titan-embed", titan_text_v1),
    ("amazon.nova-2-multimodal-embeddings", nova),
    ("cohere.embed-v4", cohere_v4),
    ("cohere.embed", cohere_v3),
)
"""The start of a model id → who embeds. First match wins."""
