"""Where entries are kept.

Lives here: the protocol of a store (`base`) and the stores themselves: in memory (`memory`), in a
folder (`disk`, with its bytes-only format and its leases in `bytes_disk`), in Redis (`redis`, with
what it runs on the server in `redis_scripts`). A store knows keys and bytes, nothing of models or
messages. Does not live here: what is in the bytes (`caching.codec`), and what to do when a store
fails (`caching.entries`). Start at `base.CacheStore`. Tests: `tests/conformance` holds for every
store, `tests/unit_tests/caching` for each.
"""
