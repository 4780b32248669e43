"""What errors say to do, in the words of the shell: the rooms say it in those of Python."""

from __future__ import annotations

import re
from typing import Final

from langchain_bedrock_opt.cli.output import one_line

_OPTIONS: Final = {
    "below_minimum": "--below-minimum",
    "max_cost_usd": "--max-cost",
    "min_records": "--min-records",
    "region_name": "--region",
    "role_arn": "--role",
    "run_id": "--run-id",
    "s3_uri": "the S3 URI",
}
_OPTION: Final = re.compile(rf"\b({'|'.join(_OPTIONS)})\b(=?)")

_PHRASES: Final = tuple(
    (re.compile(python), shell)
    for python, shell in (
        (r"[Pp]ass confirm=True to buy it", "To buy it, say --confirm"),
        (r"manager\.list\(\)", "`bedrock-opt throughput list`"),
        (r"manager\.list\(name_contains=\.\.\.\)", "`bedrock-opt throughput list --name PART`"),
        (r"manager\.wait\('([^']+)'\)", r"`bedrock-opt throughput wait \1`"),
        (r"manager\.delete\('([^']+)'\)", r"`bedrock-opt throughput delete \1 --yes`"),
        (r"create_table=True", "`bedrock-opt cache table TABLE --create`"),
        (r"table_definition\(\)", "`bedrock-opt cache table TABLE`"),
        (r"BatchRun\.attach\('([^']+)'\)(\.\w+\(\))?", r"`bedrock-opt batch wait \1`"),
    )
)

_NO_CREDENTIALS: Final = (
    "There are no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE, or "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)


def in_shell(error: BaseException) -> str:
    """What an error says, in one line and for who has a shell before them.

    Example:
        >>> in_shell(ValueError("There is none: see manager.list(), or correct s3_uri='s3:/a'."))
        "There is none: see `bedrock-opt throughput list`, or correct the S3 URI 's3:/a'."
    """
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
    from langchain_bedrock_opt.aws.trouble import lacks_credentials

    if isinstance(error, BOTOCORE_ERRORS) and lacks_credentials(error):
        return _NO_CREDENTIALS
    said = one_line(error)
    for python, shell in _PHRASES:
        said = python.sub(shell, said)
    return _OPTION.sub(lambda match: _OPTIONS[match[1]] + (" " if match[2] else ""), said)
