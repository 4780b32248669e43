"""A LangChain chat model as the emulator's brain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from langchain_bedrock_opt.emulator.replies.delegate import DelegatingResponder, to_messages

_TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "add",
                "description": "Add",
                "inputSchema": {"json": {"type": "object"}},
            }
        }
    ]
}


class Recorder(BaseChatModel):
    """Answers with one message and remembers what it was asked."""

    answer: AIMessage
    asked: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "recorder"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        return self.bind(tools=tools, tool_choice=tool_choice)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append({"messages": messages, "stop": stop, **kwargs})
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


def ask(*blocks: Any, **more: Any) -> dict[str, Any]:
    content = list(blocks) or [{"text": "Hi"}]
    return {"modelId": "m", "messages": [{"role": "user", "content": content}], **more}


def test_the_chat_models_words_are_the_answer() -> None:
    """What any LangChain model says comes out of the local Bedrock, with estimated tokens."""
    brain = DelegatingResponder(GenericFakeChatModel(messages=iter(["こんにちは"])))

    reply = brain.reply(ask())

    assert reply.content == ({"text": "こんにちは"},)
    assert reply.stop_reason == "end_turn"
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0


def test_tokens_of_the_chat_model_are_reported() -> None:
    """Token counts the model reports itself win over estimates; cache tokens count once."""
    usage: Any = {
        "input_tokens": 100,
        "output_tokens": 7,
        "total_tokens": 107,
        "input_token_details": {"cache_read": 60, "cache_creation": 30},
    }
    reply = DelegatingResponder(Recorder(answer=AIMessage("ok", usage_metadata=usage))).reply(ask())

    assert (reply.input_tokens, reply.cache_read_tokens, reply.cache_write_tokens) == (10, 60, 30)
    assert reply.output_tokens == 7


@pytest.mark.parametrize(
    ("choice", "bound"),
    [({"auto": {}}, None), ({"any": {}}, "any"), ({"tool": {"name": "add"}}, "add")],
)
def test_tools_and_their_choice_are_handed_on(choice: Any, bound: str | None) -> None:
    """Tools reach the chat model, and its tool calls come back as Converse has them."""
    call: Any = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}
    model = Recorder(answer=AIMessage("", tool_calls=[call]))

    reply = DelegatingResponder(model).reply(ask(toolConfig={**_TOOLS, "toolChoice": choice}))

    use = {"toolUseId": "call_1", "name": "add", "input": {"a": 1}}
    assert reply.content == ({"toolUse": use},)
    assert reply.stop_reason == "tool_use"
    assert model.asked[0]["tools"][0]["function"]["name"] == "add"
    assert model.asked[0]["tool_choice"] == bound


def test_stop_sequences_are_handed_on_and_limits_hold() -> None:
    """The model gets the stop sequences; what it says too much is cut as Bedrock would."""
    model = Recorder(answer=AIMessage("one two three four five six seven"))

    reply = DelegatingResponder(model).reply(
        ask(inferenceConfig={"stopSequences": ["six"], "maxTokens": 3})
    )

    assert model.asked[0]["stop"] == ["six"]
    assert reply.stop_reason == "max_tokens"
    assert reply.output_tokens == 3


def test_a_conversation_becomes_langchain_messages() -> None:
    """System prompt, images, tool calls and failed tool results all arrive."""
    request = {
        "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "Look"},
                    {"image": {"format": "png", "source": {"bytes": b"abc"}}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "1", "name": "add", "input": {}}}],
            },
            {
                "role": "user",
                "content": [
                    {"text": "And now?"},
                    {
                        "toolResult": {
                            "toolUseId": "1",
                            "content": [{"json": {"sum": "三"}}],
                            "status": "error",
                        }
                    },
                ],
            },
        ],
    }

    system, human, assistant, tool, after = to_messages(request)

    assert system.content == "Be kind."
    assert human.content[1] == {"type": "image", "base64": "YWJj", "mime_type": "image/png"}
    assert isinstance(assistant, AIMessage)
    assert assistant.tool_calls[0]["id"] == "1"
    assert isinstance(tool, ToolMessage)
    assert (tool.status, tool.content) == ("error", '{"sum": "三"}')
    assert isinstance(after, HumanMessage)
    assert after.content == "And now?"


def test_documents_reach_the_chat_model() -> None:
    """A PDF is handed on as a file, a text document as its text."""
    pdf = {"document": {"format": "pdf", "name": "d", "source": {"bytes": b"%PDF"}}}
    note = {"document": {"format": "md", "name": "d", "source": {"bytes": "# 表題".encode()}}}

    (message,) = to_messages(ask(pdf, note))

    assert message.content[0]["type"] == "file"  # type: ignore[index]
    assert message.content[1] == {"type": "text", "text": "# 表題"}


def test_an_error_of_the_chat_model_is_not_hidden() -> None:
    """What goes wrong in the delegate is seen, not turned into an answer."""
    brain = DelegatingResponder(GenericFakeChatModel(messages=iter([])))

    with pytest.raises((StopIteration, RuntimeError)):
        brain.reply(ask())
