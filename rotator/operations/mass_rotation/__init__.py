"""Rotates many applications: which, in which order, how many at a time, and the coverage report at
the end.

Each application is rotated by the same command as a single one. This package adds the selection
(``selection``), the limits of the key quota and of the rate of calls (``free_quota``,
``admission``, ``quota_wait``, ``estimate``), the preview (``preview``) and the order of it all
(``coordinator``).
"""
