"""IAM policies: each allows what its feature asks of AWS, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from langchain_core.messages import HumanMessage

from langchain_bedrock_opt import (
    BedrockBatch,
    BedrockEmulator,
    BedrockSemanticCache,
    ChatBedrockOptimized,
    CloudWatchMetricsSink,
    DynamoDBCacheStore,
    UsageRecord,
)
from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.aws.price_list import refresh_prices
from langchain_bedrock_opt.aws.resolution import Resolver
from langchain_bedrock_opt.caching import GuideTable, KmsCipher
from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.catalog.policies import (
    FEATURES,
    actions_of,
    batch_role_trust,
    iam_policy,
)
from langchain_bedrock_opt.cli.checks.bench import Bench
from langchain_bedrock_opt.cli.checks.examination import examine
from langchain_bedrock_opt.emulator import Quota
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError
from langchain_bedrock_opt.usage.budget import DynamoDBBudgetStore
from langchain_bedrock_opt.usage.cloudwatch.alarms import alarm_requests, apply
from langchain_bedrock_opt.usage.cloudwatch.dashboard import dashboard_body
from tests.batch_service import SLOW, make_batch_service
from tests.throughput_service import CUSTOM, make_throughput_service
from tests.throughput_service import NOVA as BASE

NOVA = "us.amazon.nova-lite-v1:0"
ACCOUNT = "111122223333"

_OTHER_ACTIONS = {
    "Converse": "bedrock:InvokeModel",
    "ConverseStream": "bedrock:InvokeModelWithResponseStream",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "GetCallerIdentity": "",  # everybody may ask who they are
}
"""What operations are allowed by that go by another name in IAM."""

_OTHER_SERVICES = {"monitoring": "cloudwatch"}
"""Services whose requests are signed under another name than IAM has for them."""

_WITHOUT_OPERATION = {"iam:PassRole", "bedrock:TagResource"}
"""Actions that AWS asks for within another operation."""


class Recorder:
    """Writes down what clients are allowed by, call by call."""

    def __init__(self) -> None:
        self.actions: set[str] = set()

    def watch(self, client: Any) -> Any:
        """Have a client's calls written down."""
        client.meta.events.register("provide-client-params", self._note)
        return client

    def _note(self, model: Any, **_: Any) -> None:
        service = _OTHER_SERVICES.get(model.service_model.signing_name)
        service = service or model.service_model.signing_name
        action = _OTHER_ACTIONS.get(model.name, f"{service}:{model.name}")
        self.actions |= {action} - {""}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def aws(recorder: Recorder) -> Callable[[str], Any]:
    """Makes watched clients of a local Bedrock and of the services beside it."""
    emulator = BedrockEmulator()
    return lambda service: recorder.watch(emulator.client(service))


def exactly(policy: dict[str, Any], recorder: Recorder) -> None:
    """The policy allows what was done, and nothing that was not."""
    assert actions_of(policy) - _WITHOUT_OPERATION == recorder.actions


def test_calls_of_a_model(recorder: Recorder) -> None:
    """A chat model that invokes and streams needs the policy of `invoke`."""
    client = recorder.watch(BedrockEmulator().client())
    model = ChatBedrockOptimized(model=NOVA, client=client, max_tokens=10)
    model.invoke("Hello")
    list(model.stream("Hello"))

    exactly(iam_policy("invoke"), recorder)


def test_counting_tokens(recorder: Recorder) -> None:
    """A chat model that has Bedrock count tokens needs the policy of `count-tokens`."""
    client = recorder.watch(BedrockEmulator().client())
    model = ChatBedrockOptimized(
        model="anthropic.claude-3-5-haiku-20241022-v1:0", client=client, max_tokens=10
    )

    assert model.get_num_tokens_from_messages([HumanMessage("Hello")]) > 0
    exactly(iam_policy("count-tokens"), recorder)


def test_asking_what_an_arn_stands_for(recorder: Recorder) -> None:
    """Asking for the model behind ARNs of each kind needs the policy of `resolve`."""
    emulator = BedrockEmulator(
        provisioned={"chat": BASE},
        application_profiles={"team": NOVA},
        prompt_routers={"nova": [NOVA, BASE]},
    )
    control = recorder.watch(emulator.client("bedrock"))
    answers = (
        control.list_provisioned_model_throughputs()["provisionedModelSummaries"],
        control.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"],
        control.list_prompt_routers()["promptRouterSummaries"],
    )
    names = ("provisionedModelArn", "inferenceProfileArn", "promptRouterArn")
    arns = [answer[0][name] for answer, name in zip(answers, names, strict=True)]
    recorder.actions.clear()
    for arn in arns:
        Resolver().resolve(arn, control)
    deployment = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model-deployment/abcdefabcdef"
    custom = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/{BASE}/abcdefabcdef"
    base = f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}"
    made = {"modelName": "tuned", "jobName": "job", "creationTime": 0}
    with Stubber(control) as stub:
        stub.add_response("get_custom_model_deployment", _deployment(deployment, custom))
        stub.add_response("get_custom_model", made | {"modelArn": custom, "baseModelArn": base})
        Resolver().resolve(deployment, control)

    exactly(iam_policy("resolve"), recorder)
    for arn, action in zip(
        [*arns, deployment],
        [
            {"bedrock:GetProvisionedModelThroughput"},
            {"bedrock:GetInferenceProfile"},
            {"bedrock:GetPromptRouter"},
            {"bedrock:GetCustomModelDeployment", "bedrock:GetCustomModel"},
        ],
        strict=True,
    ):
        assert actions_of(iam_policy("resolve", models=[arn])) == action


def _deployment(arn: str, model: str) -> dict[str, Any]:
    return {
        "customModelDeploymentArn": arn,
        "modelDeploymentName": "tuned",
        "modelArn": model,
        "createdAt": 0,
        "status": "Active",
    }


def test_calls_through_a_prompt_router(recorder: Recorder) -> None:
    """Calls through a prompt router need the policy of `prompt-router`, also to know its models."""
    emulator = BedrockEmulator(prompt_routers={"nova": [NOVA, BASE]})
    arn = emulator.client("bedrock").list_prompt_routers()["promptRouterSummaries"][0]
    model = ChatBedrockOptimized(
        model=arn["promptRouterArn"],
        client=recorder.watch(emulator.client()),
        bedrock_client=recorder.watch(emulator.client("bedrock")),
        max_tokens=10,
    )
    model.invoke("Hello")
    list(model.stream("Hello"))

    exactly(iam_policy("prompt-router"), recorder)


def test_runs_of_invocation_jobs(recorder: Recorder) -> None:
    """Submitting runs, waiting for them, reading and cancelling them needs the policy of `batch`.

    Files of several parts that can't be completed are aborted, too.
    """
    service = make_batch_service(pace=SLOW)
    bedrock, s3 = recorder.watch(service.bedrock), recorder.watch(service.s3)
    model = BedrockBatch(
        model=ChatBedrockOptimized(model=NOVA, client=service.runtime, max_tokens=10),
        bedrock_client=bedrock,
        s3_client=s3,
        clock=service.clock,
        sleep=service.clock.sleep,
        **vars_of(service),
    )
    run = model.submit([f"Question {number}" for number in range(8)], run_id="kept")
    run.wait()
    list(run.results())
    stopped = model.submit([f"Other {number}" for number in range(8)], run_id="stopped")
    stopped.cancel()

    policy = iam_policy("batch", bucket=service.bucket, prefix="runs/")
    rare = {"s3:AbortMultipartUpload", "s3:DeleteObject"}  # after a failure in the middle of a file
    assert recorder.actions <= actions_of(policy)
    assert actions_of(policy) - recorder.actions <= _WITHOUT_OPERATION | rare


def vars_of(service: Any) -> dict[str, Any]:
    """Where a service's runs lie, and who runs them."""
    settings = service.settings()
    return {name: getattr(settings, name) for name in ("s3_uri", "role_arn", "min_records")}


def test_a_cache_in_dynamodb_shares_its_policy() -> None:
    """The store's own `iam_policy` is the one of its feature, whose actions its tests count."""
    store = DynamoDBCacheStore("answers", region_name="us-east-1")

    assert store.iam_policy() == iam_policy("cache-dynamodb", table="answers")
    assert store.iam_policy(create_table=True) == iam_policy(
        "cache-dynamodb-create", table="answers"
    )


def test_looking_into_a_table(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """How much is in a cache's table is asked under the policy of `cache-dynamodb-stats`."""
    store = DynamoDBCacheStore("looked-into", client=aws("dynamodb"))
    store.create_table()
    recorder.actions.clear()

    assert store.size().entries == 0
    exactly(iam_policy("cache-dynamodb-stats"), recorder)


def test_taking_over_the_guides_table(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """A table like the guide's is only read."""
    client = aws("dynamodb")
    client.create_table(
        TableName="guide",
        AttributeDefinitions=[{"AttributeName": "cache_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "cache_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    recorder.actions.clear()
    cache = BedrockSemanticCache(migrate_from=GuideTable("guide", client=client))
    ChatBedrockOptimized(model=NOVA, client=BedrockEmulator().client(), cache=cache).invoke("Hello")

    exactly(iam_policy("cache-guide"), recorder)


def test_an_encrypted_cache(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """A cache whose entries KMS's keys encrypt needs the policy of `cache-kms`."""
    client = aws("kms")
    key_id = client.create_key()["KeyMetadata"]["KeyId"]
    recorder.actions.clear()
    sealed = KmsCipher(key_id, client=client).encrypt(b"answer", b"key")

    assert KmsCipher(key_id, client=client).decrypt(sealed, b"key") == b"answer"
    exactly(iam_policy("cache-kms"), recorder)


def test_metrics(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """A sink of metrics needs the policy of `metrics`."""
    record = UsageRecord(
        run_id="1",
        started_at=datetime(2026, 11, 22, tzinfo=timezone.utc),
        model_id=NOVA,
        status="ok",
    )
    sink = CloudWatchMetricsSink(client=aws("cloudwatch"))
    sink.add(record)
    sink.close()

    exactly(iam_policy("metrics"), recorder)


def test_a_dashboard_with_alarms(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """Writing a dashboard and its alarms needs the policy of `dashboard`."""
    place: dict[str, Any] = {"namespace": "LangChainBedrock", "service": None}
    body = dashboard_body(region="us-east-1", models=[NOVA], **place)
    alarms = alarm_requests(prefix="chat", cost_per_hour_usd=5, **place)
    apply("chat", body, alarms, aws("cloudwatch"))

    exactly(iam_policy("dashboard"), recorder)


def test_prices_by_the_api(recorder: Recorder, tmp_path: Any) -> None:
    """Refreshing prices by the API needs the policy of `prices`."""
    client = recorder.watch(service_client("pricing", region_name="us-east-1"))
    with Stubber(client) as stub:
        for _ in range(2):
            stub.add_response(
                "get_products", {"PriceList": []}, {"ServiceCode": ANY, "FormatVersion": ANY}
            )
        assert not refresh_prices(tmp_path / "prices.json", client=client).written

    exactly(iam_policy("prices"), recorder)


def test_a_budget_in_dynamodb(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """A shared budget needs one policy to be kept, and a wider one to make its table."""
    store = DynamoDBBudgetStore("budgets", client=aws("dynamodb"))
    store.create_table()
    made = set(recorder.actions)
    recorder.actions.clear()
    store.reserve("day", "call", 10, limit=100, ttl=60)
    store.settle("day", "call", 10, 5)
    store.level("day")

    exactly(iam_policy("budget-dynamodb"), recorder)
    recorder.actions |= made
    exactly(iam_policy("budget-dynamodb-create"), recorder)


def test_provisioned_throughput(recorder: Recorder) -> None:
    """Looking, buying and deleting need a policy each; all of them let you look."""
    service = make_throughput_service()
    manager = ProvisionedThroughputManager(
        recorder.watch(service.bedrock), sleep=service.clock.sleep
    )
    manager.list()
    manager.wait(service.create())
    recorder.actions.discard("bedrock:CreateProvisionedModelThroughput")
    exactly(iam_policy("throughput-read"), recorder)

    bought = manager.create(BASE, name="other", confirm=True)
    manager.rename(bought, "another")
    exactly(iam_policy("throughput-buy"), recorder)

    recorder.actions.clear()
    manager.list()
    manager.delete("another")
    exactly(iam_policy("throughput-delete"), recorder)


def test_using_provisioned_throughput(recorder: Recorder) -> None:
    """A bought throughput's chat model, and what overflows from it, need `throughput-use`."""
    arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/"
    bedrock = BedrockEmulator(
        provisioned={f"{arn}abcdefabcdef": BASE, f"{arn}fullfullfull": BASE},
        quotas={f"{arn}fullfullfull": Quota(tokens_per_minute=0)},
    )
    manager = ProvisionedThroughputManager(bedrock.client("bedrock"))
    client = recorder.watch(bedrock.client())
    served = []
    for bought in manager.list():
        model = manager.chat_model(bought, overflow=NOVA, client=client, max_tokens=10)
        served.append(model.invoke("Hello").response_metadata["bedrock_opt"]["lane"]["capacity"])
        list(model.stream("Hello"))

    assert set(served) == {"provisioned", "on_demand"}
    exactly(iam_policy("throughput-use"), recorder)


def test_calls_are_held_to_the_throughput_and_its_overflow() -> None:
    """With models named, their ARNs and no others may be called; without, any throughput may."""
    arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdefabcdef"
    [bought] = iam_policy("throughput-use", models=[arn])["Statement"]
    both = iam_policy("throughput-use", models=[arn, NOVA], region="us-east-1", account=ACCOUNT)
    [anyone, *_] = iam_policy("throughput-use", account=ACCOUNT)["Statement"]

    profile = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{NOVA}"
    assert bought["Resource"] == [arn]
    assert both["Statement"][0]["Resource"] == [profile, arn]
    assert both["Statement"][1]["Condition"]
    assert anyone["Resource"] == [f"arn:aws:bedrock:*:{ACCOUNT}:provisioned-model/*"]


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        (f"{BASE}:24k", f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}:24k"),
        (
            f"arn:aws:bedrock:eu-west-1::foundation-model/{BASE}:24k",
            f"arn:aws:bedrock:eu-west-1::foundation-model/{BASE}:24k",
        ),
        (CUSTOM, CUSTOM),
    ],
)
def test_a_purchase_is_held_to_its_model(model: str, resource: str) -> None:
    """A model may be bought by its id with a context length, or by its ARN as it is."""
    policy = iam_policy("throughput-buy", models=[model], region="us-east-1")

    assert resource in policy["Statement"][-1]["Resource"]


def test_the_doctor(aws: Callable[[str], Any], recorder: Recorder) -> None:
    """The doctor's questions need the policy of `doctor`, whatever they are answered."""
    findings = list(examine(Bench(models=(NOVA, BASE), client_of=aws)))

    assert {"model", "model access", "quotas"} <= {finding.check for finding in findings}
    exactly(iam_policy("doctor"), recorder)


def test_every_feature_has_a_policy() -> None:
    """Every feature's policy is JSON, and all of them together are one without twins."""
    whole = iam_policy(*FEATURES)

    assert json.loads(json.dumps(whole)) == whole
    statements = [json.dumps(each) for each in whole["Statement"]]
    assert len(set(statements)) == len(statements)
    assert actions_of(whole) == frozenset().union(
        *(actions_of(iam_policy(feature)) for feature in FEATURES)
    )


def test_a_profile_opens_its_models_only_through_itself() -> None:
    """Models behind a profile are allowed in all regions, on the condition that it is called."""
    own, behind = iam_policy("invoke", models=[NOVA], region="us-east-1", account=ACCOUNT)[
        "Statement"
    ]

    profile = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{NOVA}"
    assert own["Resource"] == [profile]
    assert behind["Resource"] == [f"arn:aws:bedrock:*::foundation-model/{BASE}"]
    assert behind["Condition"] == {"StringLike": {"bedrock:InferenceProfileArn": profile}}


def test_a_global_profile_has_models_without_a_region() -> None:
    """Behind a global profile there are ARNs without a region, too."""
    haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
    _, behind = iam_policy("invoke", models=[f"global.{haiku}"])["Statement"]

    assert f"arn:aws:bedrock:::foundation-model/{haiku}" in behind["Resource"]


def test_a_model_without_a_profile_is_of_one_region() -> None:
    """A foundation model is allowed in its region only, and an ARN as it is."""
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:provisioned-model/abcdefabcdef"
    [statement] = iam_policy("invoke", models=[BASE, arn], region="eu-west-1")["Statement"]

    base = f"arn:aws:bedrock:eu-west-1::foundation-model/{BASE}"
    assert set(statement["Resource"]) == {base, arn}
    assert "Condition" not in statement


def test_a_batch_is_held_to_its_bucket_and_role() -> None:
    """The policy of a batch names the bucket, the prefix and the role that it may pass."""
    role = f"arn:aws:iam::{ACCOUNT}:role/bedrock-batch"
    policy = iam_policy("batch", bucket="tickets", prefix="runs/", role_arn=role)
    by_action = {action: each for each in policy["Statement"] for action in each["Action"]}

    assert by_action["s3:PutObject"]["Resource"] == "arn:aws:s3:::tickets/runs/*"
    assert by_action["s3:ListBucket"]["Resource"] == "arn:aws:s3:::tickets"
    assert by_action["iam:PassRole"]["Resource"] == role
    assert by_action["iam:PassRole"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}
    }


def test_a_bucket_with_a_key_of_its_own() -> None:
    """With a KMS key named, the caller and the service role may use it."""
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/abc"
    for feature in ("batch", "batch-role"):
        last = iam_policy(feature, kms_key=key)["Statement"][-1]
        assert last["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert last["Resource"] == key


def test_only_bedrock_may_take_the_batch_role_on() -> None:
    """The service role trusts Bedrock, for jobs of the account alone."""
    [statement] = batch_role_trust(ACCOUNT, "us-east-1")["Statement"]

    assert statement["Principal"] == {"Service": "bedrock.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    allowed = actions_of(iam_policy("batch-role", bucket="tickets"))
    assert allowed == {"bedrock:InvokeModel", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}


def test_what_is_no_feature_is_named() -> None:
    """A feature that does not exist is refused with those that do."""
    with pytest.raises(ConfigurationError, match="'caching': name some of invoke, "):
        iam_policy("caching")
    with pytest.raises(ConfigurationError, match="none: name some of"):
        iam_policy()
    with pytest.raises(ModelIdError, match="claude"):
        iam_policy("invoke", models=["claude"])
    with pytest.raises(ConfigurationError, match="`resolve` is not needed"):
        iam_policy("resolve", models=[NOVA])
    assert iam_policy("invoke", "resolve", models=[NOVA]) == iam_policy("invoke", models=[NOVA])
