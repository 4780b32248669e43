"""Entries encrypted with data keys of AWS KMS, which moto stands in for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from moto import mock_aws

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.kms import KmsCipher
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

TAG = b"TST1"


class CountingKms:
    """A KMS client that counts its calls."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def generate_data_key(self, **request: Any) -> Any:
        self.calls["generate"] += 1
        return self._client.generate_data_key(**request)

    def decrypt(self, **request: Any) -> Any:
        self.calls["decrypt"] += 1
        return self._client.decrypt(**request)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingKms]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with mock_aws():
        yield CountingKms(service_client("kms", region_name="us-east-1"))


@pytest.fixture
def key_id(kms: CountingKms) -> str:
    return str(kms._client.create_key()["KeyMetadata"]["KeyId"])


def test_an_entry_comes_back(kms: CountingKms, key_id: str) -> None:
    """An entry that one process has encrypted is read by another one with the same KMS key."""
    entry = EntryCodec(encryption=KmsCipher(key_id, client=kms)).encode("key", TAG, "answer")

    assert b"answer" not in entry
    assert EntryCodec(encryption=KmsCipher(key_id)).decode("key", TAG, entry) == "answer"


def test_kms_is_asked_once_for_many_entries(kms: CountingKms, key_id: str) -> None:
    """Writing many entries makes one data key, and reading them opens it once."""
    writer, reader = KmsCipher(key_id, client=kms), KmsCipher(key_id, client=kms)
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda _: writer.encrypt(b"data", b""), range(50)))

    assert {reader.decrypt(one, b"") for one in sealed} == {b"data"}
    assert {writer.decrypt(one, b"") for one in sealed} == {b"data"}
    assert kms.calls == {"generate": 1, "decrypt": 1}


def test_a_data_key_is_for_so_many_entries(kms: CountingKms, key_id: str) -> None:
    """After the number of entries that it is good for, another data key is made."""
    cipher = KmsCipher(key_id, client=kms, entries=2)
    for _ in range(5):
        cipher.encrypt(b"data", b"")

    assert kms.calls["generate"] == 3


def test_a_data_key_is_for_so_long(kms: CountingKms, key_id: str, clock: Any) -> None:
    """After its time another data key is made, and one that was read is asked for again."""
    cipher = KmsCipher(key_id, client=kms, seconds=60, clock=clock)
    sealed = cipher.encrypt(b"data", b"")
    clock.now += 60
    cipher.encrypt(b"data", b"")

    assert cipher.decrypt(sealed, b"") == b"data"
    assert kms.calls == {"generate": 2, "decrypt": 1}


def test_few_data_keys_are_kept(kms: CountingKms, key_id: str) -> None:
    """No more data keys stay in memory than was said; the one used longest ago goes first."""
    sealed = [KmsCipher(key_id, client=kms).encrypt(b"data", b"") for _ in range(3)]
    reader = KmsCipher(key_id, client=kms, data_keys=2)
    for index in (0, 1, 0, 2, 0, 1):
        reader.decrypt(sealed[index], b"")

    assert kms.calls["decrypt"] == 4


def test_a_namespace_reads_its_own(kms: CountingKms, key_id: str) -> None:
    """KMS opens no key for another namespace than the one it was made for."""
    sealed = KmsCipher(key_id, client=kms, namespace="one").encrypt(b"data", b"")

    with pytest.raises(CacheStoreError, match="KMS did not decrypt"):
        KmsCipher(key_id, client=kms, namespace="another").decrypt(sealed, b"")


def test_an_error_of_kms_is_an_error_of_the_store(kms: CountingKms) -> None:
    """A key that KMS does not know makes no entry, and the error says what KMS said."""
    with pytest.raises(CacheStoreError, match="NotFoundException"):
        KmsCipher("no-such-key", client=kms).encrypt(b"data", b"")


def test_broken_data_are_refused(kms: CountingKms, key_id: str) -> None:
    """Data that are cut or changed anywhere are refused."""
    cipher = KmsCipher(key_id, client=kms)
    sealed = cipher.encrypt(b"data", b"")

    for broken in (b"", b"\x01", sealed[:10], sealed[:-1], sealed[:-1] + b"\x00\x00"):
        with pytest.raises(CacheStoreError):
            cipher.decrypt(broken, b"")
    with pytest.raises(CacheStoreError):
        cipher.decrypt(sealed, b"bound to another key")


@pytest.mark.parametrize(
    ("key_id", "arguments"),
    [("", {}), ("k", {"seconds": 0}), ("k", {"entries": 0}), ("k", {"entries": 2**33})],
)
def test_mistakes_are_found_at_once(key_id: str, arguments: dict[str, Any]) -> None:
    """Arguments out of their range are refused when the cipher is made."""
    with pytest.raises(ConfigurationError):
        KmsCipher(key_id, client=object(), **arguments)


def test_a_missing_region_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region the cipher can't be made, and the error says how to name one."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    with pytest.raises(ConfigurationError, match="region"):
        KmsCipher("k")
