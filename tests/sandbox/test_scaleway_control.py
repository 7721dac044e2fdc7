"""The operator's hand and the ground truth, in the process and over HTTP, and the stand-in as a process of its own."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from rotator.sandbox.scaleway import Fault, SandboxClient, ScalewaySandbox, Settings
from rotator.sandbox.scaleway.control import ControlInterface

KEYS = "/iam/v1alpha1/api-keys"
KEY = "/iam/v1alpha1/api-keys/{access_key}"
Connect = Callable[[str], httpx.Client]


@pytest.fixture(params=["in the process", "over HTTP"])
def hand(request: pytest.FixtureRequest, scaleway: ScalewaySandbox) -> ScalewaySandbox | SandboxClient:
    return scaleway if request.param == "in the process" else SandboxClient(scaleway.url)


def test_the_client_has_every_method_of_the_sandbox_with_the_same_arguments() -> None:
    names = [name for name, member in vars(ControlInterface).items() if not name.startswith("_") and callable(member)]
    assert len(names) > 15
    for name in names:
        assert inspect.signature(getattr(SandboxClient, name)) == inspect.signature(getattr(ControlInterface, name)), (
            name
        )


def test_the_truth_about_keys_is_told_without_their_secrets(
    hand: ScalewaySandbox | SandboxClient, scaleway: ScalewaySandbox
) -> None:
    bearer = hand.create_application("app")
    expires_at = datetime(2030, 1, 1, tzinfo=UTC)
    project = hand.create_project()
    access_key, secret = hand.create_key(bearer, description="d", expires_at=expires_at, default_project_id=project)
    hand.edit_key(access_key, description="by hand", managed=True)
    (key,) = hand.keys(bearer)
    assert (key.access_key, key.bearer, key.description, key.expires_at) == (access_key, bearer, "by hand", expires_at)
    assert (key.default_project_id, key.managed, key.deletable, key.deleted_at) == (project, True, True, None)
    assert secret not in repr(key)
    hand.delete_key(access_key)
    assert hand.keys(bearer) == []
    (gone,) = hand.keys(bearer, deleted=True)
    assert gone.deleted_at == gone.created_at
    assert hand.secret_of(access_key) == secret
    assert hand.all_secrets() == [hand.management_secret, secret] == scaleway.all_secrets()


def test_the_log_tells_who_did_what_with_which_secret(
    hand: ScalewaySandbox | SandboxClient, manager: httpx.Client, connect: Connect
) -> None:
    bearer = hand.create_application("app", manager=True)
    start = len(hand.log)
    made = manager.post(KEYS, json={"application_id": bearer}).json()
    own = connect(made["secret_key"])
    own.get(f"{KEYS}/{made['access_key']}")
    own.delete(f"{KEYS}/{made['access_key']}")
    own.get(KEYS)
    connect("nonsense").get(KEYS)
    told = [
        (event.kind, event.access_key, event.bearer, event.by, event.method, event.detail)
        for event in hand.events(start)
    ]
    new, boss = made["access_key"], hand.management_access_key
    assert told == [
        ("authenticated", boss, hand.management_application_id, "", "POST", ""),
        ("created", new, bearer, boss, "", ""),
        ("authenticated", new, bearer, "", "GET", ""),
        ("authenticated", new, bearer, "", "DELETE", ""),
        ("deleted", new, bearer, new, "", ""),
        ("refused", new, bearer, "", "GET", "not_found"),
        ("refused", "", "", "", "GET", "not_found"),
    ]
    assert [event.index for event in hand.events(start)] == list(range(start, start + 7))
    assert {event.at.tzinfo for event in hand.log} == {UTC}


def test_events_that_are_no_longer_kept_are_not_passed_over_in_silence() -> None:
    sandbox = ScalewaySandbox(events_kept=5)
    for _ in range(8):
        sandbox.create_application("app")
    last = sandbox.events(6)[-1].index
    assert [event.index for event in sandbox.events(last - 1)] == [last - 1, last]
    assert sandbox.events(last + 1) == []
    with pytest.raises(LookupError):
        sandbox.events()


def test_calls_are_counted_by_method_and_route_and_by_bearer(
    hand: ScalewaySandbox | SandboxClient, manager: httpx.Client, connect: Connect
) -> None:
    bearer = hand.create_application("app")
    access_key, secret = hand.create_key(bearer)
    for _ in range(3):
        manager.get(f"{KEYS}/{access_key}")
    connect(secret).get(f"{KEYS}/{access_key}")
    connect("nonsense").post(KEYS)
    manager.get("/nowhere")
    assert hand.calls() == {("GET", KEY): 4, ("POST", KEYS): 1, ("GET", "unknown"): 1}
    assert hand.calls(bearer) == {("GET", KEY): 1}
    assert hand.calls("") == {("POST", KEYS): 1}
    hand.reset_calls()
    assert hand.calls() == {}


def test_settings_and_faults_are_changed_at_run_time(
    hand: ScalewaySandbox | SandboxClient, scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    assert hand.settings == Settings()
    assert hand.configure(spaced=False, date_skew=-5) == hand.settings == Settings(spaced=False, date_skew=-5)
    rule = hand.faults.add("status", status=500, headers={"x-a": "b"}, times=2)
    assert isinstance(rule, Fault)
    assert manager.get(KEYS).headers["x-a"] == "b"
    assert [(fault.action, fault.hits, fault.id) for fault in hand.faults.list()] == [("status", 1, rule.id)]
    hand.faults.remove(rule.id)
    hand.faults.add("late")
    hand.faults.clear()
    assert hand.faults.list() == scaleway.faults.list() == []


def test_late_operations_are_seen_and_released(hand: ScalewaySandbox | SandboxClient, manager: httpx.Client) -> None:
    bearer = hand.create_application("app")
    hand.faults.add("late")
    manager.post(KEYS, json={"application_id": bearer})
    assert (hand.waiting(), hand.release(), hand.waiting(), len(hand.keys(bearer))) == (1, 1, 0, 1)


def test_organisations_users_and_rights_are_made_by_hand(
    hand: ScalewaySandbox | SandboxClient, connect: Connect
) -> None:
    organization = hand.create_organization()
    hand.edit_organization(organization, quota=7, max_api_key_expiration_duration="60s")
    boss = hand.create_application("boss", manager=True, organization_id=organization)
    client = connect(hand.create_key(boss)[1])
    assert (
        client.get("/iam/v1alpha1/quota/IamApiKeys", params={"organization_id": organization}).json()["limits"][0][
            "limit"
        ]
        == 7
    )
    security = client.get(f"/iam/v1alpha1/organizations/{organization}/security-settings").json()
    assert security["max_api_key_expiration_duration"] == "60s"
    hand.edit_application(boss, manager=False, name="former")
    assert client.get(f"/iam/v1alpha1/applications/{boss}").status_code == 403
    user = hand.create_user("someone", organization_id=organization)
    assert hand.accepts(hand.create_key(user)[0], everywhere=True)
    hand.delete_application(boss)
    assert len(hand.keys(user)) == 1


@pytest.mark.parametrize(
    "mistake",
    [
        lambda hand: hand.delete_key("SCW00000000000000000"),
        lambda hand: hand.create_key("no such application"),
        lambda hand: hand.create_application("x", organization_id="none"),
        lambda hand: hand.edit_key(hand.management_access_key, secret="mine"),
        lambda hand: hand.edit_organization(max_age="1s"),
        lambda hand: hand.configure(no_such_setting=1),
        lambda hand: hand.faults.add("explode"),
    ],
)
def test_mistakes_are_told_as_the_same_error_on_both_ways(
    mistake: Callable[[ScalewaySandbox | SandboxClient], object], scaleway: ScalewaySandbox
) -> None:
    caught = []
    for hand in (scaleway, SandboxClient(scaleway.url)):
        with pytest.raises((LookupError, ValueError, TypeError)) as mistaken:
            mistake(hand)
        caught.append((mistaken.type, str(mistaken.value)))
    assert caught[0] == caught[1]


def test_an_unknown_command_is_refused(scaleway: ScalewaySandbox) -> None:
    for verb in ("nonsense", "_state", "stop", "faults.pick"):
        with pytest.raises(LookupError):
            SandboxClient(scaleway.url).call(verb)


def test_many_threads_at_once_lose_nothing(scaleway: ScalewaySandbox) -> None:
    bearer = scaleway.create_application("busy")
    scaleway.edit_organization(quota=1000)

    def work() -> None:
        headers = {"X-Auth-Token": scaleway.management_secret}
        with httpx.Client(base_url=scaleway.url, headers=headers, trust_env=False, timeout=20) as client:
            for number in range(25):
                name = client.post(KEYS, json={"application_id": bearer}).json()["access_key"]
                scaleway.create_key(bearer)
                if number % 2:
                    assert client.delete(f"{KEYS}/{name}").status_code == 204

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scaleway.keys(bearer, deleted=True)) == 300
    assert len(scaleway.keys(bearer)) == 300 - 6 * 12
    assert [event.index for event in scaleway.log] == list(range(len(scaleway.log)))


def test_a_sandbox_that_stopped_listens_no_more_and_stopping_twice_is_harmless() -> None:
    sandbox = ScalewaySandbox().start()
    url = sandbox.url
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-m", "rotator.sandbox.scaleway", "--real-latency"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        yield running, json.loads(running.stdout.readline())
        running.kill()


def test_a_process_of_its_own_says_where_it_listens_and_ends_cleanly(
    process: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    running, about = process
    client = SandboxClient(about["url"])
    assert client.organization_id == about["organization_id"]
    assert client.management_secret == about["management_secret"]
    assert client.settings.latency_post == 0.257
    answer = httpx.get(
        f"{about['url']}{KEYS}/{about['management_access_key']}",
        headers={"X-Auth-Token": about["management_secret"]},
        trust_env=False,
    )
    assert answer.status_code == 200
    running.send_signal(signal.SIGTERM)
    assert running.communicate(timeout=30) == ("", "")
    assert running.returncode == 0
