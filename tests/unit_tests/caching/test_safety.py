"""What somebody else has put into a store is never served, and never executed."""

from __future__ import annotations

import pickle
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.encryption import AesGcmCipher
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore

SECRET, OTHER_SECRET = b"0123456789abcdef", b"fedcba9876543210"
KEY = bytes(range(32))


class Danger:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "executed"))


class Case:
    """A cache on a folder with one answer in it, and a model that says something else now."""

    def __init__(self, folder: Path, bedrock: Any, make_model: Any, make_response: Any) -> None:
        self.folder = folder
        self.database = folder / "cache" / "cache.db"
        self._bedrock = bedrock
        self._make_model = make_model
        self._make_response = make_response
        self.cache("a").warm("The first answer.")

    def cache(self, tenant: str = "a", **arguments: Any) -> _Asked:
        arguments = {"secret": SECRET, "local_entries": 0, **arguments}
        store = DiskCacheStore(self.folder / "cache")
        cache = BedrockSemanticCache(store, tenant=tenant, **arguments)
        return _Asked(cache, self)

    def change(self, sql: str, *values: Any) -> None:
        """Change the folder's database behind the cache's back."""
        with sqlite3.connect(self.database) as connection:
            changed = connection.execute(sql, values).rowcount
            assert changed
        connection.close()


class _Asked:
    def __init__(self, cache: BedrockSemanticCache, case: Case) -> None:
        self.stats = cache.stats
        self._cache = cache
        self._case = case

    def warm(self, answer: str) -> None:
        self._ask(answer)

    def serves(self) -> bool:
        """Whether the first answer is served."""
        return self._ask("Another answer.") == "The first answer."

    def _ask(self, answer: str) -> str:
        case = self._case
        fake = case._bedrock(case._make_response({"text": answer}))
        text: str = case._make_model(fake, self._cache).invoke("Where?").text
        self._cache.close()
        return text


@pytest.fixture
def case(
    tmp_path: Path,
    bedrock: Any,
    make_model: Callable[..., Any],
    make_response: Callable[..., Any],
) -> Iterator[Case]:
    case = Case(tmp_path, bedrock, make_model, make_response)
    assert case.cache().serves(), "the case proves nothing if the answer is not there"
    yield case
    assert not (tmp_path / "executed").exists()


ENTRIES = "key LIKE 'v2:%'"


def test_a_planted_pickle(case: Case) -> None:
    """A row that says it is a pickle is neither served nor unpickled."""
    pickled = pickle.dumps(Danger(case.folder / "executed"))
    case.change(f"UPDATE Cache SET mode = 4, value = ? WHERE {ENTRIES}", pickled)

    asked = case.cache()
    assert not asked.serves()
    assert asked.stats().errors == 1


@pytest.mark.parametrize("mode", [2, 3, 4])
def test_a_path_that_leads_elsewhere(mode: int, case: Case) -> None:
    """A row that names a file outside of the folder reads nothing, and deletes nothing."""
    secret = case.folder / "secret.txt"
    secret.write_text("The first answer.")
    case.change(
        f"UPDATE Cache SET mode = ?, value = NULL, filename = '../secret.txt' WHERE {ENTRIES}", mode
    )

    assert not case.cache().serves()
    assert secret.exists()


@pytest.mark.parametrize("place", [1, 6, 12, 30, -1])
def test_a_flipped_bit(place: int, case: Case) -> None:
    """One changed bit anywhere makes an entry a miss."""
    with sqlite3.connect(case.database) as connection:
        ((data,),) = connection.execute(f"SELECT value FROM Cache WHERE {ENTRIES}").fetchall()
    connection.close()
    changed = bytearray(data)
    changed[place] ^= 1
    case.change(f"UPDATE Cache SET value = ? WHERE {ENTRIES}", bytes(changed))

    assert not case.cache().serves()


@pytest.mark.parametrize(
    "arguments",
    [{"secret": OTHER_SECRET}, {"secret": None}, {"encryption": AesGcmCipher(KEY)}],
    ids=["another secret", "no secret", "not encrypted"],
)
def test_another_key(arguments: dict[str, Any], case: Case) -> None:
    """An entry under another secret, or one that should be encrypted and is not, is a miss."""
    assert not case.cache(**arguments).serves()


def test_encrypted_entries_need_their_key(case: Case) -> None:
    """Encrypted answers can't be read in the file, nor be served under another key."""
    case.cache("b", encryption=AesGcmCipher(KEY)).warm("The first answer.")

    assert case.cache("b", encryption=AesGcmCipher(KEY)).serves()
    assert not case.cache("b", encryption=AesGcmCipher(KEY[::-1])).serves()
    case.change("DELETE FROM Cache WHERE key NOT LIKE 'v2:%'")


def test_another_tenant(case: Case) -> None:
    """A tenant is served nothing of another one, even if somebody copies the bytes there."""
    assert not case.cache("b").serves()

    with sqlite3.connect(case.database) as connection:
        entries = dict(connection.execute(f"SELECT rowid, value FROM Cache WHERE {ENTRIES}"))
    connection.close()
    first, second = sorted(entries)
    case.change("UPDATE Cache SET value = ? WHERE rowid = ?", entries[first], second)

    assert not case.cache("b").serves()


def test_an_expired_entry(case: Case) -> None:
    """An entry whose time is over is not served, though it is still in the file."""
    case.change(f"UPDATE Cache SET expire_time = ? WHERE {ENTRIES}", time.time() - 1)

    assert not case.cache().serves()


def test_a_lost_epoch(case: Case) -> None:
    """An entry for whose validity nobody can vouch any more is not served."""
    case.change("DELETE FROM Cache WHERE key LIKE 'epoch:%'")

    assert not case.cache().serves()
