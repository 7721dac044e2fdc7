"""Metrics for Prometheus, and the server that it scrapes.

::

    catalogue   every metric: name, kind, labels, meaning; docs/metrics.md is made from it
    snapshot    what the daemon knew at one moment, as plain values
    families    from a snapshot to samples: pure, so that nothing here can rot
    tally       a journal that counts what passes through it
    exposition  the one place that knows prometheus_client
    listener    a small HTTP server that can neither hang nor kill the daemon

prometheus_client is imported only when metrics are configured: it costs a tenth of a second.
"""
