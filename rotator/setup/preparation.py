"""Turns answers into the applications of a configuration; calls the provider of each account
once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rotator import providers
from rotator.config.problems import Problems, dotted
from rotator.domain.ports import Clock, Provider
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError
from rotator.setup.answers import Answers
from rotator.setup.discovery import ApplicationCandidate, Chosen, choose, discover, select, without_management_key

Secrets = Mapping[str, Callable[[], Secret]]
"""Functions that read the management key of an account, if it was not given by a reference."""


def prepare(answers: Answers, clock: Clock, *, source: str, secrets: Secrets | None = None) -> tuple[Chosen, ...]:
    """The selected applications, each with its name and path.

    Raises ``ConfigurationError`` with every wrong answer, and ``ServiceError`` if a provider call
    fails.
    """
    problems = Problems(source)
    chosen: list[Chosen] = []
    for account in answers.accounts:
        wanted = answers.account(account, "applications")
        template = answers.account(account, "path")
        if isinstance(wanted, dict):
            chosen += [Chosen(name, account, one, template.replace("{name}", name)) for name, one in wanted.items()]
            continue
        try:
            candidates = candidates_of(answers, account, clock, secrets or {})
        except ConfigurationError as error:
            for problem in error.problems:
                problems.add(dotted("accounts", account, "discover_with"), f"{problem.file} {problem.message}".strip())
            continue
        found, faults = select(candidates, wanted)
        for fault in faults:
            problems.add(dotted("accounts", account, "applications"), fault)
        chosen += choose(found, account, template, clock.now(), [one.name for one in chosen])
    problems.stop()
    return tuple(chosen)


def candidates_of(answers: Answers, account: str, clock: Clock, secrets: Secrets) -> tuple[ApplicationCandidate, ...]:
    """The applications of the account, except the one with the management key. Raises
    ``ServiceError``, and ``ConfigurationError`` if the management key cannot be read."""
    read = secrets.get(account) or _by_reference(answers, account)
    read()  # an unreadable reference is a wrong answer and not a fault of the provider
    provider = open_provider(answers, account, read, clock)
    try:
        return without_management_key(discover(provider), answers.account(account, "access_key"))
    finally:
        if callable(close := getattr(provider, "close", None)):
            close()


def open_provider(answers: Answers, account: str, secret: Callable[[], Secret], clock: Clock) -> Provider:
    """The provider of an account, with the answered options."""

    def answered(option: str) -> object:
        return answers.account(account, option)

    settings = providers.AccountSettings(
        name=account,
        provider=str(answered("provider")),
        organization_id=str(answered("organization_id")),
        secret_key=secret,
        api_url=str(answered("api_url")),
        timeout=answers.account(account, "timeout"),
        rate_limit=answers.account(account, "rate_limit"),
        proxy=answers.account(account, "proxy"),
        ca_cert=answers.account(account, "ca_cert"),
    )
    return providers.load(settings.provider)(settings, clock=clock)


def _by_reference(answers: Answers, account: str) -> Callable[[], Secret]:
    reference = answers.account(account, "discover_with") or answers.account(account, "secret_key")
    found: Callable[[], Secret] = reference.resolve
    return found
