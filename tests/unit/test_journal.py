"""The journal keeps what it was given, whatever a crash tears off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regulars_server.journal import Journal
from regulars_sync.errors import LocalError, Refused


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_what_was_appended_is_read_in_order(journal: Journal) -> None:
    assert list(journal.records()) == []
    for number in range(3):
        journal.append({"do": "revoke", "device": str(number)})
    assert [record["device"] for record in Journal(journal.path.parent).records()] == ["0", "1", "2"]


@pytest.mark.parametrize("torn", [b"{", b'{"do":"wipe","device":"1"}', b"\xff" * 70_000])
def test_a_torn_last_line_is_no_record_and_spoils_none(journal: Journal, torn: bytes) -> None:
    journal.append({"device": "0"})
    with journal.path.open("ab") as file:
        file.write(torn)
    assert list(journal.records()) == [{"device": "0"}]
    journal.append({"device": "2"})
    assert list(journal.records()) == [{"device": "0"}, {"device": "2"}]


def test_a_journal_that_is_all_torn_begins_anew(journal: Journal) -> None:
    journal.path.write_bytes(b'{"de')
    journal.append({"device": "2"})
    assert list(journal.records()) == [{"device": "2"}]


@pytest.mark.parametrize("line", [b"{nonsense}\n", b"[1]\n", b"\n"])
def test_damage_in_the_middle_is_not_passed_over(journal: Journal, line: bytes) -> None:
    journal.path.write_bytes(line + b'{"device":"2"}\n')
    with pytest.raises(LocalError, match="file_damaged"):
        list(journal.records())


def test_a_record_is_on_the_disk_before_append_returns(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []

    def fsync(file: int) -> None:
        synced.append(journal.path.read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    journal.append({"device": "0"})
    assert synced == 2 * [b'{"device":"0"}\n'], "the folder of a new file too"


def test_a_record_that_can_not_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="storage_full"):
        Journal(tmp_path / "nowhere").append({"device": "0"})
