"""A fuzz of everything that comes from outside, from a seed: ``python -m tests.fuzz --cases 1000000 --seed 1``."""
