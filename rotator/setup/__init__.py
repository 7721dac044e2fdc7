"""The first hour: a configuration from answers, policies in every format, and the commands that an
operator pastes.

Nothing here acts on Vault or on a provider. `rotator init` reads the applications of an account and
writes one new file; the facts for `rotator doctor` are collected here too.
"""
