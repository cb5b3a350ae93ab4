"""The page of metrics of a running service, as a real Prometheus scrapes it; the dashboard and the alert rules are for it."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from partage import measures
from partage.main.metrics_exporter import OBSERVED
from partage.main.process import listening
from partage.measures import Counter, Durations, Measure
from tests import standalone
from tests.main.serving import Serving, serving
from tests.standalone import RunningKeystone

MONITORING = Path(__file__).parents[2] / "monitoring"
needs_prometheus = pytest.mark.skipif(not (shutil.which("promtool") and shutil.which("prometheus")), reason="needs prometheus")


@pytest.fixture(scope="module")
def measured_service(keystone: RunningKeystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, str]]:
    """Give a service of two workers that has served some requests, and the URL of its metrics."""
    port = listening.find_free_port()
    token = keystone.token("user-a", "project-a")
    with serving(keystone, tmp_path_factory.mktemp("measured"), PARTAGE_METRICS__PORT=str(port), PARTAGE_WORKERS="2") as live:
        given = {"X-Auth-Token": token, "Content-Type": "application/octet-stream"}
        formats = {"disk_format": "raw", "container_format": "bare"}
        image = requests.post(f"{live.url}/v2/images", json=formats, headers={"X-Auth-Token": token}, timeout=60).json()["id"]
        requests.put(f"{live.url}/v2/images/{image}/file", data=b"x" * 5000, headers=given, timeout=60)
        for _ in range(8):  # each on a connection of its own, so that both workers have some
            requests.get(f"{live.url}/v2/images/{image}", headers={"X-Auth-Token": token}, timeout=60)
        yield live, f"http://127.0.0.1:{port}"


def page_of(url: str) -> str:
    return requests.get(f"{url}/metrics", timeout=60).text


def names_of(measure: Measure) -> set[str]:
    """Give the names under which Prometheus has a measure."""
    name = f"partage_{measure.name}"
    if isinstance(measure, Durations):
        return {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return {f"{name}_total" if isinstance(measure, Counter) else name}


NAMES = {name for measure in (*measures.ALL, *OBSERVED) for name in names_of(measure)}


def test_requests_of_all_workers_are_counted_once(measured_service: tuple[Serving, str]) -> None:
    _live, url = measured_service
    wanted = {"method": "GET", "route": "/v2/images/{image_id}", "status": "200"}

    def count() -> float:
        families = text_string_to_metric_families(page_of(url))
        return sum(each.value for family in families for each in family.samples if each.labels == wanted)

    standalone.wait_for(lambda: count() == 8, seconds=30)


def test_page_has_what_the_database_knows_and_no_id(measured_service: tuple[Serving, str], keystone: RunningKeystone) -> None:
    _live, url = measured_service
    page = page_of(url)
    assert "partage_database_up 1.0" in page
    assert "partage_logical_bytes 5000.0" in page
    assert 'partage_tasks{status="pending"} 0.0' in page
    assert keystone.project_id("project-a") not in page
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", page)


def test_only_the_page_is_served(measured_service: tuple[Serving, str]) -> None:
    _live, url = measured_service
    assert requests.get(f"{url}/v2/images", timeout=60).status_code == 404
    assert requests.post(f"{url}/metrics", timeout=60).status_code == 405


def test_counters_go_on_when_a_worker_is_killed(measured_service: tuple[Serving, str]) -> None:
    live, url = measured_service
    line = 'partage_http_requests_total{method="GET",route="/v2/images/{image_id}",status="200"} 8.0'
    standalone.wait_for(lambda: line in page_of(url), seconds=30)
    before = live.workers
    subprocess.run(["kill", "-9", str(before[0])], check=True)
    standalone.wait_for(lambda: len(live.workers) == len(before) and before[0] not in live.workers, seconds=60)
    assert line in page_of(url)


def expressions() -> list[str]:
    """List the queries of the dashboard, with Grafana's variables as it would replace them."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [each.replace("$instance", ".*").replace("$__rate_interval", "1m") for each in found]


def test_panels_of_the_dashboard_have_their_own_ids_and_places() -> None:
    """Grafana drops a panel whose id another one has, and moves those that overlap."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert len({each["id"] for each in panels}) == len(panels) > 20
    places = [each["gridPos"] for each in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len({*cells})
    assert max(x for x, _y in cells) < 24


def test_dashboard_and_alerts_use_only_measures_that_there_are() -> None:
    used = set(re.findall(r"partage_[a-z_]+", " ".join(expressions()) + (MONITORING / "alerts.yaml").read_text()))
    assert len(expressions()) > 20
    assert used
    assert used - NAMES == set()


@needs_prometheus
def test_page_and_rules_are_valid_for_promtool(measured_service: tuple[Serving, str]) -> None:
    _live, url = measured_service
    checked = subprocess.run(["promtool", "check", "metrics"], input=page_of(url), text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    for arguments in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run(["promtool", *arguments], cwd=MONITORING, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_prometheus_scrapes_and_answers_the_queries_of_the_dashboard(measured_service: tuple[Serving, str], tmp_path: Path) -> None:
    _live, url = measured_service
    port = listening.find_free_port()
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yaml")],
        "scrape_configs": [{"job_name": "partage", "static_configs": [{"targets": [url.removeprefix("http://")]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

    def ask(path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return json.load(answer)["data"]

    try:
        standalone.wait_for(lambda: standalone.answers(f"http://127.0.0.1:{port}/-/ready") == 200, seconds=120)
        standalone.wait_for(lambda: ask("query", query='up{job="partage"} == 1')["result"], seconds=60)
        standalone.wait_for(lambda: len(ask("query", query="count_over_time(partage_build_info[1m]) > 2")["result"]), seconds=60)
        for each in expressions():
            ask("query", query=each)  # an invalid query is answered with 400
        groups = ask("rules")["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert len([rule for group in groups for rule in group["rules"]]) == 11
        assert ask("query", query="sum(partage_http_requests_total)")["result"]
    finally:
        process.terminate()
        process.wait(60)
