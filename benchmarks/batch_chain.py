"""The chain whose batches are measured: a prompt and a model; and its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from langchain_bedrock_opt.batching.chat_model import BedrockBatch

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
ROLE = "arn:aws:iam::123456789012:role/bedrock-batch"
BUCKET = "benchmark"
MAX_TOKENS = 500

SYSTEM = "You are an editor at a {house}. " + "Keep names, numbers and dates as they are. " * 12
HUMAN = "Sum up: {text}"
TEXT = 'The committee met on 3 May; "no decision" was taken. 委員会は五月三日に開かれた。' * 12


def prompt() -> ChatPromptTemplate:
    """Two messages with a variable each."""
    return ChatPromptTemplate.from_messages([("system", SYSTEM), ("human", HUMAN)])


def model() -> ChatBedrockConverse:
    """The user's model, over whatever the environment has for AWS."""
    return ChatBedrockConverse(model=MODEL, max_tokens=MAX_TOKENS)


def chain() -> Runnable[dict[Any, Any], Any]:
    """The prompt and a model whose batches are jobs."""
    uri = f"s3://{BUCKET}/runs/"
    return prompt() | BedrockBatch(model=model(), s3_uri=uri, role_arn=ROLE)


def an_input(number: int) -> dict[str, str]:
    """One input; its record is of some 1.9 kB."""
    return {"house": "newspaper", "text": f"{number} {TEXT}"}


def inputs(count: int) -> Iterator[dict[str, str]]:
    """Inputs, no two of them equal."""
    return map(an_input, range(count))
