"""Taking over the answers of an older cache: each once, and none after an invalidation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_bedrock_opt.caching.control import CallOptions
from langchain_bedrock_opt.caching.entries import Entries
from langchain_bedrock_opt.caching.epochs import epoch_name
from langchain_bedrock_opt.caching.guide_table import GuideTable


class Migration:
    """The way from an older table into a cache.

    An answer is taken over once: what is deleted as wrong, made invalid or expires later does not
    come back. The older table knows neither tenants nor tags, so calls with either get nothing
    from it, and nothing is taken over any more once the namespace has been made invalid. After
    `clear()` the store remembers none of this.

    Args:
        table: The older table.
        entries: The cache's own answers, beside which it is marked what was taken over.
        namespace: The cache's namespace.
        tenant: Whose answers the cache's are.
    """

    def __init__(self, table: GuideTable, entries: Entries, namespace: str, tenant: str) -> None:
        self._table = table
        self._store = entries.store
        self._epochs = entries.epochs
        self._namespace = epoch_name("namespace", namespace)
        self._tenant = tenant

    @classmethod
    def of(
        cls, table: GuideTable | None, entries: Entries, namespace: str, tenant: str
    ) -> Migration | None:
        """The way from a table, if there is one."""
        return None if table is None else cls(table, entries, namespace, tenant)

    def take(
        self, key: str, request: Mapping[str, Any], options: CallOptions
    ) -> tuple[str, float | None] | None:
        """The text that the older table has for a request, and for how many seconds; or None.

        Raises:
            CacheStoreError: The table or the store failed.
        """
        tenant = self._tenant if options.tenant is None else options.tenant
        if tenant or options.tags or not self._is_open():
            return None
        found = self._table.entry(request)
        if found is None or not self._store.swap(f"migrated:{key}", None, b"1", None):
            return None
        return found

    def _is_open(self) -> bool:
        """Whether the namespace is the one that it was when the migration began."""
        ((_, epoch),) = self._epochs.stamps([self._namespace]).items()
        name = f"epoch:migration:{self._namespace}"
        began = self._store.get(name)
        if began is None:
            self._store.swap(name, None, epoch.encode(), None)
            began = self._store.get(name)
        return began == epoch.encode()
