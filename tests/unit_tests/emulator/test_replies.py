"""The default brain: what it says, when it calls tools, and where it stops."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.replies.pieces import json_pieces, text_pieces
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.types import Reply, Responder

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "anthropic.claude-3-opus-20240229-v1:0"
NOVA = "amazon.nova-pro-v1:0"


def tool(name: str, description: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    spec = {"name": name, "description": description, "inputSchema": {"json": schema}}
    return {"toolSpec": spec}


WEATHER = tool("get_weather", "Get current weather for a location", location={"type": "string"})
CALCULATE = tool("calculate", "Perform mathematical calculations", expression={"type": "string"})
SEARCH = tool("web_search", "Search the web for information", query={"type": "string"})


def ask(text: str, model: str = HAIKU, **more: Any) -> dict[str, Any]:
    return {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": text}]}],
        **more,
    }


def tools(*offered: Any, choice: Any = None) -> dict[str, Any]:
    return {"tools": list(offered), **({"toolChoice": choice} if choice else {})}


def text_of(reply: Reply) -> str:
    return "".join(block.get("text", "") for block in reply.content)


def calls_of(reply: Reply) -> list[tuple[str, Any]]:
    uses = [block["toolUse"] for block in reply.content if "toolUse" in block]
    return [(use["name"], use["input"]) for use in uses]


def continued(
    request: Mapping[str, Any], reply: Reply, result: str, status: str = "success"
) -> Any:
    """The next request of an agent: the same, with the calls and their results."""
    results = [
        {
            "toolResult": {
                "toolUseId": block["toolUse"]["toolUseId"],
                "content": [{"text": result}],
                "status": status,
            }
        }
        for block in reply.content
        if "toolUse" in block
    ]
    turns = [
        {"role": "assistant", "content": list(reply.content)},
        {"role": "user", "content": results},
    ]
    return {**request, "messages": [*request["messages"], *turns]}


def test_it_is_a_responder() -> None:
    """The default brain can stand wherever the emulator takes a responder."""
    assert isinstance(RuleResponder(), Responder)


@given(prompt=st.text(min_size=1), model=st.sampled_from([HAIKU, NOVA, OPUS, "acme.x-v1"]))
@settings(max_examples=100, deadline=None)
def test_every_prompt_gets_the_same_readable_answer_again(prompt: str, model: str) -> None:
    """An answer is never blank, and a repeated prompt gets a repeated answer."""
    first = RuleResponder().reply(ask(prompt, model))

    assert text_of(first).strip()
    assert first == RuleResponder().reply(ask(prompt, model))
    assert first.output_tokens > 0


def test_another_seed_words_an_answer_differently() -> None:
    """A demo can be given another face by its seed alone."""
    prompt = ask("Explain the causes of inflation in detail.", OPUS)
    answers = {text_of(RuleResponder(seed=seed).reply(prompt)) for seed in range(5)}

    assert len(answers) > 1


def test_answers_are_in_the_prompts_language_and_name_its_topic() -> None:
    """A Japanese prompt gets a Japanese answer about the same thing."""
    english = text_of(RuleResponder().reply(ask("What is the capital of France?")))
    japanese = text_of(RuleResponder().reply(ask("量子コンピュータについて教えてください。")))

    assert "the capital of France" in english
    assert "「量子コンピュータ」" in japanese
    assert japanese.endswith("。")


def test_harder_questions_and_larger_models_get_longer_answers() -> None:
    """Output tokens, and so cost, grow with the question and with the model."""

    def tokens(prompt: str, model: str = HAIKU) -> int:
        return RuleResponder().reply(ask(prompt, model)).output_tokens

    assert tokens("簡潔に、DNSとは？") < tokens("DNSとは？") < tokens("DNSについて詳しく説明して")
    assert tokens("What is DNS?") < tokens("Explain DNS in detail, step by step.")
    assert tokens("What is DNS?") < tokens("What is DNS?", SONNET) < tokens("What is DNS?", OPUS)


def test_families_can_be_told_apart() -> None:
    """A reader of a demo sees which family answered."""
    models = [HAIKU, NOVA, "meta.llama3-8b-instruct-v1:0", "cohere.command-r-v1:0"]
    openings = {text_of(RuleResponder().reply(ask("Why is the sky blue?", m)))[:15] for m in models}

    assert len(openings) == len(models)


def test_stop_sequences_end_the_text_before_them() -> None:
    """The answer ends before the stop sequence, and says that it was stopped."""
    whole = text_of(RuleResponder().reply(ask("What is DNS?")))
    stop = whole[len(whole) // 2 :][:6]
    reply = RuleResponder().reply(ask("What is DNS?", inferenceConfig={"stopSequences": [stop]}))

    assert reply.stop_reason in ("stop_sequence", "end_turn")
    assert stop not in text_of(reply)


@given(
    stops=st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=4),
    most=st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_limits_always_hold(stops: list[str], most: int) -> None:
    """No stop sequence is ever in an answer, and no answer is longer than allowed."""
    config = {"stopSequences": stops, "maxTokens": most}
    reply = RuleResponder().reply(ask("Explain DNS in detail.", OPUS, inferenceConfig=config))

    assert not any(stop in text_of(reply) for stop in stops)
    assert reply.output_tokens <= most
    assert reply.stop_reason in ("stop_sequence", "max_tokens", "end_turn")


def test_a_cut_answer_has_used_its_limit_up() -> None:
    """An answer that is cut off says so, and counts exactly as many tokens as were allowed."""
    config = {"maxTokens": 8}
    whole = text_of(RuleResponder().reply(ask("日本の首都は？")))
    reply = RuleResponder().reply(ask("日本の首都は？", inferenceConfig=config))

    assert (reply.stop_reason, reply.output_tokens) == ("max_tokens", 8)
    assert whole.startswith(text_of(reply))


def test_a_tool_call_that_does_not_fit_loses_its_arguments() -> None:
    """A forced tool call under a tiny limit is cut off as recorded answers are."""
    config = {"maxTokens": 5}
    offered = tools(WEATHER, choice={"any": {}})
    reply = RuleResponder().reply(ask("Hi", toolConfig=offered, inferenceConfig=config))

    assert reply.stop_reason == "max_tokens"
    assert calls_of(reply) == [("get_weather", {})]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is the weather in Paris?", [("get_weather", {"location": "Paris"})]),
        ("京都の天気は？", [("get_weather", {"location": "京都"})]),
        ("Hello!", []),
        ("What is 15 * 23?", [("calculate", {"expression": "15 * 23"})]),
        (
            "What's the weather in San Francisco and what's 15 * 23?",
            [
                ("get_weather", {"location": "San Francisco"}),
                ("calculate", {"expression": "15 * 23"}),
            ],
        ),
        (
            "Weather in Seattle and San Francisco today?",
            [
                ("get_weather", {"location": "Seattle"}),
                ("get_weather", {"location": "San Francisco"}),
            ],
        ),
        (
            "東京と大阪の天気を教えて",
            [("get_weather", {"location": "東京"}), ("get_weather", {"location": "大阪"})],
        ),
    ],
)
def test_auto_calls_the_tools_that_the_prompt_asks_for(prompt: str, expected: Any) -> None:
    """Left to choose, the model calls the fitting tools with the prompt's values, or none."""
    reply = RuleResponder().reply(ask(prompt, toolConfig=tools(WEATHER, CALCULATE, SEARCH)))

    assert calls_of(reply) == expected
    assert reply.stop_reason == ("tool_use" if expected else "end_turn")


def test_japanese_descriptions_match_japanese_prompts() -> None:
    """A tool described in Japanese is found by the words it shares with the prompt."""
    stock = tool("zaiko", "商品の在庫数を調べる", item={"type": "string"})
    reply = RuleResponder().reply(ask("「ノート」の在庫はありますか？", toolConfig=tools(stock)))

    assert calls_of(reply) == [("zaiko", {"item": "ノート"})]


def test_a_forced_choice_is_obeyed() -> None:
    """`any` always calls a tool, and `tool` the one that is named."""
    hello = "Hello!"
    some = RuleResponder().reply(ask(hello, toolConfig=tools(WEATHER, SEARCH, choice={"any": {}})))
    named = RuleResponder().reply(
        ask(hello, toolConfig=tools(WEATHER, SEARCH, choice={"tool": {"name": "web_search"}}))
    )

    assert len(calls_of(some)) == 1
    assert calls_of(named) == [("web_search", {"query": "Hello!"})]


def test_a_tool_without_arguments_is_called_without() -> None:
    """An empty schema gives an empty input, which streams as one empty fragment."""
    reply = RuleResponder().reply(
        ask("Ping", toolConfig=tools(tool("ping", ""), choice={"any": {}}))
    )

    assert calls_of(reply) == [("ping", {})]
    assert list(json_pieces({})) == [""]


def test_parallel_calls_can_be_turned_off() -> None:
    """A model that may call one tool at a time calls one."""
    prompt, offered = "Weather in Seattle and San Francisco?", tools(WEATHER)
    fields = {"tool_choice": {"disable_parallel_tool_use": True}}
    told = ask(prompt, toolConfig=offered, additionalModelRequestFields=fields)
    llama = ask(prompt, "meta.llama3-1-70b-instruct-v1:0", toolConfig=offered)

    assert len(calls_of(RuleResponder().reply(told))) == 1
    assert len(calls_of(RuleResponder().reply(llama))) == 1


def test_an_agent_loop_ends_with_the_results() -> None:
    """After its tool has answered, the model answers in words that hold the result."""
    brain, offered = RuleResponder(), tools(WEATHER, SEARCH)
    request = ask("What is the weather in Paris?", toolConfig=offered)

    final = brain.reply(continued(request, brain.reply(request), "It's sunny."))

    assert final.stop_reason == "end_turn"
    assert "get_weather: It's sunny." in text_of(final)


def test_results_fill_the_arguments_of_the_next_tool() -> None:
    """A closing tool, as structured output is in an agent, gets its values from the results."""
    report = tool("report", "The final report", degrees={"type": "integer"})
    brain = RuleResponder()
    request = ask("Weather in Paris?", toolConfig=tools(WEATHER, report, choice={"any": {}}))

    last = brain.reply(continued(request, brain.reply(request), "It is 21°C."))

    assert calls_of(last) == [("report", {"degrees": 21})]


def test_an_agent_loop_under_any_ends_too() -> None:
    """With a forced choice each tool is called once in a turn, and then the model answers."""
    brain = RuleResponder()
    request = ask("Weather in Paris?", toolConfig=tools(WEATHER, SEARCH, choice={"any": {}}))
    called = []
    for _ in range(5):
        reply = brain.reply(request)
        if not calls_of(reply):
            break
        called += [name for name, _ in calls_of(reply)]
        request = continued(request, reply, "ok")

    assert called == ["get_weather", "web_search"]
    assert reply.stop_reason == "end_turn"


def test_tools_used_in_an_earlier_turn_may_be_used_again() -> None:
    """A new question starts afresh: the tool of the last one is called for it too."""
    brain = RuleResponder()
    first = ask("Weather in Paris?", toolConfig=tools(WEATHER, choice={"any": {}}))
    done = continued(first, brain.reply(first), "Sunny.")
    turns = [
        {"role": "assistant", "content": [{"text": "Sunny."}]},
        {"role": "user", "content": [{"text": "And the weather in Rome?"}]},
    ]

    reply = brain.reply({**done, "messages": [*done["messages"], *turns]})

    assert calls_of(reply) == [("get_weather", {"location": "Rome"})]


def test_a_tools_error_is_told() -> None:
    """A failed tool result is reported as a failure, in the language of the question."""
    brain = RuleResponder()
    request = ask("京都の天気は？", toolConfig=tools(WEATHER))

    final = brain.reply(continued(request, brain.reply(request), "時間切れ", status="error"))

    assert "get_weather はエラーを返しました：時間切れ" in text_of(final)


def test_tool_use_ids_never_repeat_in_a_conversation() -> None:
    """Each call has an id of its own, the same on every run."""
    brain = RuleResponder()
    request = ask("Weather in Seattle and San Francisco?", toolConfig=tools(WEATHER))
    first = brain.reply(request)
    later = {"role": "user", "content": [{"text": "Weather in Seattle and San Francisco?"}]}
    again = continued(request, first, "ok")
    again["messages"].append({"role": "assistant", "content": [{"text": "ok"}]})
    again["messages"].append(later)
    second = brain.reply(again)
    blocks = [*first.content, *second.content]
    ids = [block["toolUse"]["toolUseId"] for block in blocks]

    assert len(set(ids)) == len(ids) == 4
    assert all(name.startswith("tooluse_") for name in ids)
    assert first == RuleResponder().reply(request)


def output_config(schema: Any) -> dict[str, Any]:
    structure = {"jsonSchema": {"name": "x", "schema": json.dumps(schema)}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}


def test_a_json_schema_gets_json() -> None:
    """With an output schema the text is JSON that fits it, with Japanese left readable."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    reply = RuleResponder().reply(ask("「山田」は30歳です", outputConfig=output_config(schema)))

    assert text_of(reply) == '{"name": "山田", "age": 30}'


def test_thinking_comes_first_and_signed() -> None:
    """With thinking on, a signed reasoning block stands before the answer and is counted."""
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    plain = RuleResponder().reply(ask("What is DNS?"))
    reply = RuleResponder().reply(ask("What is DNS?", additionalModelRequestFields=fields))

    thought = reply.content[0]["reasoningContent"]["reasoningText"]
    assert "DNS" in thought["text"]
    assert thought["signature"]
    assert "text" in reply.content[1]
    assert reply.output_tokens > plain.output_tokens


def test_files_are_acknowledged() -> None:
    """An image and a document are named by their kind, in the prompt's language."""
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}
    pdf = {"document": {"format": "pdf", "name": "plan", "source": {"bytes": b"%PDF"}}}
    request = ask("What do you see?")
    request["messages"][0]["content"] += [image, pdf]
    alone = {"modelId": NOVA, "messages": [{"role": "user", "content": [image]}]}

    assert "2 files: image (png), document “plan” (pdf)" in text_of(RuleResponder().reply(request))
    assert "image (png)" in text_of(RuleResponder().reply(alone))


@given(text=st.text())
def test_pieces_of_a_stream_make_the_whole(text: str) -> None:
    """A streamed answer is the same text as one that comes at once."""
    assert "".join(text_pieces(text)) == text


def test_a_long_pasted_prompt_is_answered_at_once() -> None:
    """A hundred kilobytes without a space, as base64 is, are no trap for the patterns."""
    pasted = f"What is the weather in Paris? {'QUJD0123' * 12_500}"
    reply = RuleResponder().reply(ask(pasted, toolConfig=tools(WEATHER, CALCULATE)))

    assert calls_of(reply) == [("get_weather", {"location": "Paris"})]
