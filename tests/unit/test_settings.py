"""Settings: read from the environment, refused by name when wrong, each one documented."""

from dataclasses import fields
from pathlib import Path

import pytest

from generate_docs import errors_page, settings_page
from regulars_schema.messages import MESSAGES, Kind, Message
from regulars_server.settings import Settings
from regulars_sync.errors import LocalError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_defaults_need_no_environment():
    assert Settings.read({}) == Settings()
    assert Settings.read({"PATH": "/bin", "REGULARS": "x"}) == Settings()


def test_environment_is_read_in_the_type_of_the_default():
    read = Settings.read(
        {
            "REGULARS_DATA": "/srv/chain",
            "REGULARS_HOST": "0.0.0.0",
            "REGULARS_PORT": "9000",
            "REGULARS_IDE": "False",
        }
    )
    assert read == Settings(data=Path("/srv/chain"), host="0.0.0.0", port=9000, ide=False)


@pytest.mark.parametrize(("written", "meant"), [("1", True), ("TRUE", True), ("0", False), ("false", False)])
def test_yes_and_no_have_two_spellings_each(written, meant):
    assert Settings.read({"REGULARS_IDE": written}).ide is meant


@pytest.mark.parametrize(
    ("name", "value"),
    [("REGULARS_PORT", "eighty"), ("REGULARS_PORT", ""), ("REGULARS_PORT", "1.5"), ("REGULARS_IDE", "maybe")],
)
def test_value_that_cannot_be_read_is_refused_by_name(name, value):
    with pytest.raises(LocalError) as refused:
        Settings.read({name: value})
    assert refused.value.code == "setting_invalid"
    assert refused.value.detail == {"name": name, "value": value}
    assert name in refused.value.text("en")
    assert name in refused.value.text("zh")


def test_every_setting_is_documented():
    page = (DOCS / "SETTINGS.md").read_text("utf-8")
    missing = [f.name for f in fields(Settings) if f"| `REGULARS_{f.name.upper()}` |" not in page]
    assert not missing, "describe it in settings.py and run `make generate`"


def test_setting_is_documented_by_the_text_below_it():
    source = 'class Settings:\n    port: int = 1\n    """The port to\n    listen at. REGULARS_PORT"""\n'
    assert "| `REGULARS_PORT` | `1` | The port to listen at. |" in settings_page(source, {"port": 1})


@pytest.mark.parametrize(
    "text", ["", '    """The port."""\n', '    """REGULARS_PORT"""\n', '    """The host. REGULARS_HOST"""\n']
)
def test_undocumented_setting_stops_the_generator(text):
    with pytest.raises(ValueError, match="port needs a docstring that ends with REGULARS_PORT"):
        settings_page(f"class Settings:\n    port: int = 1\n{text}", {"port": 1})


def test_every_code_is_documented_under_its_kind():
    page = (DOCS / "ERRORS.md").read_text("utf-8")
    sections = {part.partition("\n")[0].lower(): part for part in page.split("\n## ")}
    missing = [code for code, message in MESSAGES.items() if f"\n| `{code}` |" not in sections[message.kind]]
    assert not missing, "run `make generate`"


def test_message_can_hold_what_would_break_a_table():
    page = errors_page({"odd": Message(Kind.LOCAL, 0, True, "a|b <c>", "甲|乙")})
    assert "| `odd` | – | yes | a\\|b &lt;c> | 甲\\|乙 |" in page
    assert "## Verdict" not in page
