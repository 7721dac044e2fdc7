"""Runs reconciliation passes: observes, asks `decision` for the next step, and executes it against
the ports."""
