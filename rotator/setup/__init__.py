"""Setup: a configuration from answers, policies in every format, and commands for an operator to
run.

Nothing here writes to Vault or to a provider. `rotator init` reads the applications of an account
and writes one new file. The facts for `rotator doctor` are collected here too.
"""
