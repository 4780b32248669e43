"""Formats that are one prompt: Titan Text, Llama's chat template, Mistral's first models.

The templates are those of AWS's and the vendors' guides; whether Converse itself uses the very
same is unverified against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.batching.records.native.codec import (
    Codec,
    Document,
    Format,
    response,
    settings,
    usage_of,
    with_fields,
)

_KEYS: Final = ("system", "additionalModelRequestFields")
_TITAN: Final = Format("Titan Text", _KEYS)
_LLAMA: Final = Format("Llama", _KEYS)
_MISTRAL: Final = Format("Mistral's first models", _KEYS)

_TITAN_SETTINGS: Final = {
    "maxTokens": "maxTokenCount",
    "temperature": "temperature",
    "topP": "topP",
    "stopSequences": "stopSequences",
}
_LLAMA_SETTINGS: Final = {
    "maxTokens": "max_gen_len",
    "temperature": "temperature",
    "topP": "top_p",
}
_MISTRAL_SETTINGS: Final = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}
# In a text, these would be read as the template's own and make turns that nobody said.
_LLAMA_MARK: Final = re.compile(r"<\|[a-z_]+\|>")
_MISTRAL_MARK: Final = re.compile(r"\[/?INST\]|</?s>")

_STOPS: Final = {
    "FINISH": "end_turn",
    "LENGTH": "max_tokens",
    "STOP_CRITERIA_MET": "stop_sequence",
    "CONTENT_FILTERED": "content_filtered",
    "stop": "end_turn",
    "length": "max_tokens",
}


def _turns(request: Mapping[str, Any], fmt: Format) -> Iterator[tuple[str, str]]:
    """Roles and texts, the system prompt first."""
    fmt.check(request)
    if request.get("system"):
        yield "system", fmt.text(request["system"])
    for message in request["messages"]:
        yield message["role"], fmt.text(message["content"])


def _titan_body(request: Mapping[str, Any], _base_model_id: str) -> Document:
    turns = list(_turns(request, _TITAN))
    config = settings(request, _TITAN_SETTINGS, _TITAN)
    body: Document = {
        "inputText": _titan_text(turns),
        "textGenerationConfig": config,
    }
    return with_fields(body, request)


def _titan_text(turns: list[tuple[str, str]]) -> str:
    """One question as it is; a conversation in the form of AWS's documentation."""
    if len(turns) == 1:
        return turns[0][1]
    names = {"system": "", "user": "User: ", "assistant": "Bot: "}
    lines = [f"{names[role]}{text}" for role, text in turns]
    return "\n".join([*lines, "Bot:"])


def _titan_response(answer: Mapping[str, Any]) -> Document:
    result = answer["results"][0]
    usage = usage_of(answer, answer.get("inputTextTokenCount"), result.get("tokenCount"))
    return _answered(result["outputText"], result.get("completionReason"), usage)


def _llama_body(request: Mapping[str, Any], base_model_id: str) -> Document:
    turns = list(_turns(request, _LLAMA))
    for role, text in turns:
        if _LLAMA_MARK.search(text):
            raise _LLAMA.refusal(f"A text of the role {role!r} with marks of Llama's template")
    body = {
        "prompt": _llama_prompt(turns, is_fourth="llama4" in base_model_id),
        **settings(request, _LLAMA_SETTINGS, _LLAMA),
    }
    return with_fields(body, request)


def _llama_prompt(turns: list[tuple[str, str]], *, is_fourth: bool) -> str:
    start, end, over = (
        ("<|header_start|>", "<|header_end|>", "<|eot|>")
        if is_fourth
        else ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    )
    said = "".join(f"{start}{role}{end}\n\n{text}{over}" for role, text in turns)
    return f"<|begin_of_text|>{said}{start}assistant{end}\n\n"


def _llama_response(answer: Mapping[str, Any]) -> Document:
    usage = usage_of(answer, answer.get("prompt_token_count"), answer.get("generation_token_count"))
    return _answered(answer["generation"], answer.get("stop_reason"), usage)


def _mistral_body(request: Mapping[str, Any], _base_model_id: str) -> Document:
    turns = list(_turns(request, _MISTRAL))
    for role, text in turns:
        if _MISTRAL_MARK.search(text):
            raise _MISTRAL.refusal(f"A text of the role {role!r} with marks of its template")
    body = {"prompt": _mistral_prompt(turns), **settings(request, _MISTRAL_SETTINGS, _MISTRAL)}
    return with_fields(body, request)


def _mistral_prompt(turns: list[tuple[str, str]]) -> str:
    """The template has no system role: its text goes before the first turn's."""
    prompt, system = "<s>", ""
    for role, text in turns:
        if role == "system":
            system = f"{text}\n\n"
        elif role == "user":
            prompt += f"[INST] {system}{text} [/INST]"
            system = ""
        else:
            prompt += f" {text}</s>"
    return prompt


def _mistral_response(answer: Mapping[str, Any]) -> Document:
    output = answer["outputs"][0]
    return _answered(output["text"], output.get("stop_reason"), usage_of(answer, None, None))


def _answered(text: str, reason: str | None, usage: Document) -> Document:
    # A completion begins with the white space that stands between it and its prompt.
    return response([{"text": text.lstrip()}], _STOPS.get(reason or "", reason), usage)


TITAN: Final = Codec(
    name=_TITAN.name, to_body=_titan_body, to_response=_titan_response, takes_tools=False
)
LLAMA: Final = Codec(
    name=_LLAMA.name,
    to_body=_llama_body,
    to_response=_llama_response,
    takes_tools=False,
    copies_text=False,
)
MISTRAL_INSTRUCT: Final = Codec(
    name=_MISTRAL.name,
    to_body=_mistral_body,
    to_response=_mistral_response,
    takes_tools=False,
    copies_text=False,
)
