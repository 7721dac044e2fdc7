"""The transitions of a ledger: pure functions from a ledger to the next one.

Only these build ledgers. ``rotator.decision.decide`` selects them; check-and-set drops the result
if another process was faster.
"""
