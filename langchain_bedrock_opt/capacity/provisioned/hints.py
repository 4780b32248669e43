"""What to do about a refusal, or about one that failed, by the words that Bedrock has for it.

How complete these words are is unverified against AWS. A message that is not known is passed on
as it is.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from langchain_bedrock_opt.aws.errors import BotocoreError
from langchain_bedrock_opt.aws.trouble import error_code, lacks_credentials, said, trouble_of

NAME_TAKEN: Final = re.compile(
    "currently in use|already (exists|in use)|name.*taken", re.IGNORECASE
)
"""In the words that Bedrock has for a name that another one has."""


class _Hint(NamedTuple):
    """Advice for codes and messages, in lower case, that have this pattern in them."""

    pattern: str
    advice: str


# The first that fits is taken: the narrower ones come first.
_HINTS: Final = (
    _Hint(
        "not authorized|accessdenied",
        "Allow bedrock:CreateProvisionedModelThroughput, and Get, Update and "
        "DeleteProvisionedModelThroughput, ListProvisionedModelThroughputs and TagResource.",
    ),
    _Hint("toomanytags", "Pass fewer tags."),
    _Hint("is in status", "Wait until it is in service: manager.wait(...)."),
    _Hint(
        "servicequotaexceeded|model unit|quota",
        "An account has no model units until AWS grants some, for each model and each commitment: "
        "ask for them in Service Quotas, in a support case, or through the account manager.",
    ),
    _Hint(
        NAME_TAKEN.pattern,
        "Choose another name, or see manager.list(name_contains=...).",
    ),
    _Hint(
        "commitment",
        "Some models are sold with certain commitments only: pass another one.",
    ),
    _Hint(
        "capacity|insufficient",
        "AWS has no capacity for it at the moment: try later, with fewer units, or in another "
        "region.",
    ),
    _Hint(
        "identifier is invalid|not supported|isn.t supported|resourcenotfound|could not be found",
        "Which ids it is sold for, many with a context length such as ':24k', is listed by `aws "
        "bedrock list-foundation-models --by-inference-type PROVISIONED`, for each region.",
    ),
)


def with_hint(message: str, code: str = "") -> str:
    """A message of Bedrock's as a sentence, and what to do about it.

    Args:
        message: The message of an error, or of one that failed.
        code: The error's code, if it has one.

    Example:
        >>> with_hint("You have passed too many tags", "TooManyTagsException")
        'You have passed too many tags. Pass fewer tags.'
    """
    sentence = f"{' '.join(message.split()).rstrip('.')}."
    lowered = f"{code} {message}".lower()
    hint = next((hint.advice for hint in _HINTS if re.search(hint.pattern, lowered)), None)
    return f"{sentence} {hint}" if hint else sentence


def refusal(error: BotocoreError) -> str:
    """What a call came to that will not be made again: the operation, the code, what to do.

    Args:
        error: What boto3 raised.
    """
    operation = getattr(error, "operation_name", "Bedrock")
    code = error_code(error)
    about = f"{operation} failed ({code or type(error).__name__})"
    if lacks_credentials(error) or trouble_of(error) == "credentials":
        return f"{about}: {said(error)}. Run `aws configure` or `aws sso login`, and try again."
    if trouble_of(error) != "refused":
        return f"{about}, for some minutes: {said(error)}. Try again later."
    return f"{about}: {with_hint(said(error), code)}"
