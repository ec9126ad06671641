"""docs/OPERATIONS.md and examples/operations name only what exists, and the machine takes the files."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from regulars_server.cli import create_cli
from regulars_server.settings import Settings
from regulars_server.telemetry.declared import METRICS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "examples" / "operations").iterdir())
PAGE = (ROOT / "docs" / "OPERATIONS.md").read_text("utf-8")
TEXTS = {path.name: path.read_text("utf-8") for path in FILES} | {"OPERATIONS.md": PAGE}
SETTINGS = {f"REGULARS_{field.name.upper()}" for field in fields(Settings)}
OUTSIDE = {
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_RESOURCE_ATTRIBUTES",
}  # fmt: skip
"""OpenTelemetry's own, as its specification names them."""
PARTS = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",), "figure": ("",)}
SERIES = {f"{metric.name}{part}" for metric in METRICS for part in PARTS[metric.kind]}
LABELS = {label for metric in METRICS for label in metric.labels} | {"job", "le"}


@pytest.mark.parametrize("name", TEXTS)
def test_each_setting_that_is_named_exists(name: str):
    named = set(re.findall(r"\b(?:REGULARS|OTEL)_[A-Z_]*[A-Z]\b", TEXTS[name]))
    assert named <= SETTINGS | OUTSIDE


@pytest.mark.parametrize("name", TEXTS)
def test_each_metric_that_is_named_exists(name: str):
    named = set(re.findall(r"\bregulars_[a-z_]+\b", TEXTS[name]))
    assert named <= SERIES | {metric.name for metric in METRICS}


def test_each_series_that_an_alert_asks_for_exists():
    asked = re.findall(r"(?m)^ +expr: (.*)$", TEXTS["alerts.yml"])
    for expression in asked:
        assert set(re.findall(r"\bregulars_[a-z_]+\b", expression)) <= SERIES
    assert len(asked) == TEXTS["alerts.yml"].count("- alert:")


def test_each_alert_asks_for_labels_that_its_metrics_have():
    rules = TEXTS["alerts.yml"]
    assert len(re.findall(r"- alert:", rules)) == len(re.findall(r"summary:", rules)) >= 8
    used = re.findall(r"[{,](\w+)=~?\"", rules) + re.findall(r"\$labels\.(\w+)", rules)
    used += [label for group in re.findall(r"by \(([^)]*)\)", rules) for label in group.split(", ")]
    assert set(used) <= LABELS


def test_each_command_that_is_named_exists():
    root = typer.main.get_command(create_cli())
    found = 0
    for text in TEXTS.values():
        for line in re.findall(r"\bregulars ((?:[a-z]+ ?)+(?:[^`\n]*))", text):
            words = re.match(r"([a-z]+)(?: ([a-z]+))?", line)
            assert words is not None
            command = getattr(root, "commands", {}).get(words[1])
            if command is None:
                continue
            inner = getattr(command, "commands", None)
            if inner is not None:
                assert words[2] in inner, line
                command = inner[words[2]]
            options = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[a-z-]+", line.split("`")[0].split("|")[0])) <= options, line
            found += 1
    assert found >= 15


def test_no_command_of_the_page_is_made_up():
    known = getattr(typer.main.get_command(create_cli()), "commands", {})
    named = set(re.findall(r"(?m)(?:`|^ +)regulars ([a-z]+)", PAGE))
    assert {"serve", "doctor", "backup"} <= named <= known.keys()


def test_each_file_is_named_by_the_page():
    assert not [path.name for path in FILES if f"`{path.name}`" not in PAGE]
    for name in re.findall(r"\]\(([^)#:]+)\)|`((?:docs|bench|examples)/[\w./]+)`", PAGE):
        assert (ROOT / (name[0] or name[1])).exists(), name


def test_units_have_what_systemd_asks_of_them_and_it_takes_them_where_it_is(tmp_path: Path):
    units = [path for path in FILES if path.suffix in {".service", ".timer"}]
    assert len(units) == 3
    for path in units:
        text = path.read_text("utf-8")
        sections = re.findall(r"(?m)^\[(\w+)\]$", text)
        assert sections[:2] == ["Unit", path.suffix[1:].title()], path.name
        for line in text.splitlines():
            assert re.fullmatch(r"|#.*|\[\w+\]|[A-Z]\w*=.*", line), (path.name, line)
        if path.suffix == ".service":
            assert re.search(r"(?m)^ExecStart=/opt/regulars/.venv/bin/regulars \w+", text), path.name
        text = text.replace("/opt/regulars/.venv/bin/regulars", shutil.which("true") or "")
        (tmp_path / path.name).write_text(re.sub(r"(?m)^(User|Group)=.*\n", "", text))
    if systemd := shutil.which("systemd-analyze"):
        made = [str(tmp_path / path.name) for path in units]
        done = subprocess.run([systemd, "verify", *made], capture_output=True, text=True, timeout=60)
        ours = [line for line in done.stderr.splitlines() if "regulars" in line]
        assert (done.returncode, ours) == (0, [])


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_special():
    lines = TEXTS["Containerfile"]
    assert len(re.findall(r"(?m)^FROM ", lines)) == 2
    assert "--require-hashes" in lines
    assert re.search(r"(?m)^USER \d+:\d+$", lines)
    for name in re.findall(r"(?m)^COPY ([^-].*) \S+$", lines):
        assert all((ROOT / part).exists() for part in name.split())
