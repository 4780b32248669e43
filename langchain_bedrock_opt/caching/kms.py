"""Entries encrypted by keys that AWS KMS makes and guards: envelope encryption."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from threading import Lock
from typing import Any

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.caching.encryption import aes_gcm, seal, unseal
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

_LENGTH = Struct("<H")  # of the wrapped key, which stands in front of what it encrypts
_MOST_ENTRIES = 2**32  # what random nonces of 96 bits allow one key


@dataclass(slots=True)
class _DataKey:
    """A key that KMS made, for as long as it is used.

    Attributes:
        cipher: AES-GCM with the key.
        wrapped: The key as only KMS can read it.
        ends_at: When it is to be forgotten, on the cipher's clock.
        left: For how many more entries it may be used.
    """

    cipher: Any
    wrapped: bytes
    ends_at: float
    left: int = 0


class KmsCipher:
    """Encrypts entries with AES-256-GCM under data keys of AWS KMS. Needs the extra `encryption`.

    KMS makes a data key once for many entries, and each entry carries it in the form that only
    KMS can read. Who reads entries needs `kms:Decrypt` on the key, who writes them also
    `kms:GenerateDataKey`. Both calls name the encryption context `{"langchain-bedrock-opt":
    "response-cache", "namespace": …}`, on which a key policy can insist.

    Args:
        key_id: The id, ARN or alias (`alias/…`) of a symmetric KMS key. Entries that were made
            with another key of KMS's can't be read with this one.
        client: A boto3 client for KMS; by default one with this package's settings.
        region_name: The region of the default client; boto3's chain if None.
        endpoint_url: Another endpoint for the default client, such as an emulator's.
        namespace: Which cache this is: part of the encryption context.
        seconds: For how long a data key is used, and kept in memory once it was read.
        entries: For how many entries a data key is used, up to 2³².
        data_keys: How many data keys of other writers are kept in memory; those used last stay.
        clock: Seconds, of which only the differences count.
        random: Random bytes, as many as it is told.

    Raises:
        ConfigurationError: An argument is out of its range, or there is no region.
        MissingExtraError: The extra is not installed.
    """

    def __init__(
        self,
        key_id: str,
        *,
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        namespace: str = "default",
        seconds: float = 3600.0,
        entries: int = 2**20,
        data_keys: int = 256,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        _check(key_id, seconds=seconds, entries=entries, data_keys=data_keys)
        aes_gcm(bytes(32))  # says now whether the extra is there
        if client is None:
            client = service_client("kms", region_name=region_name, endpoint_url=endpoint_url)
        self._key_id = key_id
        self._client = client
        self._context = {"langchain-bedrock-opt": "response-cache", "namespace": namespace}
        self._seconds = seconds
        self._entries = entries
        self._data_keys = data_keys
        self._clock = clock
        self._random = random
        self._own: _DataKey | None = None
        self._own_lock = Lock()  # held while KMS makes a key, so that it makes but one
        self._known: OrderedDict[bytes, _DataKey] = OrderedDict()
        self._known_lock = Lock()

    def encrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """The data, encrypted and bound to something that `decrypt` must be told again.

        Raises:
            CacheStoreError: KMS gave no key.
        """
        with self._own_lock:
            key = self._own
            if key is None or key.left <= 0 or key.ends_at <= self._clock():
                key = self._own = self._new_key()
            key.left -= 1
        sealed = seal(key.cipher, data, bound_to, self._random)
        return b"".join((_LENGTH.pack(len(key.wrapped)), key.wrapped, sealed))

    def decrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """The data that were encrypted.

        Raises:
            CacheStoreError: They were changed or bound to something else, or KMS did not open
                their key.
        """
        if len(data) < _LENGTH.size:
            raise CacheStoreError("an encrypted cache entry is cut")
        end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        wrapped = data[_LENGTH.size : end]
        key = self._known_key(wrapped) or self._opened_key(wrapped)
        return unseal(key.cipher, data[end:], bound_to)

    def _new_key(self) -> _DataKey:
        made = self._ask(
            "generate_data_key",
            KeyId=self._key_id,
            KeySpec="AES_256",
            EncryptionContext=self._context,
        )
        key = self._remember(made["CiphertextBlob"], made["Plaintext"])
        key.left = self._entries
        return key

    def _opened_key(self, wrapped: bytes) -> _DataKey:
        # The key id keeps KMS from opening what somebody else's key has wrapped.
        opened = self._ask(
            "decrypt",
            KeyId=self._key_id,
            CiphertextBlob=wrapped,
            EncryptionContext=self._context,
        )
        return self._remember(wrapped, opened["Plaintext"])

    def _known_key(self, wrapped: bytes) -> _DataKey | None:
        with self._known_lock:
            key = self._known.get(wrapped)
            if key is None or key.ends_at <= self._clock():
                return None
            self._known.move_to_end(wrapped)
            return key

    def _remember(self, wrapped: bytes, plain: bytes) -> _DataKey:
        key = _DataKey(aes_gcm(plain), wrapped, self._clock() + self._seconds)
        with self._known_lock:
            self._known[wrapped] = key
            while len(self._known) > self._data_keys:
                self._known.popitem(last=False)
        return key

    def _ask(self, operation: str, **request: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(**request)
        except BOTOCORE_ERRORS as error:
            raise CacheStoreError(f"KMS did not {operation.replace('_', ' ')}: {error}") from error
        return answer


def _check(key_id: str, *, seconds: float, entries: int, data_keys: int) -> None:
    if not key_id:
        raise ConfigurationError("key_id='': name a KMS key by its id, ARN or alias/…")
    if seconds <= 0:
        raise ConfigurationError(f"seconds={seconds!r}: must be above 0")
    if not 1 <= entries <= _MOST_ENTRIES:
        raise ConfigurationError(f"entries={entries!r}: must be from 1 to 2**32")
    if data_keys < 1:
        raise ConfigurationError(f"data_keys={data_keys!r}: must be 1 or more")
