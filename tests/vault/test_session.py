"""One login and its life by a clock in the test, at a Vault that answers by a table: which calls it makes, when, and what
it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.errors import (
    ConfigurationError,
    ConfigurationProblem,
    PermissionDenied,
    Refused,
    ServiceError,
    Unavailable,
)
from rotator.http import HttpResponse
from rotator.util.refusals import Refusals
from rotator.vault import AppRoleAuth, Auth, CertAuth, JwtAuth, TokenAuth
from rotator.vault.connection import VaultTransport
from rotator.vault.login import TokenSession
from rotator.vault.login_methods import Credentials, read_credentials
from tests.vault.scripted import ADDRESS, DENIED, LOOK, Answer, Answers, ScriptedVault

LOGIN, RENEW, REVOKE = "POST auth/approle/login", "POST auth/token/renew-self", "POST auth/token/revoke-self"
UNKNOWN: Answer = (403, {"errors": ["permission denied"]})
SEALED: Answer = (503, {"errors": ["Vault is sealed"]})
WRONG: Answer = (400, {"errors": ["invalid role or secret ID"]})
HOUR = 3600.0


@dataclass
class Source:
    """A secret, and where it is kept."""

    value: str
    source: str = ""

    def __call__(self) -> Secret:
        return Secret(self.value)


ROLE = AppRoleAuth(Source("role", "file:role"), Source("own", "file:id"))


def granted(token: str = "first", lifetime: object = HOUR, renewable: object = True) -> Answer:
    return 200, {"auth": {"client_token": token, "lease_duration": lifetime, "renewable": renewable}}


def looked_up(ttl: object = HOUR, renewable: object = True) -> Answer:
    return 200, {"data": {"ttl": ttl, "renewable": renewable}}


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    """A session, its Vault and its clock, which its memory of refusals shares."""

    vault: ScriptedVault
    session: TokenSession
    clock: Clock = field(default_factory=Clock)

    def calls(self) -> list[str]:
        """What was sent since the last look."""
        sent = [verb for verb, _ in self.vault.calls]
        self.vault.calls.clear()
        return sent

    def after(self, seconds: float) -> list[str]:
        """What upkeep sends after so many seconds."""
        self.calls()
        self.clock.now += seconds
        self.session.maintain()
        return self.calls()

    def problem(self) -> LoginProblem | None:
        return self.session.problem

    def life(self) -> tuple[float, float] | None:
        life = self.session.life
        return None if life is None else (life[0].total_seconds(), life[1].total_seconds())


def stage(answers: Answers, auth: Auth = ROLE) -> Stage:
    vault, clock = ScriptedVault(answers), Clock()
    client = VaultTransport(vault, ADDRESS, "").client_with
    return Stage(vault, TokenSession(auth, client, clock=clock, refusals=Refusals(clock)), clock)


# --- one login ---


@pytest.mark.parametrize(
    ("auth", "calls"),
    [
        (ROLE, [(LOGIN, {"role_id": "role", "secret_id": "own"})]),
        (
            AppRoleAuth(Source("role"), mount="team/roles"),
            [("POST auth/team/roles/login", {"role_id": "role", "secret_id": None})],
        ),
        (JwtAuth("web", Source("a.b.c"), "k8s"), [("POST auth/k8s/login", {"role": "web", "jwt": "a.b.c"})]),
        (CertAuth("web", "tls"), [("POST auth/tls/login", {"name": "web"})]),
        (CertAuth(), [("POST auth/cert/login", {})]),
    ],
)
def test_each_method_logs_in_with_one_call_at_its_mount(auth: Auth, calls: list[tuple[str, Any]]) -> None:
    at = stage({calls[0][0]: granted()}, auth)
    assert (at.session.generation, at.life(), at.problem()) == (0, None, None)
    assert at.session.token() == Secret("first")
    assert at.session.token() == Secret("first")
    assert at.vault.calls == calls
    assert "X-Vault-Token" not in at.vault.headers[0]
    assert (at.session.generation, at.life(), at.problem()) == (1, (HOUR, HOUR), None)


def test_a_configured_token_is_asked_about_itself() -> None:
    at = stage({LOOK: looked_up(500, renewable=False)}, TokenAuth(Source("given")))
    assert at.session.token() == Secret("given")
    assert at.vault.calls == [(LOOK, None)]
    assert at.vault.headers[0]["X-Vault-Token"] == "given"
    assert (at.session.generation, at.life()) == (1, (500.0, 500.0))


def test_a_configured_token_that_may_not_look_at_itself_is_used_without_an_end() -> None:
    at = stage({LOOK: DENIED}, TokenAuth(Source("given")))
    assert at.session.token() == Secret("given")
    assert at.life() is None
    assert at.after(10**9) == []
    assert at.session.token() == Secret("given")


@pytest.mark.parametrize(
    ("said", "life"),
    [
        (0, None),
        (-5, None),
        ("3600", None),
        (None, None),
        (1.5, (1.5, 1.5)),
        (10**12, (36500 * 86400.0, 36500 * 86400.0)),
    ],
)
def test_a_lifetime_is_a_number_of_seconds_up_to_a_hundred_years(
    said: object, life: tuple[float, float] | None
) -> None:
    at = stage({LOGIN: granted(lifetime=said)})
    at.session.token()
    assert at.life() == life


REFUSED_LOGIN = (
    "Vault refuses the AppRole login at auth/approle/login with the role id of file:role and the secret id of file:id: "
    "check that it is right, has not ended, is not used up, may be used from this address, and that role and namespace "
    "are right; five refusals lock the role for all who use it, so unchanged credentials are tried again after 15 "
    "seconds and then ever more rarely, changed ones at once"
)
LOCKED = (
    "Vault answers the AppRole login at auth/approle/login without a look at its credentials: after five refused "
    "logins it has locked the role for all who use it, for 15 minutes as a rule, or no AppRole method is at that path "
    "and namespace; an administrator ends a lock-out with `bao write -f sys/locked-users/ACCESSOR/unlock/ROLE_ID`"
)
BAD_TOKEN = (
    "Vault does not know the token of file:token: the token ended, was revoked or is used up; put a new one there, "
    "it is read again"
)


def failure_of(at: Stage) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        at.session.token()
    return caught.value


def details(path: str, kind: str = "login", capability: str = "update", remedy: str = "") -> dict[str, str]:
    return {"service": "vault", "kind": kind, "path": path, "capability": capability, "remedy": remedy}


@pytest.mark.parametrize(
    ("auth", "answers", "error", "message", "facts"),
    [
        (ROLE, {LOGIN: WRONG}, PermissionDenied, REFUSED_LOGIN, details("auth/approle/login")),
        (
            ROLE,
            {LOGIN: (200, {"auth": {"client_token": ""}})},
            Unavailable,
            "Vault answered 200 for auth/approle/login: try again later",
            {"service": "vault", "kind": "standby"},
        ),
        (
            ROLE,
            {LOGIN: UNKNOWN},
            PermissionDenied,
            LOCKED,
            details(
                "auth/approle/login",
                remedy="unlock the role and stop the machine whose credentials are wrong, or correct mount of [vault] "
                "auth",
            ),
        ),
        (
            ROLE,
            {LOGIN: SEALED},
            Unavailable,
            "Vault is sealed: unseal it (auth/approle/login was not touched)",
            {"service": "vault", "kind": "sealed"},
        ),
        (
            ROLE,
            {LOGIN: (502, b"")},
            Unavailable,
            "Vault answered 502 for auth/approle/login: try again later",
            {"service": "vault", "kind": "server_error"},
        ),
        (
            JwtAuth("web", Source("a.b.c")),
            {"POST auth/jwt/login": WRONG},
            PermissionDenied,
            (
                "Vault refuses the JWT login at auth/jwt/login with the JWT: check that it is right, has not ended, is not "
                "used up, may be used from this address, and that role and namespace are right; unchanged credentials are "
                "tried again after 15 seconds and then ever more rarely, changed ones at once"
            ),
            details("auth/jwt/login"),
        ),
        (
            CertAuth(),
            {"POST auth/cert/login": (500, {"errors": ["failed to verify client's certificate: expired"]})},
            PermissionDenied,
            (
                "Vault refuses the certificate login at auth/cert/login with the client certificate : check that it is "
                "right, has not ended, is not used up, may be used from this address, and that role and namespace are "
                "right; unchanged credentials are tried again after 15 seconds and then ever more rarely, changed ones at "
                "once"
            ),
            details("auth/cert/login"),
        ),
        (
            ROLE,
            {LOGIN: (400, {"errors": ["source address unauthorized through CIDR restrictions on the secret ID"]})},
            PermissionDenied,
            (
                "Vault refuses the AppRole login at auth/approle/login from the address of this machine, whatever the "
                "credentials are: add the address to secret_id_bound_cidrs of the role"
            ),
            details(
                "auth/approle/login",
                remedy="add the address of this machine to secret_id_bound_cidrs of the role",
            ),
        ),
        (
            TokenAuth(Source("given", "file:token")),
            {LOOK: UNKNOWN},
            PermissionDenied,
            BAD_TOKEN,
            details("auth/token/lookup-self"),
        ),
        (
            TokenAuth(Source("given", "file:token")),
            {LOOK: (502, b"")},
            Unavailable,
            "Vault answered 502 for auth/token/lookup-self: try again later",
            {"service": "vault", "kind": "server_error"},
        ),
    ],
)
def test_c4_each_refusal_of_a_login_says_what_was_refused_and_what_to_do(
    auth: Auth, answers: Answers, error: type[ServiceError], message: str, facts: dict[str, str]
) -> None:
    found = failure_of(stage(answers, auth))
    assert (type(found), str(found)) == (error, message)
    assert vars(found) == facts


def attempts(at: Stage, seconds: float, step: float = 5) -> list[float]:
    """After how many seconds each attempt was made, of a session that is asked every ``step``."""
    begun, made = at.clock.now, []
    at.calls()
    while at.clock.now <= begun + seconds:
        failure_of(at)
        made += [at.clock.now - begun] * len(at.calls())
        at.clock.now += step
    return made


@pytest.mark.parametrize(
    ("auth", "call", "answer", "made"),
    [
        (ROLE, LOGIN, WRONG, [0, 15, 75, 375, 1575, 2775]),
        (ROLE, LOGIN, UNKNOWN, [0, 15, 75, 135, 195]),
        (TokenAuth(Source("given")), LOOK, UNKNOWN, [0, 15, 75, 135, 195]),
        (ROLE, LOGIN, SEALED, [0, 5, 10]),
    ],
)
def test_c4_refused_credentials_are_tried_again_ever_more_rarely_and_what_was_no_refusal_at_once(
    auth: Auth, call: str, answer: Answer, made: list[float]
) -> None:
    assert attempts(stage({call: answer}, auth), made[-1]) == made


def test_c4_changed_credentials_are_tried_at_once_and_a_success_forgets_the_refusals() -> None:
    secret = Source("wrong")
    at = stage({LOGIN: [WRONG, WRONG, granted(lifetime=10), WRONG, WRONG]}, AppRoleAuth(Source("role"), secret))
    assert attempts(at, 15) == [0, 15]
    secret.value = "right"
    at.clock.now += 1
    assert at.session.token() == Secret("first")
    at.clock.now += 11
    assert attempts(at, 15) == [0, 15], "the first refusal after a success has the shortest pause"


def test_a_failure_that_is_remembered_is_raised_with_the_same_words_and_no_call() -> None:
    at = stage({LOGIN: WRONG})
    assert [str(failure_of(at)) for _ in range(3)] == [REFUSED_LOGIN] * 3
    assert at.calls() == [LOGIN]


# --- credentials, as they are read ---

COLON = "for the login at Vault cannot be read"


def failing(error: Exception, source: str = "") -> Callable[[], Secret]:
    def read() -> Secret:
        raise error

    read.source = source  # type: ignore[attr-defined]  # as a supplier of the configuration has it
    return read


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        (
            TokenAuth(failing(FileNotFoundError(2, "No such file or directory", "/secret/path"), "file:token")),
            f"the token of file:token {COLON}: No such file or directory",
        ),
        (TokenAuth(failing(OSError(), "file:token")), f"the token of file:token {COLON}: it is empty or not text"),
        (AppRoleAuth(failing(ValueError("s3cret"))), f"the role id {COLON}: it is empty or not text"),
        (
            AppRoleAuth(Source("r"), failing(Refused("the file is readable by everybody"), "file:id")),
            f"the secret id of file:id {COLON}: the file is readable by everybody",
        ),
        (
            JwtAuth("web", failing(ConfigurationError([ConfigurationProblem("x.toml", "a", "no such credential")]))),
            f"the JWT {COLON}: x.toml: a: no such credential",
        ),
        (
            JwtAuth("web", Source("a.b", "file:jwt")),
            f"the JWT of file:jwt {COLON}: it is no JWT, which has three parts joined by dots",
        ),
    ],
)
def test_credentials_that_cannot_be_read_are_told_with_their_place_and_without_their_content(
    auth: Auth, message: str
) -> None:
    at = stage({}, auth)
    found = failure_of(at)
    assert (type(found), str(found)) == (Unavailable, message)
    assert vars(found) == {"service": "vault", "kind": "credentials"}
    assert at.calls() == []


def test_a_service_that_fails_to_give_the_credentials_is_reported_as_it_is() -> None:
    own = Unavailable("the other Vault is sealed", service="other", kind="sealed")
    assert failure_of(stage({}, TokenAuth(failing(own)))) is own


@dataclass
class Certificate:
    source: str = "file:cert.pem"
    version: str = "1"

    def stamp(self) -> str:
        return self.version


def test_each_set_of_credentials_has_a_name_a_fingerprint_of_its_own_and_its_parts() -> None:
    read: list[Credentials] = [
        read_credentials(auth, certificate)
        for auth, certificate in (
            (ROLE, Certificate()),
            (AppRoleAuth(Source("role")), Certificate()),
            (AppRoleAuth(Source("roleo"), Source("wn")), Certificate()),
            (JwtAuth("web", Source("a.b.c")), Certificate()),
            (TokenAuth(Source("given", "file:token")), Certificate()),
            (CertAuth(), Certificate()),
            (CertAuth(), Certificate(version="2")),
        )
    ]
    assert [(one.named, [part.reveal() for part in one.parts]) for one in read] == [
        ("the role id of file:role and the secret id of file:id", ["role", "own"]),
        ("the role id", ["role"]),
        ("the role id and the secret id", ["roleo", "wn"]),
        ("the JWT", ["a.b.c"]),
        ("the token of file:token", ["given"]),
        ("the client certificate file:cert.pem", []),
        ("the client certificate file:cert.pem", []),
    ]
    assert len({one.fingerprint for one in read}) == len(read)
    assert read_credentials(ROLE, Certificate()).fingerprint == read[0].fingerprint
    assert "own" not in repr(read[0])


# --- the life of a token ---


def test_a_login_is_renewed_at_half_of_its_lifetime_and_then_at_half_of_the_new_one() -> None:
    renewed = (200, {"auth": {"lease_duration": 7200}})
    at = stage({LOGIN: granted(), RENEW: renewed})
    at.session.maintain()
    assert at.calls() == [], "there is no login yet"
    first = at.session.token()
    assert at.after(1799) == []
    assert at.life() == (1801.0, HOUR)
    assert at.after(1) == [RENEW]
    assert at.vault.headers[-1]["X-Vault-Token"] == "first"
    assert at.life() == (7200.0, 7200.0)
    assert at.after(3599) == []
    assert at.after(1) == [RENEW]
    assert (at.session.token(), at.session.generation, at.problem()) == (first, 1, None)


def test_a_call_renews_too_and_goes_on_with_the_token_that_came_of_it() -> None:
    at = stage({LOGIN: [granted(), granted("second")], RENEW: [(200, {"auth": {"lease_duration": HOUR}}), WRONG]})
    first = at.session.token()
    at.clock.now += 1800
    assert at.session.token() is first
    assert at.calls() == [LOGIN, RENEW]
    at.clock.now += 1800
    assert at.session.token() == Secret("second")
    assert at.calls() == [RENEW, LOGIN]
    assert (at.session.generation, at.life()) == (2, (HOUR, HOUR))


@pytest.mark.parametrize(
    ("answer", "calls", "generation"),
    [
        ((200, {"auth": {"lease_duration": 3240}}), [RENEW], 1),
        ((200, {"auth": {"lease_duration": 3239}}), [RENEW, LOGIN], 2),
        ((200, {}), [RENEW, LOGIN], 2),
        (WRONG, [RENEW, LOGIN], 2),
        (DENIED, [RENEW, LOGIN], 2),
        (SEALED, [RENEW], 1),
    ],
)
def test_c4_a_login_that_is_renewed_no_more_or_for_less_than_nine_tenths_is_made_anew(
    answer: Answer, calls: list[str], generation: int
) -> None:
    at = stage({LOGIN: [granted(), granted("second")], RENEW: answer})
    at.session.token()
    assert at.after(1800) == calls
    assert (at.session.generation, at.problem()) == (generation, None)


def test_c4_the_nine_tenths_are_those_of_the_first_grant() -> None:
    shrinking = [(200, {"auth": {"lease_duration": seconds}}) for seconds in (3300, 3200)]
    at = stage({LOGIN: [granted(), granted("second")], RENEW: list(shrinking)})
    at.session.token()
    assert at.after(1800) == [RENEW]
    assert at.after(1650) == [RENEW, LOGIN]


def test_a_login_that_says_that_it_cannot_be_renewed_is_made_anew_without_a_try() -> None:
    at = stage({LOGIN: [granted(renewable=False), granted("second")]})
    at.session.token()
    assert at.after(1800) == [LOGIN]
    assert at.session.token() == Secret("second")


@pytest.mark.parametrize(("lifetime", "pause"), [(HOUR, 15.0), (40.0, 5.0)])
def test_a_renewal_that_fails_is_tried_again_after_15_seconds_or_an_eighth_of_the_lifetime(
    lifetime: float, pause: float
) -> None:
    at = stage({LOGIN: granted(lifetime=lifetime), RENEW: SEALED})
    first = at.session.token()
    assert at.after(lifetime / 2) == [RENEW]
    assert at.after(pause - 0.5) == []
    assert at.session.token() is first
    assert at.after(0.5) == [RENEW]
    assert (at.problem(), at.session.generation) == (None, 1)


def test_a_login_past_its_end_is_made_anew_and_until_then_is_used() -> None:
    at = stage({LOGIN: [granted(), granted("second")], RENEW: SEALED})
    first = at.session.token()
    at.clock.now += 3599
    assert at.session.token() is first
    at.clock.now += 1
    assert at.life() == (0.0, HOUR)
    assert at.session.token() == Secret("second")
    assert at.calls() == [LOGIN, RENEW, LOGIN]


def test_c4_a_login_that_fails_while_the_token_lives_is_a_problem_with_the_time_that_is_left() -> None:
    at = stage({LOGIN: [granted(), WRONG, SEALED, granted("third")], RENEW: DENIED})
    first = at.session.token()
    assert at.after(1800) == [RENEW, LOGIN]
    assert at.problem() == LoginProblem(REFUSED_LOGIN, timedelta(seconds=1800))
    assert at.session.token() is first
    assert at.after(15) == [RENEW, LOGIN]
    assert at.problem() == LoginProblem(REFUSED_LOGIN, timedelta(seconds=1785)), "a sealed Vault changes nothing"
    assert at.after(15) == [RENEW, LOGIN]
    assert (at.problem(), at.session.token()) == (None, Secret("third"))


def test_c4_credentials_that_cannot_be_read_while_the_token_lives_are_a_problem_and_a_past_end_leaves_no_time() -> None:
    broken = False

    def secret() -> Secret:
        if broken:
            raise Refused("the file is readable by everybody")
        return Secret("own")

    at = stage({LOGIN: granted(), RENEW: DENIED}, AppRoleAuth(Source("role"), secret))
    at.session.token()
    broken = True
    at.after(1800)
    words = f"the secret id {COLON}: the file is readable by everybody"
    assert at.problem() == LoginProblem(words, timedelta(seconds=1800))
    at.clock.now += 2000
    assert at.problem() == LoginProblem(words, timedelta(0))


def test_c4_a_renewal_that_succeeds_ends_the_problem() -> None:
    at = stage({LOGIN: [granted(), WRONG], RENEW: [DENIED, (200, {"auth": {"lease_duration": HOUR}})]})
    at.session.token()
    at.after(1800)
    assert at.problem() is not None
    assert at.after(15) == [RENEW]
    assert (at.problem(), at.session.generation) == (None, 1)


def test_c4_a_configured_token_that_cannot_be_renewed_is_a_problem_in_the_last_tenth_of_its_life() -> None:
    at = stage({LOOK: looked_up(1000), RENEW: DENIED}, TokenAuth(Source("given", "file:token")))
    given = at.session.token()
    assert at.after(500) == [RENEW]
    assert at.problem() is None
    assert at.after(14) == []
    assert at.after(1) == [RENEW]
    assert at.after(384) == [RENEW]
    assert at.problem() is None, "101 seconds are left"
    assert at.after(15) == [RENEW]
    words = "the token of file:token cannot be renewed any more; put a new token there, it is read again"
    assert at.problem() == LoginProblem(words, timedelta(seconds=86))
    assert at.session.token() is given
    assert at.session.generation == 1


def test_c4_a_configured_token_at_a_tenth_of_its_life_is_a_problem_and_a_short_one_is_tried_more_often() -> None:
    at = stage({LOOK: looked_up(40), RENEW: DENIED}, TokenAuth(Source("given")))
    at.session.token()
    assert at.after(36) == [RENEW]
    words = "the token cannot be renewed any more; put a new token there, it is read again"
    assert at.problem() == LoginProblem(words, timedelta(seconds=4))
    assert at.after(4.5) == []
    assert at.after(0.5) == [RENEW]


def test_c4_a_new_token_in_the_file_is_taken_when_the_old_one_cannot_be_renewed() -> None:
    source = Source("old")
    at = stage({LOOK: [looked_up(1000), looked_up(2000)], RENEW: DENIED}, TokenAuth(source))
    at.session.token()
    source.value = "new"
    assert at.after(500) == [RENEW, LOOK]
    assert (at.session.token(), at.session.generation, at.life()) == (Secret("new"), 2, (2000.0, 2000.0))


# --- a token that was answered 403 ---


def test_c8_a_refused_token_that_vault_knows_is_no_reason_for_a_new_login() -> None:
    at = stage({LOGIN: granted(), LOOK: looked_up()})
    first = at.session.token()
    at.clock.now += 1
    assert at.session.instead_of(first) is None
    assert at.calls() == [LOGIN, LOOK]
    assert at.session.instead_of(first) is None
    assert at.calls() == [], "the answer is as young as the question"
    at.clock.now += 1
    assert at.session.instead_of(first) is None
    assert at.calls() == [LOOK]
    assert at.session.generation == 1


def test_c8_a_token_that_may_not_look_at_itself_is_known() -> None:
    at = stage({LOGIN: granted(), LOOK: DENIED})
    assert at.session.instead_of(at.session.token()) is None


def test_c8_a_token_that_was_carried_out_and_is_unknown_now_is_replaced() -> None:
    at = stage({LOGIN: [granted(), granted("second")], LOOK: UNKNOWN})
    first = at.session.token()
    at.session.accepted(first)
    assert at.session.instead_of(first) == Secret("second")
    assert at.calls() == [LOGIN, LOOK, LOGIN]
    assert at.session.instead_of(first) == Secret("second")
    assert at.calls() == [], "the token in question is no longer the one in use"


FRESH = (
    "Vault refuses the token that the AppRole login at auth/approle/login has just given: check token_bound_cidrs and "
    "token_num_uses of the role, and the namespace"
)


def test_c8_a_token_that_vault_never_took_is_not_replaced_for_ever() -> None:
    at = stage({LOGIN: [granted(), granted("second")], LOOK: UNKNOWN})
    first = at.session.token()
    at.session.accepted(Secret("first"))  # another object with the same text: no answer to this token
    with pytest.raises(PermissionDenied) as caught:
        at.session.instead_of(first)
    assert str(caught.value) == FRESH
    assert vars(caught.value) == details(
        "auth/approle/login", remedy="correct token_bound_cidrs and token_num_uses of the role"
    )
    assert at.calls() == [LOGIN, LOOK]
    at.clock.now += 1
    with pytest.raises(PermissionDenied):
        at.session.instead_of(first)
    assert at.calls() == [LOOK], "the refusal is remembered as one of the credentials"


def test_c8_a_token_that_vault_knew_when_it_was_asked_is_replaced_when_it_is_unknown_later() -> None:
    at = stage({LOGIN: [granted(), granted("second")], LOOK: [looked_up(), UNKNOWN]})
    first = at.session.token()
    assert at.session.instead_of(first) is None
    at.clock.now += 1
    assert at.session.instead_of(first) == Secret("second")


def test_c8_a_question_about_the_token_that_fails_is_reported() -> None:
    at = stage({LOGIN: granted(), LOOK: (502, b"")})
    with pytest.raises(Unavailable) as caught:
        at.session.instead_of(at.session.token())
    assert str(caught.value) == "Vault answered 502 for auth/token/lookup-self: try again later"


# --- the end ---


def test_only_a_token_of_its_own_is_given_back_and_a_failure_of_that_is_left() -> None:
    at = stage({LOGIN: [granted(), granted("second")], REVOKE: SEALED})
    at.session.close()
    assert at.calls() == []
    at.session.token()
    at.session.close()
    assert at.calls() == [LOGIN, REVOKE]
    assert at.vault.headers[-1]["X-Vault-Token"] == "first"
    assert at.session.token() == Secret("second")
    given = stage({LOOK: looked_up()}, TokenAuth(Source("given")))
    given.session.token()
    given.session.close()
    assert given.calls() == [LOOK]


# --- many threads ---


class Waiting(ScriptedVault):
    """Holds the answers to one call back until it is let go on."""

    def __init__(self, answers: Answers, held: str) -> None:
        super().__init__(answers)
        self.held = held
        self.arrived, self.go_on = threading.Event(), threading.Event()

    def request(self, method: str, url: str, **options: Any) -> HttpResponse:
        answer = super().request(method, url, **options)
        if self.calls[-1][0] == self.held:
            self.arrived.set()
            assert self.go_on.wait(30)
        return answer


def together(vault: Waiting, first: Callable[[], Any], others: Callable[[], Any], number: int = 4) -> list[Any]:
    """What the first gets, and those who come while its call is under way."""

    def outcome(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ServiceError as error:
            return str(error)

    with ThreadPoolExecutor(number + 1) as pool:
        asked = [pool.submit(outcome, first)]
        assert vault.arrived.wait(30)
        entered = [threading.Event() for _ in range(number)]

        def enter(event: threading.Event) -> Any:
            event.set()
            return outcome(others)

        asked += [pool.submit(enter, event) for event in entered]
        assert all(event.wait(30) for event in entered)
        vault.go_on.set()
        return [future.result(30) for future in asked]


def waiting(answers: Answers, held: str) -> tuple[Waiting, TokenSession, Clock]:
    vault, clock = Waiting(answers, held), Clock()
    client = VaultTransport(vault, ADDRESS, "").client_with
    return vault, TokenSession(ROLE, client, clock=clock, refusals=Refusals(clock)), clock


def test_who_comes_while_a_login_is_made_shares_it() -> None:
    vault, session, _ = waiting({LOGIN: [granted(), granted("second")]}, LOGIN)
    assert together(vault, session.token, session.token) == [Secret("first")] * 5
    assert [verb for verb, _ in vault.calls] == [LOGIN]


def test_who_comes_while_a_login_fails_shares_the_failure() -> None:
    vault, session, _ = waiting({LOGIN: [SEALED, granted("second")]}, LOGIN)
    assert (
        together(vault, session.token, session.token)
        == ["Vault is sealed: unseal it (auth/approle/login was not touched)"] * 5
    )
    assert [verb for verb, _ in vault.calls] == [LOGIN]


def test_who_comes_while_a_token_is_renewed_uses_it_and_does_not_wait() -> None:
    vault, session, clock = waiting({LOGIN: granted(), RENEW: (200, {"auth": {"lease_duration": HOUR}})}, RENEW)
    first = session.token()
    clock.now += 1800
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(session.token)
        assert vault.arrived.wait(30)
        assert session.token() is first
        session.maintain()
        vault.go_on.set()
        assert renewing.result(30) is first
    assert [verb for verb, _ in vault.calls] == [LOGIN, RENEW]


def test_who_comes_while_a_refused_token_is_looked_up_shares_the_answer() -> None:
    vault, session, _ = waiting({LOGIN: granted(), LOOK: looked_up()}, LOOK)
    first = session.token()
    assert together(vault, lambda: session.instead_of(first), lambda: session.instead_of(first)) == [None] * 5
    assert [verb for verb, _ in vault.calls] == [LOGIN, LOOK]
