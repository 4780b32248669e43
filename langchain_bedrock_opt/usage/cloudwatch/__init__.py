"""Usage as CloudWatch metrics: `sink` aggregates and sends, `metrics` says which, `limits` checks.

Start at `sink.CloudWatchMetricsSink`.
"""
