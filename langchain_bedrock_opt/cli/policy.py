"""`bedrock-opt policy`: the least that IAM has to allow, by feature."""

from __future__ import annotations

import argparse
from typing import Any

from langchain_bedrock_opt.catalog.policies import FEATURES, batch_role_trust, iam_policy
from langchain_bedrock_opt.cli.output import emit
from langchain_bedrock_opt.errors import ConfigurationError


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    width = max(map(len, FEATURES))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in FEATURES.items())
    parser = verbs.add_parser(
        "policy",
        help="least-privilege IAM policies by feature, as JSON",
        description="Print the least that an IAM policy has to allow. What is not named is `*`.",
        epilog=f"features:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_run)
    parser.add_argument("features", nargs="+", metavar="FEATURE", help="one or more of the below")
    parser.add_argument("--region", default="*", help="the region of the calls")
    parser.add_argument("--account", default="*", help="the account, 12 digits")
    parser.add_argument("--partition", default="aws", help="aws, aws-us-gov or aws-cn")
    parser.add_argument(
        "--model", action="append", default=[], metavar="ID", help="a model; may be repeated"
    )
    parser.add_argument("--table", default="*", metavar="NAME", help="a DynamoDB table or its ARN")
    parser.add_argument("--bucket", default="*", metavar="NAME", help="the bucket of batches")
    parser.add_argument("--prefix", default="", help="the beginning of their keys, as in batches/")
    parser.add_argument("--role", default="*", metavar="ARN", help="the batches' service role")
    parser.add_argument("--kms-key", default="*", metavar="ARN", help="of the cache, or the bucket")
    parser.add_argument("--namespace", default="*", help="of the metrics")
    parser.add_argument(
        "--cache-namespace", default="*", metavar="NAMESPACE", help="of the encrypted cache"
    )
    parser.add_argument("--dashboard", default="*", metavar="NAME", help="the dashboard")
    parser.add_argument(
        "--trust", action="store_true", help="of batch-role: the trust policy instead"
    )
    parser.add_argument("--json", action="store_true", help="it is JSON in any case")


def _run(options: argparse.Namespace) -> int:
    if options.trust:
        if options.features != ["batch-role"] or options.account == "*":
            raise ConfigurationError(
                "--trust is of the service role: bedrock-opt policy batch-role --trust "
                "--account 111122223333."
            )
        trust = batch_role_trust(options.account, options.region, partition=options.partition)
        emit(trust, "", as_json=True)
        return 0
    document = iam_policy(
        *options.features,
        region=options.region,
        account=options.account,
        partition=options.partition,
        models=options.model,
        table=options.table,
        bucket=options.bucket,
        prefix=options.prefix,
        role_arn=options.role,
        kms_key=options.kms_key,
        namespace=options.namespace,
        cache_namespace=options.cache_namespace,
        dashboard=options.dashboard,
    )
    emit(document, "", as_json=True)
    return 0
