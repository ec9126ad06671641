"""Codings bring back what was put in, in whatever pieces it comes, and never more than was allowed."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zstandard import ZstdCompressor

from regulars_sync import coding
from regulars_sync.errors import Refused

CODINGS = st.sampled_from([coding.ZSTD, coding.GZIP, coding.IDENTITY])


def decoded(body: bytes, coded: str, bytes_max: int, piece: int) -> bytes:
    incoming = coding.Incoming(coded, bytes_max)
    for at in range(0, len(body), piece):
        incoming.feed(body[at : at + piece])
    return incoming.end()


@given(st.binary(max_size=5_000), CODINGS, st.integers(1, 3_000))
def test_what_was_encoded_comes_back_in_whatever_pieces(body: bytes, coded: str, piece: int):
    assert decoded(coding.encode(body, coded), coded, len(body), piece) == body


@given(st.binary(min_size=1, max_size=2_000), CODINGS, st.integers(1, 3_000))
def test_one_byte_too_many_is_refused(body: bytes, coded: str, piece: int):
    with pytest.raises(Refused, match="body_too_large"):
        decoded(coding.encode(body, coded), coded, len(body) - 1, piece)


@given(st.binary(max_size=500), st.sampled_from([coding.ZSTD, coding.GZIP]), st.data())
def test_what_is_cut_or_goes_on_behind_its_end_is_refused(body: bytes, coded: str, data: st.DataObject):
    whole = coding.encode(body, coded)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for broken in (cut, whole + b"\0", whole + whole):
        with pytest.raises(Refused, match="body_invalid"):
            decoded(broken, coded, 10_000, 10_000)


@pytest.mark.parametrize("coded", [coding.ZSTD, coding.GZIP])
@pytest.mark.parametrize("piece", [100, 1 << 20])
def test_a_bomb_is_never_unpacked(coded: str, piece: int):
    bomb = coding.encode(b" " * (256 << 20), coded)
    tracemalloc.start()
    with pytest.raises(Refused, match="body_too_large"):
        decoded(bomb, coded, 1 << 20, piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 << 20


def test_a_frame_that_asks_for_a_huge_window_is_refused():
    greedy = ZstdCompressor(compression_params=None, level=22).compressobj()
    frame = greedy.compress(b" " * 1_000) + greedy.flush()
    with pytest.raises(Refused, match="body_invalid"):
        decoded(frame, coding.ZSTD, 10_000, 10_000)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("ZSTD;q=0.5", "zstd"),
        ("zstd;q=0, gzip;q=1.0", "gzip"),
        ("gzip; q=0.0", "identity"),
        ("x-zstd-like, identity", "identity"),
    ],
)
def test_the_caller_chooses(accepted: str, chosen: str):
    assert coding.choose(accepted) == chosen


@given(st.binary(max_size=300), st.integers(0, 3_000), CODINGS, st.integers(1, 700), st.integers(1, 50))
def test_what_is_long_comes_in_pieces_and_whole(
    body: bytes, zeros: int, coded: str, piece_bytes: int, chunk: int
):
    plain = body + bytes(zeros)
    whole, pieces, found = coding.encode(plain, coded), coding.Pieces(coded, piece_bytes), b""
    for at in range(0, len(whole), chunk):
        for piece in pieces.feed(whole[at : at + chunk]):
            assert len(piece) <= (piece_bytes if coded == coding.GZIP else 16 * coding.GROWTH_MAX)
            found += piece
    pieces.end()
    assert found == plain
