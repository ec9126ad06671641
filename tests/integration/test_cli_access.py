"""Commands on who may do what: tokens with scopes, logins that change, trusted documents."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.commands import Commands

PASSWORD = "correct horse"
NAMES = "query Names { customers { nodes { name } } }"
HASH = sha256(NAMES.encode()).hexdigest()


@pytest.fixture
def regulars(tmp_path: Path) -> Commands:
    """A chain with a company and an administrator."""
    commands = Commands(tmp_path / "chain")
    assert commands("init", "--name", "Songhe", "--password-stdin", stdin=PASSWORD).code == 0
    return commands


def test_a_token_is_made_with_scopes_listed_ended_and_told_of(regulars: Commands):
    scopes = ("--scope", "read:customers", "--scope", "write:interactions")
    made = regulars.asked(
        "token", "add", "till", "--role", "clerk", *scopes, "--trusted-only", "--maker", "admin"
    )
    assert made["token"].startswith("rgl_api_")
    (listed,) = regulars.asked("token", "list")
    assert (listed["scopes"], listed["maker"]) == (["read:customers", "write:interactions"], "admin")
    assert listed["last_used"] is None
    id = made["id"]
    regulars.asked("token", "expire", id, "--days", "1")
    assert regulars.asked("token", "rotate", id, "--hours", "1")["token"] != made["token"]
    assert regulars.asked("token", "revoke", id)["revoked"]
    told = [event["did"] for event in regulars.asked("token", "history", id)]
    assert told == ["token_made", "token_expires", "token_rotated", "token_revoked"]
    for wrong in (("--scope", "read:everything"), ("--scope", "admin:tokens"), ("--maker", "nobody")):
        assert regulars.problem("token", "add", "x", *wrong)["code"] in ("argument_invalid", "not_found")
    assert len(regulars.asked("token", "list")) == 1


def test_a_login_is_given_another_role(regulars: Commands):
    regulars("login", "add", "wang", "--role", "manager", "--password-stdin", stdin=PASSWORD)
    assert regulars.asked("login", "change", "wang", "--role", "clerk") == {"name": "wang", "role": "clerk"}
    roles = {one["name"]: one["role"] for one in regulars.asked("login", "list")}
    assert roles["wang"] == "clerk"
    assert regulars.problem("login", "change", "nobody", "--role", "clerk")["code"] == "not_found"
    assert regulars.problem("login", "change", "wang", "--role", "boss")["code"] == "argument_invalid"


def test_documents_are_published_whole_or_not_at_all_listed_and_retired(regulars: Commands, tmp_path: Path):
    built, plain, wrong = (tmp_path / name for name in ("persisted.json", "names.graphql", "wrong.json"))
    built.write_text(json.dumps({HASH: NAMES, "relay-7": "query Me { me { name } }"}), "utf-8")
    assert regulars.asked("documents", "publish", str(built))["new"] == ["relay-7", f"sha256:{HASH}"]
    plain.write_text(NAMES, "utf-8")
    again = regulars.asked("documents", "publish", str(plain))
    assert (again["published"], again["new"]) == ([f"sha256:{HASH}"], [])
    for given in (
        {"good": "{ me { name } }", "bad": "{ me { nam } }"},
        {"good": "{ me { name } }", "relay-7": "{ me { role } }"},
        {"good": "{ me { name } }", "sha256:" + "0" * 64: NAMES},
        {"good": "{ me { name } }", "": NAMES},
        {"good": "{ me { name } }", "x": 7},
        ["{ me { name } }"],
    ):
        wrong.write_text(json.dumps(given), "utf-8")
        assert regulars.problem("documents", "publish", str(wrong))["code"] == "argument_invalid"
    listed = {one["id"]: one for one in regulars.asked("documents", "list")}
    assert set(listed) == {f"sha256:{HASH}", "relay-7"}
    assert all(one["fits"] and one["retired"] is None for one in listed.values())
    assert listed["relay-7"]["name"] == "Me"
    regulars.asked("documents", "retire", "relay-7")
    assert regulars.problem("documents", "retire", "never")["code"] == "document_unknown"
    listed = {one["id"]: one for one in regulars.asked("documents", "list")}
    assert listed["relay-7"]["retired"] is not None
