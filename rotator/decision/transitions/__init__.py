"""The changes that a ledger can go through, each as a pure function from one ledger to the next.

They are the only places that build ledgers. Which one applies is for ``rotator.decision.decide``;
check-and-set makes it take effect only if no other actor was faster.
"""
