"""Client settings: what suits Bedrock, what the user may override, and what is shared."""

from __future__ import annotations

import gc
import threading
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.clients import (
    ClientSettings,
    LazyClient,
    client_config,
    close_if_idle,
    hold,
    new_client,
    read_timeout,
    service_client,
    shared_client,
    without_retries,
)
from langchain_bedrock_opt.aws.executor import IdleThreadPool
from langchain_bedrock_opt.errors import ConfigurationError

SETTINGS = ClientSettings(service="bedrock-runtime", region_name="us-east-1")


def test_settings_suit_bedrock() -> None:
    """The pool is as large as the concurrency, connections are kept alive, and the agent named."""
    config: Any = client_config(max_concurrency=64, max_tokens=500)

    assert config.max_pool_connections == 64
    assert config.tcp_keepalive
    assert config.connect_timeout == 5
    assert config.user_agent_extra.startswith("langchain-bedrock-opt/")


@pytest.mark.parametrize("max_tokens", [1, 500, 4096, 64_000, None])
def test_the_read_timeout_fits_the_answer(max_tokens: int | None) -> None:
    """A longer answer gets a longer time-out, never under a minute nor over an hour."""
    assert 60 <= read_timeout(max_tokens) <= 3600
    if max_tokens:
        assert read_timeout(max_tokens) >= min(3600, max_tokens / 20)
        assert read_timeout(max_tokens) <= read_timeout(max_tokens * 2)


def test_the_users_config_wins() -> None:
    """What the user's own botocore config sets is kept, and both agents are named."""
    base = Config(read_timeout=7, retries={"max_attempts": 9}, user_agent_extra="their-app/1")

    config: Any = client_config(max_concurrency=3, base=base)

    assert config.read_timeout == 7
    assert config.retries == {"max_attempts": 9}
    assert config.max_pool_connections == 3
    assert config.user_agent_extra.startswith("their-app/1 langchain-bedrock-opt/")


def test_a_timeout_and_retries_are_passed_on() -> None:
    """`timeout` and `max_retries` reach botocore as langchain-aws passes them."""
    config: Any = client_config(timeout=3, max_retries=1)

    assert (config.connect_timeout, config.read_timeout) == (3, 3)
    assert config.retries == {"max_attempts": 1}


@pytest.mark.parametrize("own", [None, Config(retries={"mode": "adaptive", "max_attempts": 4})])
def test_without_retries_nothing_is_retried_or_held_back(
    monkeypatch: pytest.MonkeyPatch, own: Config | None
) -> None:
    """Where the environment or a config asks for adaptive retries, one attempt goes out at once."""
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    settings = ClientSettings(
        service="bedrock-runtime", region_name="us-east-1", config=without_retries(own)
    )

    retries = new_client(settings).meta.config.retries

    assert retries == {"total_max_attempts": 1, "mode": "standard"}


def test_equal_settings_share_a_client() -> None:
    """Two holders of equal settings have one client; another region makes another one."""
    first = shared_client(SETTINGS)
    second = shared_client(ClientSettings(service="bedrock-runtime", region_name="us-east-1"))
    elsewhere = shared_client(ClientSettings(service="bedrock-runtime", region_name="eu-west-1"))
    other_config = shared_client(
        ClientSettings(
            service="bedrock-runtime", region_name="us-east-1", config=client_config(timeout=1)
        )
    )

    assert first is second
    assert len({id(first), id(elsewhere), id(other_config)}) == 3


def test_changed_credentials_make_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client made with yesterday's environment is not used with today's."""
    before = shared_client(SETTINGS)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")

    after = shared_client(SETTINGS)

    assert after is not before
    assert after._request_signer._credentials.access_key == "rotated"


def test_a_client_goes_with_its_last_holder() -> None:
    """A client that nobody holds any more is not kept by this package."""
    client = shared_client(ClientSettings(service="bedrock-runtime", region_name="sa-east-1"))
    identity = id(client)
    probe = [o for o in gc.get_objects() if id(o) == identity]
    assert probe
    del client, probe
    gc.collect()

    assert not [o for o in gc.get_objects() if id(o) == identity and hasattr(o, "converse")]


def test_connections_close_only_when_nobody_works() -> None:
    """One pool going idle leaves the connections to another that shares the client."""

    class Client:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    client, gate = Client(), threading.Event()
    with IdleThreadPool(1) as idle, IdleThreadPool(1) as busy:
        hold(client, idle)
        hold(client, busy)
        work = busy.submit(gate.wait, 10)

        close_if_idle(client)
        assert client.closed == 0
        gate.set()
        work.result(timeout=10)
    close_if_idle(client)

    assert client.closed == 1


def test_secrets_are_not_shown() -> None:
    """The repr of settings holds no credentials."""
    settings = ClientSettings(
        service="bedrock", access_key_id="AKIA1", secret_access_key="hush", session_token="tok"
    )

    assert not {"AKIA1", "hush", "tok"} & set(repr(settings).replace("'", " ").split())


def test_no_region_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing region says how to give one."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(ConfigurationError, match=r"set AWS_REGION, or pass region_name="):
        new_client(ClientSettings(service="bedrock-runtime"))


def test_a_region_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION counts, as it does for langchain-aws."""
    monkeypatch.setenv("AWS_REGION", "ap-northeast-1")

    assert new_client(ClientSettings(service="bedrock")).meta.region_name == "ap-northeast-1"


def test_an_unknown_profile_is_one_line() -> None:
    """A profile that does not exist is named, with the command that makes it."""
    with pytest.raises(ConfigurationError, match="aws configure --profile nobody"):
        new_client(ClientSettings(service="bedrock", profile_name="nobody", region_name="x"))


def test_an_unknown_profile_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that the environment names is the one in the message."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="named 'nobody'"):
        new_client(ClientSettings(service="bedrock", region_name="us-east-1"))


@pytest.mark.parametrize(
    "place", [{"region_name": "not a region"}, {"endpoint_url": "nowhere", "region_name": "x"}]
)
def test_a_place_that_is_none_is_one_line(place: dict[str, Any]) -> None:
    """A region or an endpoint that can't be one is named with its value."""
    with pytest.raises(ConfigurationError) as refused:
        new_client(ClientSettings(service="bedrock", **place))

    assert next(iter(place.values())) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_timeout_is_not_paid_for_again() -> None:
    """A request whose answer was waited for too long is sent once, not once for each retry."""
    with BedrockEmulator(pace=1) as aws:
        client = new_client(
            ClientSettings(
                service="bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=aws.endpoint_url,
                config=client_config(timeout=0.2),
            )
        )
        messages = [{"role": "user", "content": [{"text": "hi"}]}]
        with pytest.raises(ReadTimeoutError):
            client.converse(modelId="amazon.nova-lite-v1:0", messages=messages)
        client.close()

    # It goes on there, and is billed, although nobody waits: so it must be the only one.
    assert aws.journal.count() == 1


def test_a_lazy_client_is_made_on_first_use() -> None:
    """A lazy client costs nothing until it is asked, and is the shared one then."""
    lazy = LazyClient(ClientSettings(service="bedrock", region_name="us-east-1"))
    assert lazy._client is None

    assert lazy.meta.region_name == "us-east-1"
    with pytest.raises(AttributeError):
        _ = lazy.__deepcopy__


def test_another_service_takes_a_session_of_the_users_own() -> None:
    """A session wins over the default; without a region it is told so."""
    session = boto3.Session(region_name="eu-west-1")

    assert service_client("cloudwatch", session=session).meta.region_name == "eu-west-1"
    with pytest.raises(ConfigurationError, match="cloudwatch"):
        service_client("cloudwatch", session=boto3.Session())
