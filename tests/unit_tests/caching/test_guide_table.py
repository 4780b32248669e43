"""The common example's table, read during a migration: what it may answer, and what not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_bedrock_opt.aws.layers import Layer, LayeredClient
from langchain_bedrock_opt.caching import GuideTable
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError
from tests.dynamodb import FaultyClient, error

MODEL = "anthropic.claude-3-sonnet-20240229-v1:0"
NOW = 1_800_000_000.0
QUESTION = [{"role": "user", "content": [{"text": "日本の首都は?"}]}]


@pytest.fixture
def client(faulty_dynamodb: FaultyClient) -> FaultyClient:
    faulty_dynamodb.create_table(
        TableName="llm-cache",
        KeySchema=[{"AttributeName": "cache_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "cache_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    faulty_dynamodb.calls.clear()
    return faulty_dynamodb


@pytest.fixture
def table(client: FaultyClient) -> GuideTable:
    return GuideTable("llm-cache", client=client, clock=lambda: NOW)


def store_as_the_guide_does(client: FaultyClient, messages: Any = None, **attributes: Any) -> None:
    """The example's own code, but for the clock."""
    content = json.dumps({"model": MODEL, "messages": messages or QUESTION}, sort_keys=True)
    item = {
        "cache_key": {"S": hashlib.sha256(content.encode()).hexdigest()},
        "response": {"S": "東京です。"},
        "ttl": {"N": str(int(NOW) + 3600)},
    }
    client.put_item(TableName="llm-cache", Item={**item, **attributes})


def test_an_answer_of_the_guide_is_read(table: GuideTable, client: FaultyClient) -> None:
    """A request that the example's user has made before has the text that it got."""
    store_as_the_guide_does(client)

    assert table.read({"modelId": MODEL, "messages": QUESTION}) == "東京です。"
    assert table.read({"modelId": "another", "messages": QUESTION}) is None
    assert table.read({"modelId": MODEL, "messages": [*QUESTION, *QUESTION]}) is None


def test_a_chat_model_s_requests_find_the_guide_s_answers(
    table: GuideTable, client: FaultyClient
) -> None:
    """What langchain-aws sends for the same conversation has the same key."""
    conversation = [
        {"role": "user", "content": [{"text": "Hello"}]},
        {"role": "assistant", "content": [{"text": "Hi!"}]},
        {"role": "user", "content": [{"text": "日本の首都は?"}]},
    ]
    store_as_the_guide_does(client, conversation)
    found = []

    class Answer(Layer):
        def converse(self, request: Any, call_next: Any) -> Any:
            found.append(table.read(request))
            content = [{"text": found[-1] or "-"}]
            return {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
            }

    model = ChatBedrockConverse(
        model=MODEL, region_name="us-east-1", client=LayeredClient(None, [Answer()])
    )
    model.invoke([HumanMessage("Hello"), AIMessage("Hi!"), HumanMessage("日本の首都は?")])
    model.invoke(
        [
            SystemMessage("Lie."),
            HumanMessage("Hello"),
            AIMessage("Hi!"),
            HumanMessage("日本の首都は?"),
        ]
    )

    assert found == ["東京です。", None]


@pytest.mark.parametrize(
    "addition",
    [
        {"system": [{"text": "Answer in French."}]},
        {"toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]}},
        {"inferenceConfig": {"temperature": 0.0}},
        {"inferenceConfig": {"maxTokens": 5}},
        {"inferenceConfig": {"stopSequences": ["."]}},
        {"additionalModelRequestFields": {"thinking": {"type": "enabled"}}},
        {"additionalModelResponseFieldPaths": ["/stop_sequence"]},
        {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
        {"outputConfig": {"textFormat": {"type": "json_schema"}}},
        {"somethingNew": True},
    ],
)
def test_what_the_guide_s_key_does_not_hold_is_not_asked(
    addition: dict[str, Any], table: GuideTable, client: FaultyClient
) -> None:
    """A request with anything else that could change the answer is a miss, without a call."""
    store_as_the_guide_does(client)
    client.calls.clear()

    assert table.read({"modelId": MODEL, "messages": QUESTION, **addition}) is None
    assert client.calls == []


def test_what_changes_no_answer_does_not_count(table: GuideTable, client: FaultyClient) -> None:
    """Empty parts, metadata, service tiers and cache points leave the key as it is."""
    store_as_the_guide_does(client)
    [question] = QUESTION
    content = [*question["content"], {"cachePoint": {"type": "default"}}]

    request = {
        "modelId": MODEL,
        "messages": [{**question, "content": content}],
        "system": [],
        "inferenceConfig": {},
        "requestMetadata": {"team": "search"},
        "serviceTier": {"type": "flex"},
    }

    assert table.read(request) == "東京です。"


def test_an_expired_answer_is_none(table: GuideTable, client: FaultyClient) -> None:
    """An answer is served before its time is over, not from then on, and always without one."""
    request = {"modelId": MODEL, "messages": QUESTION}
    for ttl, expected in [({"N": str(int(NOW))}, None), ({"N": f"{NOW + 1}"}, "東京です。")]:
        store_as_the_guide_does(client, ttl=ttl)
        assert table.read(request) == expected

    [item] = client.scan(TableName="llm-cache")["Items"]
    del item["ttl"]
    client.put_item(TableName="llm-cache", Item=item)
    assert table.read(request) == "東京です。"


def test_an_empty_answer_is_none(table: GuideTable, client: FaultyClient) -> None:
    """An empty text is no answer."""
    store_as_the_guide_does(client, response={"S": ""})

    assert table.read({"modelId": MODEL, "messages": QUESTION}) is None


def test_an_image_is_not_asked(table: GuideTable, client: FaultyClient) -> None:
    """Bytes could not be in the example's key; and what is no request at all is a miss too."""
    image = {"image": {"format": "png", "source": {"bytes": b"png"}}}

    assert (
        table.read({"modelId": MODEL, "messages": [{"role": "user", "content": [image]}]}) is None
    )
    assert table.read({"modelId": MODEL}) is None
    assert client.calls == []


def test_nothing_is_written(table: GuideTable, client: FaultyClient) -> None:
    """Reading is all that is ever done."""
    store_as_the_guide_does(client)
    client.calls.clear()

    table.read({"modelId": MODEL, "messages": QUESTION})
    table.close()

    assert [name for name, _ in client.calls] == ["get_item"]


@pytest.mark.parametrize("change", [{"response": {"N": "1"}}, {"ttl": {"S": "soon"}}])
def test_an_item_in_another_form_is_an_error(
    change: dict[str, Any], table: GuideTable, client: FaultyClient
) -> None:
    """What the example has not written is not served."""
    store_as_the_guide_does(client, **change)

    with pytest.raises(CacheStoreError, match="not a table of the example's cache"):
        table.read({"modelId": MODEL, "messages": QUESTION})


def test_errors_are_one_clear_line(table: GuideTable, client: FaultyClient) -> None:
    """A missing table, another one's key and a throttled table each say what to do."""
    request = {"modelId": MODEL, "messages": QUESTION}
    client.plan("get_item", error("ThrottlingException"))
    with pytest.raises(CacheStoreError, match="is throttled"):
        table.read(request)

    with pytest.raises(CacheStoreError, match=r"no DynamoDB table 'other' .* name and region"):
        GuideTable("other", client=client).read(request)

    client.create_table(
        TableName="numbers",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(CacheStoreError, match=r"id \(N, HASH\), and needs cache_key \(S, HASH\)"):
        GuideTable("numbers", client=client).read(request)

    with pytest.raises(ConfigurationError, match="table='no table'"):
        GuideTable("no table")
    assert repr(table) == "GuideTable('llm-cache')"
