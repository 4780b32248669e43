"""Embeddings of questions, made once for each text and kept beside the cache."""

from __future__ import annotations

import json
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from langchain_core.embeddings import Embeddings

from langchain_bedrock_opt.caching.similarity.packing import Packer
from langchain_bedrock_opt.caching.similarity.vectors import unit_vector
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VECTOR_TAG: Final = b"BXv1"

_NAMES: Final = ("model_id", "model", "model_name")
_SETTINGS: Final = ("model_kwargs", "encode_kwargs", "dimensions", "normalize")


def embedder_name(embeddings: Embeddings) -> str:
    """What tells one embedding model from another: class, model and settings.

    Vectors under two names never meet. Settings that are not on show are not in it, so an object
    that changes its vectors needs another name by hand (`embedder=`).

    Example:
        >>> from langchain_core.embeddings import FakeEmbeddings
        >>> embedder_name(FakeEmbeddings(size=8))
        'langchain_core.embeddings.fake.FakeEmbeddings'
    """
    kind = type(embeddings)
    parts = [f"{kind.__module__}.{kind.__qualname__}"]
    parts += [str(value) for name in _NAMES if (value := getattr(embeddings, name, None))]
    parts += [
        json.dumps([name, value], sort_keys=True, default=_kind_of)
        for name in _SETTINGS
        if (value := getattr(embeddings, name, None))
    ]
    return " ".join(parts)


class QuestionEmbedder:
    """Embeds texts, each once: in this process by an LRU, between processes by the store.

    Kept is a vector under a keyed hash of its text, never the text.

    Args:
        embeddings: The model.
        store: Where vectors are kept for other processes.
        packer: Seals them.
        name: What tells the model from others.
        size: How many vectors are held in memory.
        ttl: For how many seconds a vector is kept in the store.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        store: CacheStore,
        packer: Packer,
        *,
        name: str,
        size: int,
        ttl: float | None,
    ) -> None:
        self._embeddings = embeddings
        self._store = store
        self._packer = packer
        self._name = name
        self._size = size
        self._ttl = ttl
        self._lock = Lock()
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self.made = 0

    def vector(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a text.

        Raises:
            CacheStoreError: The model failed or gave no vector, or the store failed.
        """
        key = f"sim:v:{self._packer.digest(self._name, text)}"
        with self._lock:
            if key in self._vectors:
                self._vectors.move_to_end(key)
                return self._vectors[key]
        vector = self._stored(key)
        if vector is None:
            vector = self._embed(text)
            document = vector.astype("<f2").tobytes()
            self._store.put(key, self._packer.pack(key, VECTOR_TAG, document), self._ttl)
        with self._lock:
            self._vectors[key] = vector
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
        return vector

    def _stored(self, key: str) -> NDArray[np.float32] | None:
        import numpy as np

        data = self._store.get(key)
        if data is None:
            return None
        try:
            document = self._packer.unpack(key, VECTOR_TAG, data)
        except CacheStoreError:
            return None  # broken bytes are replaced by a new embedding
        return unit_vector(np.frombuffer(document, dtype="<f2").astype(np.float32))

    def _embed(self, text: str) -> NDArray[np.float32]:
        try:
            values: Any = self._embeddings.embed_query(text)
        except Exception as error:  # noqa: BLE001 - the user's class may raise anything
            # An embedding model's message may quote the text, so only its kind is told.
            raise CacheStoreError(f"the embeddings failed: {type(error).__name__}") from None
        with self._lock:
            self.made += 1
        return unit_vector(values)


def _kind_of(value: object) -> str:
    """Stands for what JSON can't hold; its `repr` may differ from process to process."""
    return type(value).__qualname__
