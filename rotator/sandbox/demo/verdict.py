"""The verdict: what the demo showed, as facts that can be checked without rotator, and the summary
that tells them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from rotator.sandbox.demo.consumer import Consumer
from rotator.sandbox.demo.environment import World
from rotator.sandbox.demo.recording import Chronicle
from rotator.sandbox.demo.scenario import Drill, Kill, Story


@dataclass(frozen=True)
class Rest:
    """What is left at the end: the live keys at the provider, grouped by why they live."""

    published: tuple[str, ...]
    in_grace: tuple[str, ...]
    strangers: tuple[str, ...]
    left_over: tuple[str, ...]
    dead_but_published: tuple[str, ...]
    stranger_untouched: bool


@dataclass(frozen=True)
class Verdict:
    """Everything that the summary says. ``problems`` is empty when the demo showed what it
    promises."""

    seconds: float
    keys_made: int
    keys_revoked: int
    consumers: tuple[dict[str, Any], ...]
    kill: Kill | None
    leftover_dead_after: float | None
    drill: Drill | None
    rest: Rest
    log_lines: int
    secrets_in_logs: int
    problems: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing was refused, nothing is left over, and the whole scenario ran."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {"ok": self.good, **asdict(self)}


def judge(world: World, chronicle: Chronicle, story: Story, trouble: str = "") -> Verdict:
    """Look at everything once more, and say what is wrong. ``trouble`` is what cut the scenario
    short, if anything did."""
    rest = look_at_rest(world)
    log = world.log.read_text() if world.log.exists() else ""
    found = [secret for secret in world.all_secrets() if secret in log or secret in story.command_output]
    made = [life for life in chronicle.lives.values() if not life.stranger]
    orphans = [chronicle.lives[access_key] for access_key in story.kill.orphans] if story.kill else []
    deaths = [life.proven_dead for life in orphans if life.proven_dead is not None]
    return Verdict(
        seconds=chronicle.now(),
        keys_made=len(made),
        keys_revoked=sum(life.died is not None for life in made),
        consumers=tuple(report(consumer) for consumer in world.consumers),
        kill=story.kill,
        leftover_dead_after=max(deaths) - story.kill.at if story.kill and len(deaths) == len(orphans) else None,
        drill=story.drill,
        rest=rest,
        log_lines=len(log.splitlines()),
        secrets_in_logs=len(found),
        problems=tuple(
            problem
            for problem in (
                trouble,
                *(wrong_with(consumer) for consumer in world.consumers),
                rest.left_over
                and f"left over: {', '.join(rest.left_over)} is valid and no document or ledger knows it",
                rest.dead_but_published and f"revoked but published: {', '.join(rest.dead_but_published)}",
                not rest.stranger_untouched and "the key that a person made by hand was touched",
                found and f"{len(found)} secrets are in the daemon's log or in the output of the command",
                story.kill and not trouble and not story.stopped_well and "the daemon did not end when it was asked to",
            )
            if problem
        ),
        log_tail=() if found or not trouble else complaints(log),
    )


def look_at_rest(world: World) -> Rest:
    """Hold every live key of the applications against the documents and the ledgers."""
    documents = {name: world.document(name) for name in world.bearers}
    published = {str(document["data"]["access_key"]) for document in documents.values() if document}
    in_grace = {
        str(entry["access_key"])
        for name in world.bearers
        for entry in (world.ledger(name) or {}).get("retiring", ())
        if entry["revoke_after"]
    }
    live = {key.access_key: key for bearer in world.bearers.values() for key in world.scaleway.keys(bearer)}
    stranger = live.get(world.stranger)
    return Rest(
        published=tuple(sorted(published & set(live))),
        in_grace=tuple(sorted(in_grace & set(live) - published)),
        strangers=tuple(sorted({world.stranger} & set(live))),
        left_over=tuple(sorted(set(live) - published - in_grace - {world.stranger})),
        dead_but_published=tuple(sorted(key for key in published if not world.scaleway.accepts(key, everywhere=True))),
        stranger_untouched=stranger is not None and stranger.updated_at == stranger.created_at,
    )


def report(consumer: Consumer) -> dict[str, Any]:
    """What one application went through."""
    return {
        "application": consumer.application,
        "calls": consumer.calls,
        "refused": consumer.refused.total(),
        "refused_with_a_compromised_key": consumer.turned_away.total() - consumer.refused.total(),
        "unanswered": consumer.unanswered,
        "keys_used": len(consumer.served),
    }


def wrong_with(consumer: Consumer) -> str:
    """Why an application has reason to complain; empty when it has none."""
    refused = consumer.refused
    if refused:
        keys = ", ".join(sorted(refused))
        return f"{refused.total()} calls of {consumer.application} were refused, with {keys}"
    if not consumer.served:
        return f"{consumer.application} never worked"
    return ""


def summary(verdict: Verdict) -> list[tuple[str, str]]:
    """The verdict as sentences, each with a word to find it by."""
    refused = sum(entry["refused"] for entry in verdict.consumers)
    calls = sum(entry["calls"] for entry in verdict.consumers)
    said = [
        ("rotation", _rotation_sentence(verdict)),
        ("applications", f"{calls} calls with the key that Vault held: {refused} refused."),
    ]
    if verdict.kill:
        said.append(("kill -9", _kill_sentence(verdict.kill, verdict.leftover_dead_after)))
    if verdict.drill:
        said.append(("compromise", _drill_sentence(verdict.drill)))
    said.append(("at rest", _rest_sentence(verdict.rest)))
    said.append(("logs", f"{verdict.log_lines} lines of the daemon, {verdict.secrets_in_logs or 'no'} secret in them."))
    return said


def _rotation_sentence(verdict: Verdict) -> str:
    made, revoked, bearers = verdict.keys_made, verdict.keys_revoked, len(verdict.consumers)
    return (
        f"{made} keys were made for {bearers} applications, each proven before it was published; {revoked} were "
        "revoked again."
    )


def _kill_sentence(kill: Kill, dead_after: float | None) -> str:
    keys = " and ".join(f"{_short(access_key)} for {application}" for access_key, application in kill.orphans.items())
    end = f"found and revoked what was left over, {dead_after:.1f} s after the kill" if dead_after else "left it over"
    were = "was" if len(kill.orphans) == 1 else "were"
    return f"The daemon was killed when {keys} {were} made and not yet published. The next one {end}."


def _rest_sentence(rest: Rest) -> str:
    touched = "untouched" if rest.stranger_untouched else "NOT untouched"
    return (
        f"{len(rest.published)} keys published and valid, {len(rest.in_grace)} in grace, {len(rest.left_over)} left "
        f"over, and one that a person had made by hand, {touched}."
    )


def _drill_sentence(drill: Drill) -> str:
    mark = f" ({drill.mark_to_proof:.1f} s after the mark in the ledger)" if drill.mark_to_proof else ""
    sentence = (
        f"`rotator rotate {drill.application} --compromised`: the leaked key was refused {drill.dead_after:.1f} s "
        f"after the command began, and verified as revoked after {drill.command_took:.1f} s{mark}."
    )
    if drill.application_without_key:
        sentence += (
            f" {drill.application} noticed, and went on with the next key after {drill.application_without_key:.1f} s."
        )
    return sentence


def _short(access_key: str) -> str:
    return f"SCW…{access_key[-5:]}"


def complaints(log: str, most: int = 5) -> tuple[str, ...]:
    """The last lines of a daemon's log that are more than information, to find out why the scenario
    is stuck."""
    found = []
    for text in log.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            found.append(text)
            continue
        if line.get("level") not in ("debug", "info"):
            found.append(text)
    return tuple(found[-most:])
