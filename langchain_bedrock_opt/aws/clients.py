"""boto3 clients for this package: settings that suit Bedrock, each client made once and shared.

Making a boto3 client costs some 80 ms, and its connections are what makes it fast; ten chat
models in one process should not have ten of them. Clients with equal settings and equal
credentials are one client here, for as long as somebody holds it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    NoRegionError,
    ProfileNotFound,
    ReadTimeoutError,
)

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.aws.attempts import watch_attempts
from langchain_bedrock_opt.aws.executor import IdleThreadPool
from langchain_bedrock_opt.errors import ConfigurationError

DEFAULT_CONCURRENCY: Final = 256
"""Calls at once, and connections kept, unless the user says otherwise."""

_CONNECT_TIMEOUT: Final = 5.0
# Seconds that a non-streaming answer may take: nothing comes until all of it is there. Rounded up
# to one of these, so that models with different max_tokens still share a client.
_READ_TIMEOUTS: Final = (60.0, 120.0, 300.0, 900.0, 3600.0)
# AWS asks for 3,600 s on long Claude answers; a slow large model writes some 20 tokens a second.
_SLOWEST_TOKENS_PER_SECOND: Final = 20.0
# What a session reads from the environment, by prefix: a change there makes another client.
_ENVIRONMENT: Final = ("AWS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def read_timeout(max_tokens: int | None) -> float:
    """Seconds to wait for an answer of at most `max_tokens`.

    Args:
        max_tokens: The request's limit, or None if it has none: then the longest.

    Example:
        >>> read_timeout(1000)
        120.0
        >>> read_timeout(None)
        3600.0
    """
    if max_tokens is None:
        return _READ_TIMEOUTS[-1]
    needed = 30.0 + max_tokens / _SLOWEST_TOKENS_PER_SECOND
    return next((step for step in _READ_TIMEOUTS if step >= needed), _READ_TIMEOUTS[-1])


def client_config(
    *,
    max_concurrency: int = DEFAULT_CONCURRENCY,
    max_tokens: int | None = None,
    timeout: float | None = None,
    max_retries: int | None = None,
    base: Config | None = None,
) -> Config:
    """A botocore config for Bedrock.

    Args:
        max_concurrency: Calls at once; the connection pool gets as many places.
        max_tokens: The longest answer, from which the read timeout follows.
        timeout: Seconds for connecting and reading; instead of the two defaults.
        max_retries: Retries after a failed attempt; botocore's default if None.
        base: The user's own config. What it sets wins.

    Returns:
        A config with `tcp_keepalive`, a fitting pool and timeouts, and this package in the user
        agent, behind what `base` put there.

    Example:
        >>> client_config(max_tokens=1000).read_timeout
        120.0
        >>> client_config(base=Config(read_timeout=7)).read_timeout
        7
    """
    options: dict[str, Any] = {
        "max_pool_connections": max_concurrency,
        "tcp_keepalive": True,
        "connect_timeout": _CONNECT_TIMEOUT if timeout is None else timeout,
        "read_timeout": read_timeout(max_tokens) if timeout is None else timeout,
    }
    if max_retries is not None:
        options["retries"] = {"max_attempts": max_retries}
    ours = f"langchain-bedrock-opt/{__version__}"
    theirs = getattr(base, "user_agent_extra", None)
    agent = Config(user_agent_extra=f"{theirs} {ours}" if theirs else ours)
    config = Config(**options)
    return (config.merge(base) if base is not None else config).merge(agent)


def without_retries(config: Config | None) -> Config:
    """A botocore config under which each call is tried once, and its error told at once.

    Args:
        config: The user's own, whose other settings stay; None if there is none.

    Example:
        >>> without_retries(Config(read_timeout=7, retries={"mode": "adaptive"})).retries
        {'total_max_attempts': 1, 'mode': 'standard'}
    """
    # With no mode the environment's would hold, and the adaptive one waits before the only attempt.
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return once if config is None else config.merge(once)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Everything that makes one client different from another.

    None leaves a value to boto3's usual chain (environment, profile, instance role).

    Attributes:
        service: `bedrock-runtime`, `bedrock`, `cloudwatch`, …
        region_name: The region.
        endpoint_url: Another endpoint, such as an emulator's.
        profile_name: A profile of the AWS config files.
        access_key_id: With `secret_access_key`, explicit credentials.
        secret_access_key: See there.
        session_token: For temporary credentials.
        config: The botocore config.
    """

    service: str
    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    config: Config | None = None

    def _session_key(self) -> tuple[str | None, ...]:
        secrets = f"{self.secret_access_key}\0{self.session_token}\0{_environment()}"
        digest = hashlib.blake2b(secrets.encode("utf-8", "surrogateescape")).hexdigest()
        return (self.profile_name, self.access_key_id, digest)

    def _key(self) -> tuple[Any, ...]:
        # Configs have no equality of their own; what they hold has.
        config = repr(sorted(vars(self.config).items())) if self.config else None
        place = (os.getpid(), self.service, self.region_name, self.endpoint_url, config)
        return place + self._session_key()


# A fork must not share its parent's sockets: the key above holds the process id, and whoever holds
# a client asks for it anew in a child (`LayeredClient`'s `renew`).
_clients: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
# Sessions hold no sockets but the parsed service models: a second client of one takes 3 ms.
_sessions: OrderedDict[tuple[Any, ...], boto3.session.Session] = OrderedDict()
_MAX_SESSIONS: Final = 16
_holders: WeakKeyDictionary[Any, WeakSet[IdleThreadPool]] = WeakKeyDictionary()
_lock = threading.RLock()


def shared_client(settings: ClientSettings) -> Any:
    """The client with these settings: the one that is in use, or a new one.

    Args:
        settings: What makes the client different from others.

    Returns:
        A boto3 client. Its connections close when it is garbage-collected, some time after its
        last holder has let go of it, or by `close_if_idle`.

    Raises:
        ConfigurationError: There is no region, or no such profile.
    """
    key = settings._key()  # noqa: SLF001 - one idea, two definitions
    _watch_forks()
    with _lock:
        client = _clients.get(key)
        if client is None:
            client = new_client(settings)
            _clients[key] = client
        return client


def hold(client: Any, pool: IdleThreadPool) -> None:
    """Say that a pool's threads use a shared client.

    Args:
        client: A client from `shared_client`.
        pool: Threads that make calls with it.
    """
    with _lock:
        _holders.setdefault(client, WeakSet()).add(pool)


def close_if_idle(client: Any) -> None:
    """Close a shared client's idle connections, unless threads of somebody's still use it.

    The client stays usable: its next call connects anew. A call that another thread is making at
    this very moment goes on, on the connection it has.

    Args:
        client: A client from `shared_client`.
    """
    with _lock:
        pools = tuple(_holders.get(client, ()))
    if all(pool.is_idle for pool in pools):
        client.close()


def new_client(settings: ClientSettings) -> Any:
    """A client of the caller's own, for one that is going to be changed (event handlers).

    Raises:
        ConfigurationError: There is no region, or no such profile.
    """
    region = settings.region_name or os.getenv("AWS_REGION") or os.getenv("AWS_DEFAULT_REGION")
    try:
        with _lock:  # sessions are not thread-safe
            make_client: Any = _shared_session(settings).client  # stubs know services by literals
            client = make_client(
                settings.service,
                region_name=region,
                endpoint_url=settings.endpoint_url,
                config=settings.config or client_config(),
            )
    except (BotoCoreError, ValueError) as error:
        raise _configuration_error(error, settings, region) from error
    client.meta.events.register_first("needs-retry.bedrock-runtime", _keep_paid_timeouts)
    watch_attempts(client)
    return client


def _configuration_error(
    error: BotoCoreError | ValueError, settings: ClientSettings, region: str | None
) -> ConfigurationError:
    """Why a client could not be made, with the setting and the fix."""
    if isinstance(error, NoRegionError):
        return ConfigurationError(
            'No AWS region: set AWS_REGION, or pass region_name="us-east-1" (or yours; --region on '
            "the command line)."
        )
    if isinstance(error, ProfileNotFound):
        name = settings.profile_name or os.getenv("AWS_PROFILE") or os.getenv("AWS_DEFAULT_PROFILE")
        return ConfigurationError(
            f"No AWS profile named {name!r}: create it with `aws configure --profile {name}`, or "
            "name another one (credentials_profile_name=, AWS_PROFILE)."
        )
    return ConfigurationError(
        f"No client for {settings.service} can be made with region_name={region!r} and "
        f"endpoint_url={settings.endpoint_url!r}: {error}."
    )


def _keep_paid_timeouts(caught_exception: Exception | None = None, **_: Any) -> None:
    """Have botocore not repeat a request whose answer was waited for too long.

    Bedrock goes on with it and bills it, so each attempt would be paid for.
    """
    if isinstance(caught_exception, ReadTimeoutError):
        raise caught_exception


def service_client(
    service: str,
    *,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    session: boto3.session.Session | None = None,
    config: Config | None = None,
) -> Any:
    """A client of any AWS service, with this package's settings.

    Args:
        service: Such as `cloudwatch` or `dynamodb`.
        region_name: The region; boto3's chain if None.
        endpoint_url: Another endpoint, such as an emulator's.
        session: A session of the user's own; then the client is not shared.
        config: A botocore config; this package's for a handful of calls at once if None.

    Raises:
        ConfigurationError: There is no region.
    """
    config = config or client_config(max_concurrency=10, timeout=10.0)
    if session is None:
        return shared_client(
            ClientSettings(
                service=service, region_name=region_name, endpoint_url=endpoint_url, config=config
            )
        )
    make_client: Any = session.client
    try:
        return make_client(
            service, region_name=region_name, endpoint_url=endpoint_url, config=config
        )
    except NoRegionError as error:
        raise ConfigurationError(
            f"The session has no region for {service}: pass region_name."
        ) from error


def require_credentials(region_name: str | None = None) -> str:
    """Make sure that there is something to call AWS with, before a run begins.

    Args:
        region_name: The region; boto3's chain if None.

    Returns:
        The URL that calls will go to.

    Raises:
        ConfigurationError: There are no credentials, or there is no region.
    """
    client = shared_client(ClientSettings(service="bedrock-runtime", region_name=region_name))
    endpoint_url: str = client.meta.endpoint_url
    if found_credentials() is None:
        raise ConfigurationError(
            "No AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE, or "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (region {client.meta.region_name})."
        )
    return endpoint_url


def found_credentials() -> str | None:
    """Where the credentials come from that Bedrock is called with; None if there are none.

    Returns:
        botocore's name of the place, such as `env`, `sso` or `iam-role`; for an API key of
        Bedrock's `AWS_BEARER_TOKEN_BEDROCK`. Whether they are valid is not asked.
    """
    if os.getenv("AWS_BEARER_TOKEN_BEDROCK"):
        return "AWS_BEARER_TOKEN_BEDROCK"
    with _lock:
        session = _shared_session(ClientSettings(service="bedrock-runtime"))
        found = session.get_credentials()
    return None if found is None else str(found.method)


def known_regions(service: str = "bedrock", partition: str = "aws") -> frozenset[str]:
    """The regions that boto3's own data know a service in; newer ones are not among them.

    Args:
        service: The service.
        partition: Such as `aws` or `aws-us-gov`.
    """
    with _lock:
        session = _shared_session(ClientSettings(service=service))
        regions = session.get_available_regions(service, partition)
    return frozenset(regions)


class LazyClient:
    """A shared client that is made when it is first asked for something.

    The control plane is needed only for ARNs that hide their model.

    Args:
        settings: The client's settings.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        """Anything the client has."""
        if name.startswith("__"):  # copy, pickle and inspect ask for these
            raise AttributeError(name)
        if self._client is None:
            self._client = shared_client(self._settings)
        return getattr(self._client, name)


def _shared_session(settings: ClientSettings) -> boto3.session.Session:
    key = (os.getpid(), *settings._session_key())  # noqa: SLF001 - one idea, two definitions
    session = _sessions.get(key)
    if session is None:
        session = _sessions[key] = boto3.session.Session(
            profile_name=settings.profile_name,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
        )
    _sessions.move_to_end(key)
    while len(_sessions) > _MAX_SESSIONS:
        _sessions.popitem(last=False)
    return session


_watches_forks = False


def _watch_forks() -> None:
    """Start a forked process with nothing of its parent's: its locks may be held, for one."""
    global _watches_forks  # noqa: PLW0603 - done once, when there is first something to forget
    if not _watches_forks and hasattr(os, "register_at_fork"):
        _watches_forks = True
        os.register_at_fork(after_in_child=_forget_parent)


def _forget_parent() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent's may hold it, and is not here
    _lock = threading.RLock()
    _clients.clear()
    _sessions.clear()
    _holders.clear()


def _environment() -> str:
    relevant = {
        name: value for name, value in os.environ.items() if name.upper().startswith(_ENVIRONMENT)
    }
    return repr(sorted(relevant.items()))
