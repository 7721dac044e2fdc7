"""What Prometheus is told, and how it asks.

::

    catalogue   every metric: name, kind, labels, meaning; docs/metrics.md is made from it
    snapshot    what the daemon knew at one moment, as plain values
    families    from a snapshot to samples: pure, so that nothing here can rot
    tally       a journal that counts what passes through it
    exposition  the one place that knows prometheus_client
    listener    a small HTTP server that can neither hang nor kill the daemon

Nothing of prometheus_client is imported before somebody listens: it costs a tenth of a second.
"""
