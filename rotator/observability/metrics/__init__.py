"""Metrics for Prometheus, and the server that it scrapes.

::

    catalogue        every metric: name, kind, labels, meaning; source of docs/metrics.md
    snapshot         the state of the daemon at one moment, as plain values
    collector        from a snapshot to samples; pure
    counters         an event sink that counts
    call_durations   a histogram of calls to services
    exposition       the only module that uses prometheus_client
    server           a small HTTP server that can neither block nor stop the daemon

prometheus_client is imported only if metrics are configured: it takes a tenth of a second.
"""
