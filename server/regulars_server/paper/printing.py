"""A sheet as HTML that asks for nothing else, and as PDF with its fonts inside.

Chinese is set in a font of the system's where there is one, else in ours, which has the 20,902 characters of
Unicode's first block, Latin, Greek, Cyrillic, Hebrew and Arabic. A character that no font has is named by its
number: 〔U+20BB7〕.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import jinja2
import orjson
from markupsafe import Markup

from regulars_server.paper.sheet import Sheet
from regulars_sync.errors import Refused

if TYPE_CHECKING:
    import typst

FOLDER = Path(__file__).parent
FONTS = FOLDER / "fonts"
UNSEEN = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Joiners and selectors of variants: they say how a neighbour looks, and have no look of their own."""
_STYLE = (FOLDER / "card.css").read_text("utf-8")
_TEMPLATE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=False,
).get_template("card.html")
HTML_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}


def html(sheet: Sheet) -> bytes:
    return _TEMPLATE.render(sheet=sheet, style=Markup(_STYLE)).encode()


BREAK = "\u200b"
LONG, PIECE = re.compile(r"[!-~\u00a1-\u2dff]{21,}"), re.compile(r".{1,10}")
"""A run without a space, of a script that breaks only there, and the pieces it may break into."""


class Press:
    """Makes PDFs, one at a time; any thread may ask. Without `system_fonts` all are set in our own."""

    def __init__(self, system_fonts: bool = True) -> None:
        self._system_fonts = system_fonts
        self._lock = Lock()
        self._compiler: typst.Compiler | None = None
        self._fonts: list[tuple[str, int]] = []
        self._has: dict[str, bool] = {}
        self._read: list[set[int]] = []

    def pdf(self, sheet: Sheet, now_ms: int) -> bytes:
        """`Refused("card_missing")` where the extra `card` is not installed."""
        with self._lock:
            compiler = self._compiler or self._open()
            said = _mapped(asdict(sheet), self._shown)
            inputs = {"sheet": orjson.dumps(said).decode()}
            made = compiler.compile(format="pdf", sys_inputs=inputs, timestamp=now_ms // 1_000)
        assert isinstance(made, bytes), "one file"
        return made

    def _open(self) -> typst.Compiler:
        try:
            import fontTools  # noqa: F401
            import typst
        except ModuleNotFoundError as error:
            raise Refused("card_missing", module=error.name) from error
        self._compiler = typst.Compiler(
            FOLDER / "card.typ", root=FOLDER, font_paths=[FONTS], ignore_system_fonts=not self._system_fonts
        )
        found = typst.Fonts(self._system_fonts, False, [FONTS]).fonts()
        own = [(str(path), 0) for path in sorted(FONTS.glob("*.ttf"))]
        others = {(str(font.path), font.index) for font in found if font.path} - {*own}
        self._fonts = [*own, *sorted(others)]
        return self._compiler

    def _shown(self, text: str) -> str:
        """With its number in the place of each character that can't be shown, and long words let break."""
        named = "".join(char if self._is_there(char) else f"〔U+{ord(char):04X}〕" for char in text)
        return LONG.sub(lambda found: BREAK.join(PIECE.findall(found[0])), named)

    def _is_there(self, char: str) -> bool:
        """Whether any font has it; fonts are read one after the other, and no further than needed."""
        if char.isascii() or UNSEEN.fullmatch(char):
            return True
        found = self._has.get(char)
        if found is None:
            code = ord(char)
            found = any(code in chars for chars in self._read)
            while not found and len(self._read) < len(self._fonts):
                self._read.append(_characters(*self._fonts[len(self._read)]))
                found = code in self._read[-1]
            self._has[char] = found
        return found


def _characters(path: str, index: int) -> set[int]:
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=index, lazy=True) as font:
            return {*(font.getBestCmap() or ())}
    except (TTLibError, OSError):  # a font of the system's that is broken shows nothing
        return set()


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same, with each text changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return value
