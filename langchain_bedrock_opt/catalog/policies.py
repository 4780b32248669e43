"""IAM policies: the least that each feature of this package has to be allowed.

Which actions an operation needs follows AWS's service authorization reference; that each feature
makes these operations and no other is tested (`tests/unit_tests/catalog/test_policies.py`). How
AWS judges resources and conditions is unverified against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError

Policy: TypeAlias = dict[str, Any]
"""A policy document, ready for `json.dumps`."""

Statement: TypeAlias = dict[str, Any]

INVOKE: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
"""What Converse and ConverseStream are allowed by."""

_RESOLVE: Final[Mapping[ModelIdKind, tuple[str, ...]]] = {
    ModelIdKind.APPLICATION_INFERENCE_PROFILE: ("bedrock:GetInferenceProfile",),
    ModelIdKind.CUSTOM_MODEL: ("bedrock:GetCustomModel",),
    ModelIdKind.CUSTOM_MODEL_DEPLOYMENT: ("bedrock:GetCustomModelDeployment",),
    ModelIdKind.DEFAULT_PROMPT_ROUTER: ("bedrock:GetPromptRouter",),
    ModelIdKind.PROMPT_ROUTER: ("bedrock:GetPromptRouter",),
    ModelIdKind.PROVISIONED_MODEL: ("bedrock:GetProvisionedModelThroughput",),
}
"""What says which model is behind an ARN, by its kind."""

_CACHE: Final = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
)
_BUDGET: Final = ("dynamodb:GetItem", "dynamodb:UpdateItem")
_TABLE: Final = (
    "dynamodb:CreateTable",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:UpdateTimeToLive",
)
_FILES: Final = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_ANYWHERE: Final = ("*", "")
"""All regions, and none: the models of global profiles have an ARN without a region, too."""

_SERVICE: Final = "bedrock.amazonaws.com"
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_PARTITIONS: Final = (
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-eusc",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What policies are about; `*` stands for any."""

    region: str
    account: str
    partition: str
    models: tuple[ModelId, ...]
    table: str
    bucket: str
    prefix: str
    role: str
    kms_key: str
    namespace: str
    cache_namespace: str
    dashboard: str

    def arn(self, service: str, name: str, *, region: str | None = None) -> str:
        """An ARN in this account; `region` stands in for this place's."""
        where = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{name}"

    def bedrock(self, *names: str) -> list[str]:
        """Resources of Bedrock's in this account."""
        return [self.arn("bedrock", name) for name in names]

    def foundation_model(self, base: str, region: str) -> str:
        """The ARN of a foundation model, which belongs to no account."""
        return f"arn:{self.partition}:bedrock:{region}::foundation-model/{base}"

    def dynamodb(self) -> str:
        """The ARN of the table."""
        if self.table.startswith("arn:"):
            return self.table
        return self.arn("dynamodb", f"table/{self.table}")


def _allow(actions: Sequence[str], resource: str | list[str], **condition: Any) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def _invoking(place: _Place, actions: Sequence[str]) -> list[Statement]:
    """Statements that allow actions on the place's models, and no others."""
    if not place.models:
        models = [place.foundation_model("*", region) for region in _ANYWHERE]
        return [_allow(actions, [*models, *place.bedrock("inference-profile/*")])]
    direct: list[str] = []
    statements: list[Statement] = []
    for model in place.models:
        if model.scope is None and model.base is not None:
            direct.append(place.foundation_model(model.base, model.region or place.region))
            continue
        resource = _own_resource(place, model)
        direct.append(resource)
        if behind := _models_behind(place, model):
            # The models of a profile, wherever it sends a request, but only through the profile.
            through = {"bedrock:InferenceProfileArn": resource}
            statements.append(_allow(actions, behind, StringLike=through))
    return [_allow(actions, sorted(set(direct))), *statements]


def _own_resource(place: _Place, model: ModelId) -> str:
    if model.raw.startswith("arn:"):
        return model.raw
    return place.arn("bedrock", f"inference-profile/{model.raw}")


def _models_behind(place: _Place, model: ModelId) -> list[str]:
    if model.kind is ModelIdKind.APPLICATION_INFERENCE_PROFILE:
        return [place.foundation_model("*", region) for region in _ANYWHERE]
    if model.scope is None or model.base is None:
        return []
    regions = _ANYWHERE if model.scope == "global" else ("*",)
    return [place.foundation_model(model.base, region) for region in regions]


def _invoke(place: _Place) -> list[Statement]:
    return _invoking(place, INVOKE)


def _count_tokens(place: _Place) -> list[Statement]:
    return _invoking(place, ("bedrock:CountTokens",))


def _resolve(place: _Place) -> list[Statement]:
    arns: dict[tuple[str, ...], list[str]] = {}
    for kind, actions in _RESOLVE.items():
        of_kind = [model.raw for model in place.models if model.kind is kind]
        if of_kind or not place.models:
            known = arns.setdefault(actions, [])
            known += of_kind or place.bedrock(f"{kind.value}/*")
    if ModelIdKind.CUSTOM_MODEL_DEPLOYMENT in {model.kind for model in place.models}:
        # A deployment says its custom model, and that its base model.
        arns.setdefault(("bedrock:GetCustomModel",), place.bedrock("custom-model/*"))
    return [_allow(actions, resources) for actions, resources in arns.items()]


def _prompt_router(place: _Place) -> list[Statement]:
    routers = place.bedrock("default-prompt-router/*", "prompt-router/*")
    return [_allow((*INVOKE, "bedrock:GetPromptRouter"), routers), *_invoke(place)]


def _batch(place: _Place) -> list[Statement]:
    jobs = place.arn("bedrock", "model-invocation-job/*")
    passed = {"iam:PassedToService": _SERVICE}
    # Without the condition that calls have: whether creating a job meets it is not known, and
    # which models are asked is for the service role to say.
    models = [arn for each in _invoking(place, INVOKE) for arn in each["Resource"]]
    return [
        _allow(("bedrock:CreateModelInvocationJob", "bedrock:TagResource"), [*models, jobs]),
        _allow(("bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob"), jobs),
        _allow(("bedrock:ListModelInvocationJobs",), "*"),
        _allow(("iam:PassRole",), place.role, StringEquals=passed),
        *_s3(place, _FILES),
    ]


def _batch_role(place: _Place) -> list[Statement]:
    return [
        *_invoking(place, ("bedrock:InvokeModel",)),
        *_s3(place, ("s3:GetObject", "s3:PutObject")),
    ]


def _s3(place: _Place, actions: Sequence[str]) -> list[Statement]:
    bucket = f"arn:{place.partition}:s3:::{place.bucket}"
    statements = [
        _allow(("s3:ListBucket",), bucket),
        _allow(actions, f"{bucket}/{place.prefix}*"),
    ]
    if place.kms_key != "*":
        statements.append(_allow(("kms:Decrypt", "kms:GenerateDataKey"), place.kms_key))
    return statements


def _kms(place: _Place) -> list[Statement]:
    context = {
        "kms:EncryptionContext:langchain-bedrock-opt": "response-cache",
        "kms:EncryptionContext:namespace": place.cache_namespace,
    }
    return [_allow(("kms:Decrypt", "kms:GenerateDataKey"), place.kms_key, StringLike=context)]


def _metrics(place: _Place) -> list[Statement]:
    named = {"cloudwatch:namespace": place.namespace}
    return [_allow(("cloudwatch:PutMetricData",), "*", StringLike=named)]


def _dashboard(place: _Place) -> list[Statement]:
    dashboard = place.arn("cloudwatch", f"dashboard/{place.dashboard}", region="")
    alarms = place.arn("cloudwatch", f"alarm:{place.dashboard.rstrip('*')}*")
    return [
        _allow(("cloudwatch:PutDashboard",), dashboard),
        _allow(("cloudwatch:PutMetricAlarm",), alarms),
    ]


def _throughput(place: _Place, *actions: str) -> list[Statement]:
    return [_allow(actions, place.bedrock("provisioned-model/*"))]


def _throughput_use(place: _Place) -> list[Statement]:
    if place.models:
        return _invoke(place)
    return [*_throughput(place, *INVOKE), *_invoke(place)]


def _throughput_read(place: _Place) -> list[Statement]:
    return [
        *_throughput(place, "bedrock:GetProvisionedModelThroughput"),
        _allow(("bedrock:ListProvisionedModelThroughputs",), "*"),
    ]


def _throughput_buy(place: _Place) -> list[Statement]:
    models = [
        place.foundation_model(model.base, model.region or place.region)
        if model.base
        else model.raw
        for model in place.models
    ] or [place.foundation_model("*", place.region), *place.bedrock("custom-model/*")]
    buying = (
        "bedrock:CreateProvisionedModelThroughput",
        "bedrock:TagResource",
        "bedrock:UpdateProvisionedModelThroughput",
    )
    return [
        *_throughput_read(place),
        _allow(buying, [*models, *place.bedrock("provisioned-model/*")]),
    ]


def _throughput_delete(place: _Place) -> list[Statement]:
    return [
        *_throughput_read(place),
        *_throughput(place, "bedrock:DeleteProvisionedModelThroughput"),
    ]


def _doctor(place: _Place) -> list[Statement]:
    bases = [model.base for model in place.models if model.base] or ["*"]
    models = [place.foundation_model(base, place.region) for base in bases]
    return [
        _allow(("bedrock:GetFoundationModel",), models),
        _allow(("bedrock:GetFoundationModelAvailability",), "*"),
        _allow(("bedrock:GetInferenceProfile",), place.bedrock("*inference-profile/*")),
        _allow(("servicequotas:ListServiceQuotas",), "*"),
    ]


_MAKERS: Final[Mapping[str, tuple[str, Callable[[_Place], list[Statement]]]]] = {
    "invoke": ("chat models: Converse and ConverseStream", _invoke),
    "count-tokens": ("counting tokens by Bedrock", _count_tokens),
    "resolve": ("asking which model is behind an ARN", _resolve),
    "prompt-router": ("calls through Amazon Bedrock's prompt routers", _prompt_router),
    "batch": ("BedrockBatch: whoever submits invocation jobs and reads them", _batch),
    "batch-role": ("the service role of invocation jobs", _batch_role),
    "cache-dynamodb": (
        "DynamoDBCacheStore",
        lambda place: [_allow(_CACHE, place.dynamodb())],
    ),
    "cache-dynamodb-create": (
        "DynamoDBCacheStore(create_table=True)",
        lambda place: [_allow((*_CACHE, *_TABLE), place.dynamodb())],
    ),
    "cache-dynamodb-stats": (
        "bedrock-opt cache stats dynamodb:TABLE",
        lambda place: [_allow(("dynamodb:DescribeTable",), place.dynamodb())],
    ),
    "cache-guide": (
        "GuideTable, from which answers are taken over",
        lambda place: [_allow(("dynamodb:GetItem",), place.dynamodb())],
    ),
    "cache-kms": ("KmsCipher", _kms),
    "metrics": ("CloudWatchMetricsSink", _metrics),
    "dashboard": ("bedrock-opt dashboard --apply", _dashboard),
    "prices": (
        "bedrock-opt prices refresh --api",
        lambda _: [_allow(("pricing:GetProducts",), "*")],
    ),
    "budget-dynamodb": (
        "DynamoDBBudgetStore",
        lambda place: [_allow(_BUDGET, place.dynamodb())],
    ),
    "budget-dynamodb-create": (
        "DynamoDBBudgetStore.create_table()",
        lambda place: [_allow((*_BUDGET, *_TABLE), place.dynamodb())],
    ),
    "throughput-read": ("looking at provisioned throughput", _throughput_read),
    "throughput-use": ("calls of provisioned throughput, and what overflows", _throughput_use),
    "throughput-buy": ("buying and changing provisioned throughput", _throughput_buy),
    "throughput-delete": ("deleting provisioned throughput", _throughput_delete),
    "doctor": ("bedrock-opt doctor", _doctor),
}

FEATURES: Final[Mapping[str, str]] = {name: what for name, (what, _) in _MAKERS.items()}
"""The features that there are policies for, with what they are."""


def iam_policy(
    *features: str,
    region: str = "*",
    account: str = "*",
    partition: str = "aws",
    models: Sequence[str] = (),
    table: str = "*",
    bucket: str = "*",
    prefix: str = "",
    role_arn: str = "*",
    kms_key: str = "*",
    namespace: str = "*",
    cache_namespace: str = "*",
    dashboard: str = "*",
) -> Policy:
    """The least that an IAM policy has to allow for some features.

    What is left out is allowed for any: name it to allow less.

    Args:
        *features: Names in `FEATURES`.
        region: The region of the calls. Models behind a cross-region profile are allowed in any
            region, but only through the profile.
        account: The account.
        partition: `aws`, `aws-us-gov` or `aws-cn`.
        models: Model ids and ARNs. Without, all foundation models and inference profiles of
            AWS's; ARNs of other kinds always have to be named.
        table: A DynamoDB table's name or ARN.
        bucket: The bucket of invocation jobs.
        prefix: The beginning of their keys, such as `batches/`.
        role_arn: The service role that the caller passes to Bedrock.
        kms_key: The ARN of the KMS key of an encrypted cache, or of the batches' bucket.
        namespace: Of the metrics.
        cache_namespace: Of the encrypted cache.
        dashboard: The dashboard's name, with which those of its alarms begin.

    Returns:
        A policy document.

    Raises:
        ConfigurationError: A feature, an account or a partition is none, or nothing has to be
            allowed.
        ModelIdError: A model id is none.

    Example:
        >>> policy = iam_policy("metrics", namespace="LangChainBedrock")
        >>> policy["Statement"][0]["Action"]
        ['cloudwatch:PutMetricData']
    """
    unknown = [feature for feature in features if feature not in _MAKERS]
    if unknown or not features:
        raise ConfigurationError(
            f"features={', '.join(map(repr, unknown)) or 'none'}: name some of "
            f"{', '.join(_MAKERS)}."
        )
    _check_place(account, partition)
    place = _Place(
        region=region,
        account=account,
        partition=partition,
        models=tuple(map(parse_model_id, models)),
        table=table,
        bucket=bucket,
        prefix=prefix,
        role=role_arn,
        kms_key=kms_key,
        namespace=namespace,
        cache_namespace=cache_namespace,
        dashboard=dashboard,
    )
    statements: list[Statement] = []
    for feature in features:
        for statement in _MAKERS[feature][1](place):
            if statement not in statements:
                statements.append(statement)
    if not statements:
        raise ConfigurationError(
            "models= names no ARN whose model has to be asked for: `resolve` is not needed."
        )
    return {"Version": "2012-10-17", "Statement": statements}


def batch_role_trust(account: str, region: str = "*", *, partition: str = "aws") -> Policy:
    """The trust policy of the service role of invocation jobs: Bedrock may take it on for them.

    Args:
        account: The account whose jobs may.
        region: Their region.
        partition: `aws`, `aws-us-gov` or `aws-cn`.

    Raises:
        ConfigurationError: An account or a partition is none.

    Example:
        >>> trust = batch_role_trust("111122223333", "us-east-1")
        >>> trust["Statement"][0]["Principal"]
        {'Service': 'bedrock.amazonaws.com'}
    """
    _check_place(account, partition)
    jobs = f"arn:{partition}:bedrock:{region}:{account}:model-invocation-job/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": _SERVICE},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": jobs},
                },
            }
        ],
    }


def _check_place(account: str, partition: str) -> None:
    if account != "*" and not _ACCOUNT.fullmatch(account):
        raise ConfigurationError(
            f"account={account!r} is no AWS account: write its 12 digits, such as 111122223333."
        )
    if partition not in _PARTITIONS:
        raise ConfigurationError(
            f"partition={partition!r} is none of AWS's: name one of {', '.join(_PARTITIONS)}."
        )


def actions_of(policy: Mapping[str, Any]) -> frozenset[str]:
    """All actions that a policy allows, as it writes them."""
    return frozenset(action for each in policy["Statement"] for action in each["Action"])
