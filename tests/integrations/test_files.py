"""The files for the tools around rotator, in config/: what is checked of each stands in docs/integrations.md.

The schemas of Kubernetes, of its operators and of Terraform's provider are records of the real ones (``record.py``): all names and
types of the levels that a file uses. They notice a wrong name, a wrong type and a missing value, and know no rule beyond these.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import hcl2
import jsonschema_rs
import pytest
import yaml

from rotator.cli.main import root
from rotator.config import load
from rotator.domain.document import DEFAULT_FIELDS
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from rotator.setup.policies import daemon_policy, render

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
SCHEMAS = Path(__file__).parent / "schemas"
MOUNT, PATH = "secret", "apps/billing/scaleway"
OBJECTS = [
    (file, document)
    for file in ("consumers/external-secrets.yaml", "consumers/vault-secrets-operator.yaml", "kubernetes/cronjob.yaml")
    for document in yaml.safe_load_all((CONFIG / file).read_text())
]
NAMES = [f"{file}: {document['kind']}" for file, document in OBJECTS]


def real(text: str) -> str:
    """A text with values in the place of placeholders, which are refused by name."""
    text = re.sub(r"([1-9])\1{7}(-\1{4}-4\1{3})", r"b0b\1\1\1\1\1\2", text)
    return text.replace("example.com", "acme.test").replace("SCWXXXXXXXXXXXXXXXXX", "SCWMANAGEMENT0000000")


def faults(document: dict[str, Any]) -> list[str]:
    """What the record of its schema has against an object of Kubernetes."""
    record = json.loads((SCHEMAS / f"{document['kind'].lower()}.json").read_text())
    assert record["apiVersion"] == document["apiVersion"]
    return [str(error.message) for error in jsonschema_rs.validator_for(record["schema"]).iter_errors(document)]


# --- Kubernetes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "document"), OBJECTS, ids=NAMES)
def test_every_object_has_the_names_and_types_of_its_schema(file: str, document: dict[str, Any]) -> None:
    assert not faults(document)


def places(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every name in a document, with the table that has it."""
    if isinstance(value, dict):
        for name in value:
            yield value, name
            yield from places(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from places(item)


@pytest.mark.parametrize(("file", "document"), OBJECTS, ids=NAMES)
def test_every_name_that_is_misspelt_is_noticed(file: str, document: dict[str, Any]) -> None:
    """Unless it is a name of the application's own: a field of a Secret, or a file of a ConfigMap."""
    if "spec" not in document:
        return
    for number in range(len(list(places(document["spec"])))):
        changed = copy.deepcopy(document)
        table, name = list(places(changed["spec"]))[number]
        table[f"{name}x"] = table.pop(name)
        assert faults(changed) or name.startswith("SCW_") or name in ("cpu", "memory"), name


def test_consumers_on_kubernetes_read_the_document_and_fields_that_exist() -> None:
    specs = {document["kind"]: document["spec"] for _, document in OBJECTS if "spec" in document}
    vault, [source] = specs["SecretStore"]["provider"]["vault"], specs["ExternalSecret"]["dataFrom"]
    static = specs["VaultStaticSecret"]
    assert (vault["path"], source["extract"]["key"]) == (static["mount"], static["path"]) == (MOUNT, PATH)
    assert (vault["version"], static["type"]) == ("v2", "kv-v2")
    texts = [
        *specs["ExternalSecret"]["target"]["template"]["data"].values(),
        *(template["text"] for template in static["destination"]["transformation"]["templates"].values()),
    ]
    named = [name for text in texts for name in re.findall(r"\.(\w+) }}|\"(\w+)\"", text)]
    assert len(named) == len(texts) == 6
    assert {first or second for first, second in named} <= set(DEFAULT_FIELDS)


def test_the_job_of_kubernetes_runs_a_command_that_exists_with_a_configuration_that_is_sound(tmp_path: Path) -> None:
    objects = {document["kind"]: document for _, document in OBJECTS}
    template = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = template["containers"]
    name, *words = container["args"]
    command = root.get_command(click.Context(root), name)
    assert command is not None
    command.make_context(name, [*words], parent=click.Context(root))
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in template["volumes"]} == set(mounts)
    [file] = objects["ConfigMap"]["data"]
    assert words[-1] == f"{mounts['configuration']}/{file}"
    configuration = tmp_path / file
    configuration.write_text(real(objects["ConfigMap"]["data"][file]))
    found = load(configuration, credentials=False)
    assert found.vault.auth.jwt is not None
    assert found.vault.auth.jwt.target == f"{mounts['token']}/token"
    assert found.control is None
    assert found.specs["billing"].path == f"{MOUNT}/{PATH}"


# --- Nomad ----------------------------------------------------------------------------------------------------------


def test_the_template_of_nomad_is_rendered_by_the_agent_that_nomad_uses(tmp_path: Path) -> None:
    """Nomad renders with the library of the agent. No schema of its jobs is published: the rest is read as HCL alone."""
    job = hcl2.loads((CONFIG / "consumers" / "billing.nomad.hcl").read_text())
    text = json.dumps(job)
    assert '"change_mode"' in text
    data = re.search(
        r"data = <<-EOT\n(.*?)\n +EOT\n", (CONFIG / "consumers" / "billing.nomad.hcl").read_text(), re.DOTALL
    )
    assert data
    with OpenBao() as vault:
        fields = {"access_key": "SCWBILLING0000000001", "secret_key": "a-secret", "default_project_id": "a-project"}
        vault.admin("POST", f"{MOUNT}/data/{PATH}", {"data": fields})
        vault.policy("billing", f'path "{MOUNT}/data/{PATH}" {{ capabilities = ["read"] }}')
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text(vault.token(["billing"]).reveal())
        config = tmp_path / "agent.hcl"
        config.write_text(
            f'vault {{\n  address = "{vault.address}"\n}}\n'
            f'auto_auth {{\n  method "token_file" {{\n    config = {{ token_file_path = "{token}" }}\n  }}\n}}\n'
            f'template {{\n  destination = "{tmp_path}/out"\n  error_on_missing_key = true\n'
            f"  contents = <<-EOT\n{data[1]}\n        EOT\n}}\n"
        )
        agent = vault.agent(config, tmp_path / "log")
        wait_until((tmp_path / "out").exists, f"the template is rendered (the log is {tmp_path}/log)")
        agent.end()
    lines = [line.strip() for line in (tmp_path / "out").read_text().splitlines()]
    assert lines == [
        "SCW_ACCESS_KEY=SCWBILLING0000000001",
        "SCW_SECRET_KEY=a-secret",
        "SCW_DEFAULT_PROJECT_ID=a-project",
    ]


# --- Terraform ------------------------------------------------------------------------------------------------------


def test_terraform_has_the_policy_that_the_program_prints_and_names_that_the_provider_knows(tmp_path: Path) -> None:
    text = (CONFIG / "terraform" / "rotator.tf").read_text()
    small = tmp_path / "rotator.toml"
    small.write_text(real((CONFIG / "rotator.small.toml").read_text()))
    printed = render([daemon_policy(load(small, credentials=False))], "terraform")
    reference = "vault_auth_backend.approle.path"
    assert text.replace(reference, '"approle"').endswith(printed), (
        "put in what rotator policy --format terraform prints"
    )
    known = json.loads((SCHEMAS / "terraform-vault.json").read_text())["resources"]
    for resource in hcl2.loads(text)["resource"]:
        for kind, bodies in resource.items():
            for body in bodies.values():
                names = {name for name in body if not name.startswith("__")}
                assert names <= set(known[kind.strip('"')]), kind


# --- Ansible --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ansible(tmp_path: Path) -> dict[str, str]:
    """The environment of Ansible, with `rotator` in its path. Nothing of the user's own settings is read."""
    folder = Path(sys.executable).parent
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }


def playbook(environment: dict[str, str], *words: str) -> str:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "--inventory", "machine,", *words, "playbook.yml"]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, cwd=CONFIG / "ansible", env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_role_of_ansible_has_the_syntax_of_ansible(ansible: dict[str, str]) -> None:
    assert "playbook: playbook.yml" in playbook(ansible, "--syntax-check")


def test_the_role_of_ansible_writes_a_configuration_once_that_is_sound(ansible: dict[str, str], tmp_path: Path) -> None:
    """The tasks of the tag `configuration` run here. Package, credentials and service need root and systemd."""
    tasks = yaml.safe_load((CONFIG / "ansible" / "playbook.yml").read_text())
    variables = tasks[0]["roles"][0]["vars"] | {"rotator_directory": str(tmp_path), "ansible_become": False}
    (tmp_path / "values.json").write_text(real(json.dumps(variables | {"rotator_credentials": {}})))
    shutil.copytree(CONFIG / "ansible", tmp_path / "role")
    words = [
        *("--connection", "local", "--limit", "machine", "--tags", "configuration"),
        *("--extra-vars", f"@{tmp_path}/values.json", "--extra-vars", f"ansible_python_interpreter={sys.executable}"),
    ]
    inventory = ["--inventory", str(tmp_path / "hosts")]
    (tmp_path / "hosts").write_text("[rotator]\nmachine\n")
    assert "changed=2" in playbook(ansible, *inventory, *words)
    assert set(load(tmp_path / "rotator.toml", credentials=False).specs) == {"billing"}
    written = (tmp_path / "rotator.toml").read_text()
    assert "changed=0" in playbook(ansible, *inventory, *words)
    assert (tmp_path / "rotator.toml").read_text() == written


def test_the_role_names_only_answers_that_exist() -> None:
    """Each option of the template is one that `rotator init` understands: the run above accepts them, and uses each variable."""
    defaults = yaml.safe_load((CONFIG / "ansible/roles/rotator/defaults/main.yml").read_text())
    used = "".join(
        file.read_text()
        for folder in ("tasks", "templates")
        for file in (CONFIG / "ansible/roles/rotator" / folder).iterdir()
    )
    assert {name for name in defaults if name not in used} == set()
    assert set(re.findall(r"\brotator_\w+", used)) <= set(defaults)


def test_the_page_leads_to_every_file() -> None:
    page = (ROOT / "docs" / "integrations.md").read_text()
    files = ["consumers/external-secrets.yaml", "consumers/vault-secrets-operator.yaml", "consumers/billing.nomad.hcl"]
    files += ["kubernetes/cronjob.yaml", "terraform/rotator.tf", "ansible/playbook.yml"]
    assert all(f"](../config/{file})" in page for file in files)
