"""Many applications at once: which of them, in which order, how many at a time; and the proof that
no old key was missed.

Every application is rotated by the same hands that rotate a single one. What is added is choosing
(``selection``), fitting into the organisation's quota of keys and rate of calls (``waves``,
``gate``), remembering across a kill (``records``), telling it beforehand (``foretelling``) and the
order of it all (``rotation``).
"""
