"""What stands in front of the operations: rate limit, fault rules, the secret, the right; and the
order of these.

One request is ``admit``-ted first, which may end it with an answer or hand back the fault that
picked it, and then executed, or postponed. The caller (see ``app``) adds what is about time and
wire: latency, lost and cut answers.
"""

from __future__ import annotations

import math
import random

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.entities import Actor
from rotator.sandbox.scaleway.faults import Fault, Faults
from rotator.sandbox.scaleway.iam import OPERATIONS, RouteOperation
from rotator.sandbox.scaleway.request import API_KEYS, ApiRequest, Caller
from rotator.sandbox.scaleway.responses import Answer, StandInError
from rotator.sandbox.scaleway.state import StandInState


class Gateway:
    """All gateways of the service in one. Which of them takes a request is chance, repeatable by
    ``seed``."""

    def __init__(self, state: StandInState, faults: Faults, *, seed: int | None = None) -> None:
        self.state = state
        self.faults = faults
        self._chance = random.Random(seed)  # noqa: S311 - chance that can be repeated is what it is for

    def admit(self, request: ApiRequest) -> Answer | Fault | None:
        """Count the request and see whether it gets through: an answer ends it, a fault is to be
        acted out."""
        state = self.state
        with state.settled():
            if state.settings.instances > 1:
                request.gateway = self._chance.randrange(state.settings.instances)
            key = state.by_secret.get(request.token)
            bearer = key.bearer.id if key else ""
            state.calls[request.method, request.route or "unknown", bearer] += 1
            if not state.allow():
                state.record("limited", key, method=request.method, route=request.route)
                return answers.RATE_LIMITED
            fault = self.faults.pick(request.method, request.path, key.access_key if key else "")
            if fault:
                state.record("faulted", key, method=request.method, route=request.route, detail=str(fault))
            return fault

    def execute(self, request: ApiRequest) -> Answer:
        """Check secret and right, and carry the request out."""
        with self.state.settled():
            try:
                caller, operation = self._authorise(request)
                return operation.run(self.state, caller, request)
            except StandInError as error:
                return error.answer

    def postpone(self, request: ApiRequest, after: float | None) -> Answer | None:
        """Check secret and right now, and carry the request out later; an answer only when it is
        refused now."""
        with self.state.settled():
            try:
                caller, operation = self._authorise(request)
            except StandInError as error:
                return error.answer
            self.state.postpone(lambda: self._land(request, caller, operation), math.inf if after is None else after)
            return None

    def latency(self, request: ApiRequest) -> float:
        """How long this request takes, in seconds."""
        settings = self.state.settings
        match request.method:
            case "GET" if request.route == API_KEYS:
                return (
                    settings.latency_list_by_bearer if "bearer_id=" in request.query_string else settings.latency_list
                )
            case "GET":
                return settings.latency_get
            case "POST":
                return settings.latency_post
            case "PATCH":
                return settings.latency_patch
            case "DELETE":
                return settings.latency_delete
            case _:
                return 0.0

    def _authorise(self, request: ApiRequest) -> tuple[Caller, RouteOperation]:
        state = self.state
        key = state.by_secret.get(request.token)
        reason = state.refusal(key, request.gateway)
        if key is None or reason:
            state.record("refused", key, method=request.method, route=request.route, detail=reason)
            # A missing secret is assumed to be called an invalid argument.
            raise StandInError(answers.denied(reason if request.token else "invalid_argument"))
        state.record("authenticated", key, method=request.method, route=request.route)
        operation = OPERATIONS.get((request.method, request.route))
        if operation is None:
            state.record("unknown_operation", key, method=request.method, detail=request.path)
            raise StandInError(answers.unknown_operation(request.method, request.path))
        if not key.bearer.manager:
            raise StandInError(answers.forbidden(operation.action, *operation.resources))
        return Caller(key, Actor(key.access_key, key.bearer.id, request.agent, request.ip)), operation

    def _land(self, request: ApiRequest, caller: Caller, operation: RouteOperation) -> None:
        try:
            operation.run(self.state, caller, request)
        except StandInError as error:
            self.state.record(
                "faulted",
                caller.key,
                method=request.method,
                route=request.route,
                detail=f"landed late as {error.answer.status}",
            )
