"""Rules on the order of a conversation's turns."""

from __future__ import annotations

from langchain_bedrock_opt.emulator.validation.answers import Request, messages_of, refused
from langchain_bedrock_opt.emulator.validation.features import Features


def starts_with_user(request: Request, _features: Features) -> None:
    """A conversation begins with the user, unless a stored prompt brings the messages."""
    messages = messages_of(request)
    if not messages and ":prompt/" in request.get("modelId", ""):
        return
    if not messages or messages[0]["role"] != "user":
        # langgenius/dify#12340; without any message: elastic/kibana#246393
        raise refused(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )


def roles_alternate(request: Request, _features: Features) -> None:
    """User and assistant take turns.

    Turns with the role `system`, which botocore's model has had since 2026, are left out:
    nobody has published what Bedrock says to them.
    """
    previous = None
    for message in messages_of(request):
        role = message["role"]
        if role == "system":
            continue
        if role == previous:
            # langchain-ai/langchain-aws#130, langgenius/dify#9294
            raise refused(
                "A conversation must alternate between user and assistant roles. Make sure the "
                "conversation alternates between user and assistant roles and try again."
            )
        previous = role


def messages_have_content(request: Request, _features: Features) -> None:
    """No message is empty."""
    for index, message in enumerate(messages_of(request)):
        if not message["content"]:
            # earendil-works/pi#3443
            raise refused(
                f"The content field in the Message object at messages.{index} is empty. Add a "
                "ContentBlock object to the content field and try again."
            )


def ends_with_user(request: Request, features: Features) -> None:
    """Some families want the last word to be the user's; Claude speaks for itself."""
    if features.prefill or features.family == "claude":
        return
    messages = messages_of(request)
    if messages and messages[-1]["role"] == "assistant":
        # i-am-bee/beeai-framework#753 (Llama 3 8B)
        raise refused(
            "The model that you are using requires the last turn in the conversation to be a "
            "user message. Add a user message to the conversation and try again."
        )
