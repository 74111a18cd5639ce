"""Where the Chinook script may lie beside a checkout, and how to load it into one database."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "chinook"
PLACES = (EXAMPLE / "chinook.sql", ROOT.parent / "shared" / "data" / "chinook.sql")

CUSTOMERS, INVOICES, LINES, TOTAL = 59, 412, 2_240, "2328.60"


def script() -> str:
    """The script without the commands that make and enter a database; skips where it is absent."""
    found = next((path for path in PLACES if path.is_file()), None)
    if found is None:
        pytest.skip(f"no Chinook script: put it at {PLACES[0].relative_to(ROOT)}")
    text = found.read_text(encoding="utf-8-sig")
    return re.sub(r"^(?:DROP DATABASE|CREATE DATABASE|\\c)\b.*$", "", text, flags=re.MULTILINE)
