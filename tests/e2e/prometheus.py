"""A real Prometheus that scrapes a real daemon and evaluates the alert rules that we ship."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

from rotator.sandbox.process import Process, free_port, wait_until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "rotator.rules.yml"

CONFIGURATION = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [ "{rules}" ]
scrape_configs:
  - job_name: rotator
    static_configs: [ {{ targets: [ "127.0.0.1:{target}" ] }} ]
"""


def binary() -> str | None:
    return shutil.which("prometheus")


class Prometheus:
    """Enter it to start. The rules are ours, with the one change that alerts need no patience."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="rotator-prometheus-"))
        rules, changed = re.subn(r"^        for: \w+$", "        for: 0s", RULES.read_text(), flags=re.MULTILINE)
        assert changed == rules.count("- alert:")
        (self.directory / "rules.yml").write_text(rules)
        configuration = self.directory / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(rules=self.directory / "rules.yml", target=self.target))
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [str(binary()), f"--config.file={configuration}", f"--storage.tsdb.path={self.directory / 'data'}"]
        command += [f"--web.listen-address={self.url.removeprefix('http://')}", "--storage.tsdb.retention.time=2h"]
        self.process = Process(command, self.directory / "log")
        wait_until(self.ready, f"Prometheus is ready (its log is in {self.directory})")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def ready(self) -> bool:
        try:
            self._get("/-/ready")
        except OSError:
            return False
        return True

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now: each series with its labels and its value."""
        answer = json.loads(self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def fires(self, alert: str, **labels: str) -> bool:
        """Whether the alert fires now, about what these labels say."""
        return bool(self.query(_alert(alert, labels)))

    def is_clear(self, alert: str, **labels: str) -> bool:
        """Whether it does not, although the daemon was scraped."""
        return bool(self.query(f'up{{job="rotator"}} == 1 unless on () {_alert(alert, labels)}'))

    def names(self) -> set[str]:
        """Every metric that was ever scraped."""
        found: list[str] = json.loads(self._get("/api/v1/label/__name__/values"))["data"]
        return set(found)

    def everything(self) -> str:
        """All series that were ever scraped."""
        return self._get("/api/v1/series?" + urllib.parse.urlencode({"match[]": '{job="rotator"}'}))

    def _get(self, path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=30) as answer:
            text: str = answer.read().decode()
            return text


def _alert(name: str, labels: dict[str, str]) -> str:
    told = {"alertname": name, "alertstate": "firing", **labels}
    return "ALERTS{" + ", ".join(f'{label}="{value}"' for label, value in told.items()) + "}"
