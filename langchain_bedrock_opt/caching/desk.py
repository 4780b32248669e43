"""What both doors of a cache share: its entries, flights, similar answers and scopes."""

from __future__ import annotations

from dataclasses import dataclass

from langchain_bedrock_opt.caching.background import Background
from langchain_bedrock_opt.caching.control import CallOptions
from langchain_bedrock_opt.caching.entries import ANY, Entries, Wanted
from langchain_bedrock_opt.caching.epochs import epoch_name
from langchain_bedrock_opt.caching.flight import SingleFlight
from langchain_bedrock_opt.caching.leases import Leases
from langchain_bedrock_opt.caching.migration import Migration
from langchain_bedrock_opt.caching.renewals import Renewals
from langchain_bedrock_opt.caching.similar import SimilarAnswers, SimilarByTenant
from langchain_bedrock_opt.contracts import UsageObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The parts of one cache.

    Attributes:
        entries: Its answers, on their store.
        flights: The calls under way in this process.
        leases: The calls under way in others; None if no other process has this store.
        background: What nobody waits for.
        similar: Answers to similar questions; None if that is off.
        renewals: Which stale answers may be fetched anew.
        migration: What is taken over from an older cache; None if there is none.
        namespace: Which cache this is, of several in one store.
        tenant: Whose answers these are, unless a call says otherwise.
        cache_sampled: Whether requests with a temperature above 0 are answered too.
        usage: Who counts what renewals spend; None if nobody does.
    """

    entries: Entries
    flights: SingleFlight
    leases: Leases | None
    background: Background
    similar: SimilarByTenant | None
    renewals: Renewals
    migration: Migration | None
    namespace: str
    tenant: str
    cache_sampled: bool
    usage: UsageObserver | None = None

    def tenant_of(self, options: CallOptions) -> str:
        """Whose answers are asked for."""
        return self.tenant if options.tenant is None else options.tenant

    def stamps(self, options: CallOptions) -> dict[str, str] | None:
        """The epochs that hold for a call as it begins; None if the store failed.

        An answer that comes after an invalidation was asked for before it, and is as old.
        """
        namespace, tenant = self.namespace, self.tenant_of(options)
        names = [epoch_name("namespace", namespace), epoch_name("tenant", namespace, tenant)]
        return self.entries.stamps([*names, *self._tags(options)])

    def wanted(self, options: CallOptions) -> Wanted:
        """What an answer must have to be served to a call."""
        if not options.tags and options.ttl is None:
            return ANY
        return Wanted(stamps=frozenset(self._tags(options)), max_age=options.ttl)

    def _tags(self, options: CallOptions) -> list[str]:
        return [epoch_name("tag", self.namespace, tag) for tag in options.tags]

    def similar_for(self, options: CallOptions) -> SimilarAnswers | None:
        """The similar answers of the tenant that a call is for; None if that is off."""
        return None if self.similar is None else self.similar.of(self.tenant_of(options))
