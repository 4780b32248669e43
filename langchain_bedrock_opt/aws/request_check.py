"""A look at a Converse request before it is sent: by botocore's own rules, without a call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from botocore.session import get_session
from botocore.validate import ParamValidator

from langchain_bedrock_opt.aws.layers import Request

_CONTENT: Final = ", value:"


def complaint_about(request: Request) -> str | None:
    """What boto3's `converse` would refuse a request for; None if it would send it.

    Args:
        request: The arguments of `converse`.

    Returns:
        The first thing that is wrong, without the value, which may be a prompt.

    Example:
        >>> complaint_about({"modelId": "m", "messages": [{"role": "user", "content": "Hi"}]})
        'Invalid type for parameter messages[0].content'
        >>> complaint_about({"modelId": "m"}) is None
        True
    """
    report = ParamValidator().validate(request, _input_shape())
    if not report.has_errors():
        return None
    complaint: str = report.generate_report().partition("\n")[0]
    return complaint.partition(_CONTENT)[0]


@lru_cache(maxsize=1)
def _input_shape() -> Any:
    model = get_session().get_service_model("bedrock-runtime")
    return model.operation_model("Converse").input_shape
