"""`ChatBedrockOptimized` in hard cases: too long a prompt, forks, settings that come as text."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError
from langchain_core.exceptions import ContextOverflowError

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.emulator import Reply
from langchain_bedrock_opt.errors import ConfigurationError, InvalidRequestError
from tests.extras import needs_fork

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize("call", ["invoke", "stream", "ainvoke"])
async def test_a_prompt_that_is_too_long_is_langchains_overflow_error(call: str) -> None:
    """Middleware that shortens a conversation recognizes the error, and so do our classes."""
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(
        model="us.amazon.nova-lite-v1:0", client=client, bedrock_client=client
    )

    async def ask(prompt: str) -> None:
        if call == "invoke":
            model.invoke(prompt)
        elif call == "stream":
            list(model.stream(prompt))
        else:
            await model.ainvoke(prompt)

    with pytest.raises(ContextOverflowError) as caught:
        await ask("too long " * 400_000)

    assert isinstance(caught.value, InvalidRequestError)
    assert isinstance(caught.value, ClientError)
    await asyncio.to_thread(model.close)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_connections_of_its_own() -> None:
    """Children that share a model made before the fork each get the answers to their own calls."""

    class Echo:
        def reply(self, request: Any) -> Reply:
            return Reply(content=({"text": request["messages"][0]["content"][0]["text"]},))

    with BedrockEmulator(responder=Echo()) as aws:
        model = ChatBedrockOptimized(
            model="us.amazon.nova-lite-v1:0", region_name="us-east-1", base_url=aws.endpoint_url
        )
        assert model.invoke("parent").content == "parent"
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                prompts = [f"child {number}, call {n}" for n in range(30)]
                same = all(model.invoke(prompt).content == prompt for prompt in prompts)
                os._exit(0 if same else 1)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert model.invoke("parent again").content == "parent again"
        model.close()

    assert codes == [0, 0, 0, 0]


def test_numbers_may_come_as_text() -> None:
    """Settings read from the environment work as they do on ChatBedrockConverse."""
    model = ChatBedrockOptimized(
        model=f"us.{HAIKU}", region_name="us-east-1", max_tokens="500", timeout="5", max_retries="2"
    )

    assert (model.max_tokens, model.timeout, model.max_retries) == (500, 5, 2)
    assert model.client.base.meta.config.read_timeout == 5
    with pytest.raises(ConfigurationError, match="timeout='soon' is not a number"):
        ChatBedrockOptimized(model=f"us.{HAIKU}", region_name="us-east-1", timeout="soon")
