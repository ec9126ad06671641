"""Who may come in: logins, sessions, tokens and pairing codes, on a SQLite file and on PostgreSQL."""

import asyncio
import itertools
import random
import sqlite3
import warnings
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import asyncpg
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from regulars_server.access import ACCESS_DDL, Access, Argon2, Invitation
from regulars_server.access.access import CODE_DIGITS, KEPT_MS, SESSION_MS
from regulars_server.access.bearers import digest, is_whole, write
from regulars_server.access.counts import MemoryCounts
from regulars_server.access.models import TokenRow
from regulars_server.access.postgres import AccessTables
from regulars_server.access.throttle import TRIES_FREE, Throttle, remote_keys
from regulars_server.storage.postgres import Address
from regulars_sync.errors import Refused
from tests.support.postgres import in_own_loop

CHEAP = Argon2(passes=1, memory_kib=8, lanes=1)
START = 1_790_000_000_000
PASSWORD = "correct horse"


class Clock:
    def __init__(self):
        self.ms = START

    def __call__(self):
        return self.ms

    def pass_(self, seconds=0, minutes=0, hours=0):
        self.ms += round(1_000 * (seconds + 60 * (minutes + 60 * hours)))


def make_file(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in ACCESS_DDL:
            connection.execute(statement)
    return path


def query(path, sql, *values):
    if isinstance(path, str):
        return in_own_loop(query_postgres(path, sql))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, values).fetchall()


async def query_postgres(url, sql):
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def database_at(path):
    return AccessTables(Address.parse(path)) if isinstance(path, str) else path


def make_access(path, clock, seed=1, argon2=CHEAP, busy_ms=5_000):
    path = database_at(path)
    return Access(path, now_ms=clock, entropy=random.Random(seed).randbytes, argon2=argon2, busy_ms=busy_ms)


@asynccontextmanager
async def opened(access):
    await access.open()
    try:
        yield access
    finally:
        await access.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    return make_file(tmp_path / "chain.db")


@pytest.fixture(params=["sqlite", "postgres"])
def path(request):
    """A file, or the address of a database, with the tables."""
    return request.getfixturevalue("file" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
async def access(path, clock):
    async with opened(make_access(path, clock)) as access:
        yield access


@pytest.fixture
def verified(monkeypatch):
    """The hashes that were compared with, in order."""
    seen = []
    verify = PasswordHasher.verify

    def counting(self, hash, password):
        seen.append(hash)
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    return seen


async def refusal(awaitable):
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value


async def code_of(awaitable):
    return (await refusal(awaitable)).code


async def device(access, id="dev-1", **more):
    return await access.new_token("device", "Till 1", "device", ["u1"], False, owner=id, **more)


# --- logins ------------------------------------------------------------------------------------------


async def test_a_login_gives_a_session_with_what_was_granted(access):
    made = await access.add_login("Lin", PASSWORD, "manager", staff="s1", units=["u2", "u1"], sensitive=True)
    principal, bearer = await access.login("Lin", PASSWORD)
    assert await access.principal(bearer) == principal
    assert bearer.startswith("rgl_ses_")
    assert (principal.kind, principal.role, principal.staff, principal.device) == (
        "session", "manager", "s1", None,
    )  # fmt: skip
    assert (principal.units, principal.sensitive, principal.revoked) == (("u1", "u2"), True, False)
    assert await access.logins() == [made]


async def test_a_login_without_units_reaches_the_whole_chain_and_one_with_none_reaches_nothing(access):
    await access.add_login("head", PASSWORD, "admin")
    await access.add_login("guest", PASSWORD, "clerk", units=[])
    assert (await access.login("head", PASSWORD))[0].units is None
    assert (await access.login("guest", PASSWORD))[0].units == ()


async def test_a_name_and_a_password_are_the_same_however_they_are_typed(access):
    await access.add_login("Ｌin", "ｐassword１２", "clerk")
    assert (await access.login(" lIN ", "password12"))[0].name == "lin"
    refused = await refusal(access.add_login("LIN", PASSWORD, "clerk"))
    assert (refused.code, "already" in refused.text()) == ("argument_invalid", True)


@pytest.mark.parametrize(
    ("name", "password", "role"),
    [
        ("lin", "short12", "clerk"),
        ("lin", "x" * 1_001, "clerk"),
        ("longname", "LongName", "clerk"),
        ("", PASSWORD, "clerk"),
        ("a\nb", PASSWORD, "clerk"),
        ("n" * 101, PASSWORD, "clerk"),
        ("lin", PASSWORD, "device"),
        ("lin", PASSWORD, "king"),
    ],
)
async def test_a_login_that_can_not_be_had_is_refused(access, name, password, role):
    assert await code_of(access.add_login(name, password, role)) == "argument_invalid"
    assert await access.logins() == []


async def test_wrong_password_unknown_name_and_deactivated_login_are_told_alike(access, verified):
    await access.add_login("lin", PASSWORD, "clerk")
    await access.add_login("gone", PASSWORD, "clerk")
    await access.deactivate("gone")
    told = []
    for name, password in [
        ("lin", "wrong horse"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("lin", "x" * 9_999),
    ]:
        before = len(verified)
        refused = await refusal(access.login(name, password))
        told.append((refused.code, str(refused), len(verified) - before))
    assert len(set(told)) == 1
    assert told[0][::2] == ("login_failed", 1)


async def test_the_dummy_hash_costs_what_a_real_one_costs(access, path, verified):
    await access.add_login("lin", PASSWORD, "clerk")
    await refusal(access.login("lin", "wrong horse"))
    await refusal(access.login("nobody", "wrong horse"))
    known, unknown = (hash.rsplit("$", 2)[0] for hash in verified)
    assert known == unknown


async def test_a_session_ends_after_twelve_hours(access, clock):
    await access.add_login("lin", PASSWORD, "clerk")
    _, bearer = await access.login("lin", PASSWORD)
    clock.ms = START + SESSION_MS - 1
    await access.principal(bearer)
    clock.pass_(seconds=0.001)
    assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_a_new_password_ends_every_session_and_the_old_password(access):
    await access.add_login("lin", PASSWORD, "clerk")
    await access.add_login("mei", PASSWORD, "clerk")
    bearers = [(await access.login("lin", PASSWORD))[1] for _ in range(3)]
    _, other = await access.login("mei", PASSWORD)
    for bearer in bearers:
        await access.principal(bearer)
    await access.set_password("LIN", "another horse")
    for bearer in bearers:
        assert await code_of(access.principal(bearer)) == "token_invalid"
    assert await code_of(access.login("lin", PASSWORD)) == "login_failed"
    _, again = await access.login("lin", "another horse")
    assert (await access.principal(again)).name == "lin"
    assert (await access.principal(other)).name == "mei"


async def test_a_session_that_began_while_the_password_was_changed_is_worth_nothing(access):
    await access.add_login("lin", PASSWORD, "clerk")
    hash_password = access._passwords.fits

    async def changed_meanwhile(password, hashed):
        fits = await hash_password(password, hashed)
        await access.set_password("lin", "another horse")
        return fits

    access._passwords.fits = changed_meanwhile
    _, bearer = await access.login("lin", PASSWORD)
    assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_a_deactivated_login_ends_its_sessions_and_comes_back_without_them(access):
    await access.add_login("lin", PASSWORD, "clerk")
    _, bearer = await access.login("lin", PASSWORD)
    await access.principal(bearer)
    await access.deactivate("lin")
    assert await code_of(access.principal(bearer)) == "token_invalid"
    await access.activate("lin")
    assert await code_of(access.principal(bearer)) == "token_invalid"
    await access.login("lin", PASSWORD)


async def test_an_unknown_login_can_not_be_changed(access):
    for change in (
        access.set_password("nobody", PASSWORD),
        access.deactivate("nobody"),
        access.activate("nobody"),
    ):
        assert await code_of(change) == "not_found"


async def test_a_login_hashed_at_another_cost_is_hashed_again_and_keeps_its_sessions(path, clock):
    async with opened(make_access(path, clock)) as access:
        await access.add_login("lin", PASSWORD, "clerk")
        _, bearer = await access.login("lin", PASSWORD)
        [(before,)] = query(path, "SELECT password FROM login")
    async with opened(make_access(path, clock, seed=2, argon2=replace(CHEAP, passes=2))) as access:
        await access.login("lin", PASSWORD)
        [(after,)] = query(path, "SELECT password FROM login")
        assert ("t=1" in before, "t=2" in after) == (True, True)
        await access.login("lin", PASSWORD)
        assert query(path, "SELECT password FROM login") == [(after,)]
        assert (await access.principal(bearer)).name == "lin"


# --- wrong tries -------------------------------------------------------------------------------------


async def wrong(access, name, times, remote=None):
    return [await code_of(access.login(name, "wrong horse", remote)) for _ in range(times)]


async def test_after_five_wrong_tries_a_name_waits_longer_and_longer(access, clock):
    await access.add_login("lin", PASSWORD, "clerk")
    assert await wrong(access, "lin", 5) == ["login_failed"] * 5
    waits = []
    for _ in range(11):
        refused = await refusal(access.login("lin", PASSWORD))
        assert refused.code == "too_many_tries"
        waits.append(refused.detail["seconds"])
        clock.pass_(seconds=waits[-1])
        assert await wrong(access, "lin", 1) == ["login_failed"]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


async def test_an_unknown_name_waits_as_a_known_one_does(access):
    assert await wrong(access, "nobody", 6) == ["login_failed"] * 5 + ["too_many_tries"]


async def test_an_address_waits_over_all_names(access, clock):
    await access.add_login("lin", PASSWORD, "clerk")
    for i in range(5):
        await wrong(access, f"guess{i}", 1, "192.0.2.7")
    assert await code_of(access.login("lin", PASSWORD, "192.0.2.7")) == "too_many_tries"
    await access.login("lin", PASSWORD, "192.0.2.8")
    clock.pass_(seconds=1)
    await access.login("lin", PASSWORD, "192.0.2.7")


async def test_the_right_password_forgives_the_name_but_not_the_address(access):
    await access.add_login("lin", PASSWORD, "clerk")
    for _ in range(3):
        await wrong(access, "lin", 1, "192.0.2.7")
        await access.login("lin", PASSWORD, "192.0.2.7")
    await wrong(access, "lin", 2, "192.0.2.7")
    assert await code_of(access.login("lin", PASSWORD, "192.0.2.7")) == "too_many_tries"
    await access.login("lin", PASSWORD)


async def test_a_hundred_wrong_tries_at_once_are_five(access, verified):
    await access.add_login("lin", PASSWORD, "clerk")
    codes = await asyncio.gather(*(code_of(access.login("lin", f"wrong horse {i}")) for i in range(100)))
    assert (codes.count("login_failed"), codes.count("too_many_tries")) == (5, 95)
    assert len(verified) == 5


async def test_a_clock_set_back_does_not_lengthen_the_wait():
    clock = Clock()
    throttle = Throttle(MemoryCounts(), clock)
    for _ in range(TRIES_FREE):
        await throttle.take([("name", "lin")])
    clock.pass_(hours=-9_000)
    with pytest.raises(Refused) as caught:
        await throttle.take([("name", "lin")])
    assert caught.value.detail == {"seconds": 1}
    clock.pass_(seconds=1)
    await throttle.take([("name", "lin")])


async def test_wrong_tries_are_forgotten_after_a_while():
    clock = Clock()
    throttle = Throttle(MemoryCounts(), clock)
    for _ in range(TRIES_FREE):
        await throttle.take([("name", "lin")])
    clock.pass_(minutes=15)
    for _ in range(TRIES_FREE):
        await throttle.take([("name", "lin")])


async def test_tries_are_counted_together_by_all_who_share_the_database(path, clock):
    """Also those at the same instant, and those before a restart."""
    async with opened(make_access(path, clock)) as one, opened(make_access(path, clock, seed=2)) as other:
        await one.add_login("lin", PASSWORD, "clerk")
        tries = [access.login("lin", f"wrong horse {i}") for i in range(10) for access in (one, other)]
        codes = await asyncio.gather(*map(code_of, tries))
        assert (codes.count("login_failed"), codes.count("too_many_tries")) == (5, 15)
    async with opened(make_access(path, clock, seed=3)) as again:
        assert await code_of(again.login("lin", PASSWORD)) == "too_many_tries"
        clock.pass_(seconds=1)
        await again.login("lin", PASSWORD)
        assert await wrong(again, "lin", 6) == ["login_failed"] * 5 + ["too_many_tries"]


async def test_what_is_counted_names_nobody_and_goes_when_it_counts_no_longer(access, path, clock):
    await wrong(access, "a password typed as a name", 1)
    ((key, _, _),) = query(path, "SELECT * FROM counted")
    assert set(key) <= set("0123456789abcdef")
    clock.pass_(minutes=14)
    await access.counts.tidy()
    assert query(path, "SELECT count(*) FROM counted") == [(1,)]
    clock.pass_(minutes=2)
    await access.counts.tidy()
    assert query(path, "SELECT count(*) FROM counted") == [(0,)]


async def test_a_password_that_can_not_be_counted_is_not_tried(access, path, verified):
    await access.add_login("lin", PASSWORD, "clerk")
    query(path, "DROP TABLE counted")
    with pytest.raises(Exception, match="counted"):
        await access.login("lin", PASSWORD)
    assert verified == []


def test_an_address_is_one_key_however_it_is_spelled():
    assert remote_keys("2001:db8::1") == remote_keys("2001:db8:0:0:ffff::2") != remote_keys("2001:db8:0:1::1")
    assert remote_keys("::ffff:192.0.2.7") == remote_keys("192.0.2.7") != remote_keys("192.0.2.8")
    assert remote_keys("fe80::1%eth0") == remote_keys("fe80::2")
    assert (remote_keys(None), remote_keys("testclient")) == ([], [("remote", "testclient")])


# --- tokens -----------------------------------------------------------------------------------------


async def test_a_device_token_names_its_device_and_a_developer_token_its_staff(access):
    id, bearer = await device(access)
    principal = await access.principal(bearer)
    assert (principal.token, principal.device, principal.staff) == (id, "dev-1", None)
    assert (principal.role, principal.units, principal.name) == ("device", ("u1",), "Till 1")
    _, bearer = await access.new_token("developer", "nightly", "analyst", None, True, owner="s1")
    principal = await access.principal(bearer)
    assert (principal.kind, principal.device, principal.staff, principal.units) == (
        "developer",
        None,
        "s1",
        None,
    )


async def test_a_token_that_makes_no_sense_is_refused(access):
    for kind, role, owner in [
        ("device", "device", None),
        ("device", "admin", "d"),
        ("developer", "device", None),
        ("session", "admin", "x"),
    ]:
        assert await code_of(access.new_token(kind, "x", role, None, False, owner)) == "argument_invalid"


async def test_no_bearer_is_missing_and_a_strange_one_is_invalid(access):
    assert await code_of(access.principal(None)) == "token_missing"
    assert await code_of(access.principal("")) == "token_missing"
    for bearer in ("x", "rgl_dev_", "é" * 57, write("device", bytes(32))):
        assert await code_of(access.principal(bearer)) == "token_invalid"


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["device", "developer", "session"]), st.data())
def test_a_bearer_with_one_wrong_character_is_told_apart_without_a_look_up(secret, kind, data):
    bearer = write(kind, secret)
    assert is_whole(bearer)
    at = data.draw(st.integers(8, len(bearer) - 1))
    other = data.draw(st.sampled_from(sorted(set(CODE_DIGITS + "01abcxyz") - {bearer[at]})))
    assert not is_whole(bearer[:at] + other + bearer[at + 1 :])
    assert not is_whole(bearer + "\n")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_two_secrets_never_share_a_bearer(one, other):
    assert (write("device", one) == write("device", other)) == (one == other)
    assert write("device", one) != write("developer", one)


async def test_a_revoked_device_is_told_so_and_every_other_revoked_token_is_invalid(access):
    await access.add_login("lin", PASSWORD, "clerk")
    session, session_bearer = await access.login("lin", PASSWORD)
    program, program_bearer = await access.new_token("developer", "nightly", "analyst", None, False)
    till, till_bearer = await device(access)
    for bearer in (session_bearer, program_bearer, till_bearer):
        assert not (await access.principal(bearer)).revoked
    for id in (session.token, program, till):
        await access.revoke(id)
        await access.revoke(id)
    assert (await access.principal(till_bearer)).revoked
    for bearer in (session_bearer, program_bearer):
        assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_an_expired_token_is_invalid_a_device_too(access, clock):
    _, bearer = await device(access, expires_ms=START + 1_500)
    await access.principal(bearer)
    clock.pass_(seconds=1.499)
    await access.principal(bearer)
    clock.pass_(seconds=0.001)
    assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_a_rotated_token_keeps_its_id_and_serves_under_both_bearers_for_the_grace(access, clock):
    id, old = await device(access)
    await access.principal(old)
    new = await access.rotate(id, grace_ms=60_000)
    assert (await access.principal(old)).token == (await access.principal(new)).token == id
    clock.pass_(seconds=59.999)
    await access.principal(old)
    clock.pass_(seconds=0.001)
    assert await code_of(access.principal(old)) == "token_invalid"
    await access.principal(new)


async def test_a_bearer_rotated_without_grace_ends_at_once(access):
    id, old = await device(access)
    await access.principal(old)
    new = await access.rotate(id, grace_ms=0)
    assert await code_of(access.principal(old)) == "token_invalid"
    await access.rotate(id)
    newest = await access.rotate(id)
    assert await code_of(access.principal(new)) == "token_invalid"
    await access.principal(newest)


async def test_revoking_a_rotated_token_ends_both_bearers(access):
    id, old = await access.new_token("developer", "nightly", "analyst", None, False)
    new = await access.rotate(id)
    await access.revoke(id)
    for bearer in (old, new):
        assert await code_of(access.principal(bearer)) == "token_invalid"
    assert await code_of(access.rotate(id)) == "not_found"


async def test_a_session_is_not_rotated_and_an_unknown_token_is_not_found(access):
    await access.add_login("lin", PASSWORD, "clerk")
    principal, _ = await access.login("lin", PASSWORD)
    assert await code_of(access.rotate(principal.token)) == "argument_invalid"
    for call in (access.token("nope"), access.revoke("nope"), access.rotate("nope")):
        assert await code_of(call) == "not_found"


async def test_the_list_of_tokens_shows_what_ended_and_never_a_bearer(access, clock):
    id, bearer = await device(access)
    clock.pass_(seconds=1)
    await access.revoke(id)
    [token] = await access.tokens()
    assert token == await access.token(id)
    assert (token.created_ms, token.revoked_ms) == (START, START + 1_000)
    assert bearer not in repr(token)
    assert digest(bearer) not in repr(token)


async def test_sessions_long_over_are_swept_away_when_somebody_signs_in(access, clock):
    await access.add_login("lin", PASSWORD, "clerk")
    await access.login("lin", PASSWORD)
    clock.pass_(hours=24 * 32)
    await access.login("lin", PASSWORD)
    assert [token.created_ms for token in await access.tokens()] == [clock.ms]


# --- what is kept in memory ---------------------------------------------------------------------------


async def test_a_request_asks_the_database_once_in_two_seconds(access, path, clock):
    _, bearer = await device(access)
    await access.principal(bearer)
    await access.flush()
    query(path, "DELETE FROM access_token")
    clock.ms += KEPT_MS - 1
    await access.principal(bearer)
    clock.ms += 1
    assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_another_process_learns_of_a_revocation_within_two_seconds(access, path, clock):
    id, bearer = await access.new_token("developer", "nightly", "analyst", None, False)
    async with opened(make_access(path, clock, seed=2)) as other:
        await other.principal(bearer)
        await access.revoke(id)
        clock.ms += KEPT_MS
        assert await code_of(other.principal(bearer)) == "token_invalid"


async def test_a_look_up_that_crosses_a_revocation_is_not_kept(access, monkeypatch):
    id, bearer = await access.new_token("developer", "nightly", "analyst", None, False)
    read = TokenRow.get_or_none

    async def read_then_revoked(**query):
        row = await read(digest=digest(bearer), **query)
        monkeypatch.undo()
        await access.revoke(id)
        return row

    monkeypatch.setattr(TokenRow, "get_or_none", lambda *_, **query: read_then_revoked(**query))
    assert (await access.principal(bearer)).token == id
    assert await code_of(access.principal(bearer)) == "token_invalid"


async def test_the_last_use_is_written_once_a_minute(access, path, clock):
    id, bearer = await device(access)
    written = []
    for _ in range(13):
        await access.principal(bearer)
        await access.flush()
        written.append((await access.token(id)).last_used_ms - START)
        clock.pass_(seconds=10)
    assert written == [0] * 6 + [60_000] * 6 + [120_000]


async def test_a_request_neither_waits_nor_fails_when_the_last_use_can_not_be_written(file, clock):
    async with opened(make_access(file, clock, busy_ms=1)) as access:
        id, bearer = await device(access)
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert (await access.principal(bearer)).token == id
            await access.flush()
            assert (await access.token(id)).last_used_ms is None
            assert await code_of(access.revoke(id)) == "busy"
            writer.execute("ROLLBACK")
        clock.pass_(minutes=1)
        await access.principal(bearer)
        await access.flush()
        assert (await access.token(id)).last_used_ms == clock.ms


# --- pairing -----------------------------------------------------------------------------------------


async def test_a_pairing_code_gives_its_invitation_once(access):
    code = await access.new_pairing_code("u1", "Till 2", sensitive=True)
    assert await access.redeem(code) == Invitation("u1", "Till 2", True)
    assert await code_of(access.redeem(code)) == "pairing_code_invalid"


async def test_a_pairing_code_may_be_typed_in_any_case_and_spacing(access):
    spellings = [
        str.lower,
        lambda c: c.replace("-", ""),
        lambda c: " ".join(c),
        lambda c: c.replace("-", "－"),
    ]
    for spell in spellings:
        code = await access.new_pairing_code("u1", "Till")
        assert (len(code), code[4]) == (9, "-")
        assert not set(code) & set("0O1IL")
        assert (await access.redeem(spell(code))).unit == "u1"


async def test_of_many_tablets_with_one_code_one_gets_in(path, clock):
    async with opened(make_access(path, clock)) as one, opened(make_access(path, clock, seed=2)) as two:
        for _ in range(10):
            code = await one.new_pairing_code("u1", "Till")
            results = await asyncio.gather(
                *(access.redeem(code) for access in (one, two) for _ in range(4)), return_exceptions=True
            )
            assert sum(isinstance(result, Invitation) for result in results) == 1
            assert {r.code for r in results if isinstance(r, Refused)} == {"pairing_code_invalid"}


async def test_a_pairing_code_expires(access, clock):
    code = await access.new_pairing_code("u1", "Till", minutes=15)
    late = await access.new_pairing_code("u1", "Till", minutes=15)
    clock.pass_(minutes=14.99)
    await access.redeem(code)
    clock.pass_(minutes=0.01)
    assert await code_of(access.redeem(late)) == "pairing_code_invalid"


def wrong_codes(code):
    return ["".join(p) for p in itertools.product([code[:5]], CODE_DIGITS, [code[6:]]) if p[1] != code[5]]


async def test_four_wrong_tries_on_a_first_half_pass_and_five_lock_it(access):
    for tries, opens in ((4, True), (5, False)):
        code = await access.new_pairing_code("u1", "Till")
        other = await access.new_pairing_code("u2", "Till")
        for guess in wrong_codes(code)[:tries]:
            assert await code_of(access.redeem(guess)) == "pairing_code_invalid"
        if opens:
            assert (await access.redeem(code)).unit == "u1"
        else:
            assert await code_of(access.redeem(code)) == "pairing_code_invalid"
        assert (await access.redeem(other)).unit == "u2"


async def test_thirty_wrong_codes_at_once_are_judged_five_times(access, verified, path):
    code = await access.new_pairing_code("u1", "Till")
    codes = await asyncio.gather(*(code_of(access.redeem(guess)) for guess in wrong_codes(code)))
    assert set(codes) == {"pairing_code_invalid"}
    [(verifier,)] = query(path, "SELECT verifier FROM pairing_code")
    assert verified.count(verifier) == 5


async def test_every_wrong_code_costs_one_verification_and_is_told_alike(access, verified, clock):
    used = await access.new_pairing_code("u1", "Till")
    await access.redeem(used)
    late = await access.new_pairing_code("u1", "Till", minutes=1)
    clock.pass_(minutes=1)
    fresh = await access.new_pairing_code("u1", "Till")
    told = set()
    for code in (used, late, wrong_codes(fresh)[0], "2222-2222"):
        before = len(verified)
        told.add((str(await refusal(access.redeem(code))), len(verified) - before))
    assert len(told) == 1


async def test_codes_guessed_from_one_address_wait(access):
    for _ in range(5):
        assert await code_of(access.redeem("2222-2222", "192.0.2.7")) == "pairing_code_invalid"
    assert await code_of(access.redeem("2222-2222", "192.0.2.7")) == "too_many_tries"
    code = await access.new_pairing_code("u1", "Till")
    assert await access.redeem(code, "192.0.2.8")


@pytest.mark.parametrize(
    "code", ["", "7K4M", "0O1I-LLLL", "7K4M-2Q9D-7K4M", "七七七七-七七七七", "7K4M-2Q9\x00"]
)
async def test_what_is_no_code_at_all_is_an_invalid_one(access, code):
    assert await code_of(access.redeem(code)) == "pairing_code_invalid"


async def test_open_codes_never_begin_alike_and_dead_ones_are_swept_away(path, clock):
    draws = iter([b"\0", b"\0", b"\1"])
    access = Access(database_at(path), now_ms=clock, entropy=bytes, argon2=replace(CHEAP, threads=0))
    async with opened(access):
        access._entropy = lambda size: next(draws) * size
        codes = [await access.new_pairing_code("u1", "Till") for _ in range(2)]
        assert codes[0][:4] != codes[1][:4]
        clock.pass_(hours=1)
        access._entropy = bytes
        assert await access.new_pairing_code("u1", "Till") == codes[0]
        assert query(path, "SELECT count(*) FROM pairing_code") == [(1,)]


# --- the file, the process, the loop -------------------------------------------------------------------


async def test_no_secret_stands_in_the_file(file, clock, tmp_path):
    async with opened(make_access(file, clock)) as access:
        await access.add_login("lin", PASSWORD, "clerk")
        await access.set_password("lin", "another horse")
        _, session = await access.login("lin", "another horse")
        id, old = await device(access)
        new = await access.rotate(id)
        used = await access.new_pairing_code("u1", "Till")
        await access.redeem(used)
        code = await access.new_pairing_code("u1", "Till")
    stored = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"access_token" in stored
    for secret in (PASSWORD, "another horse", *(bearer[8:40] for bearer in (session, old, new))):
        assert secret.encode() not in stored
    for pairing in (used, code):
        assert pairing.encode() not in stored
        assert pairing.replace("-", "").encode() not in stored


async def test_two_chains_in_one_process_do_not_know_each_other(tmp_path, clock):
    files = [make_file(tmp_path / f"{name}.db") for name in ("one", "two")]
    async with opened(make_access(files[0], clock, 1)) as one, opened(make_access(files[1], clock, 2)) as two:

        async def work(access, staff):
            await access.add_login("lin", PASSWORD, "clerk", staff=staff)
            return (await access.login("lin", PASSWORD))[1]

        bearers = await asyncio.gather(work(one, "s1"), work(two, "s2"))
        assert (await one.principal(bearers[0])).staff == "s1"
        assert (await two.principal(bearers[1])).staff == "s2"
        assert await code_of(one.principal(bearers[1])) == "token_invalid"
        await one.close()
        assert [login.staff for login in await two.logins()] == ["s2"]
        await one.open()
        assert [login.staff for login in await one.logins()] == ["s1"]


def test_one_object_goes_from_loop_to_loop(file, clock):
    access = make_access(file, clock)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(access.open())
        asyncio.run(access.add_login("lin", PASSWORD, "clerk"))
        principal, bearer = asyncio.run(access.login("lin", PASSWORD))

        async def ask():
            found = await access.principal(bearer)
            await access.flush()
            return found

        assert asyncio.run(ask()) == principal

        async def crowd():
            return await asyncio.gather(*(access.token(principal.token) for _ in range(20)))

        assert len(asyncio.run(crowd())) == 20
        asyncio.run(access.close())


async def test_a_cancelled_request_leaves_access_usable(access):
    await access.add_login("lin", PASSWORD, "clerk")
    for steps in range(12):
        task = asyncio.ensure_future(access.login("lin", PASSWORD))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await access._throttle.forgive(("name", "lin"))
    _, bearer = await access.login("lin", PASSWORD)
    assert (await access.principal(bearer)).name == "lin"


async def test_closing_twice_and_opening_again_are_fine(access):
    await access.close()
    await access.close()
    await access.open()
    await access.open()
    assert await access.logins() == []
