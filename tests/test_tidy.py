"""The house rules that no linter knows: sizes, words, homes, and SQL's manners."""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "zohosync"
QUERIES = SRC / "store" / "queries"
MIGRATIONS = SRC / "store" / "migrations"

# docs/architecture.md, "Size". Raising a number needs a page in docs/decisions/.
MODULES_MAX = {
    "product": 130, "sandbox": 5, "dashboard": 4, "testing and demo": 10, "simulate": 18,
}  # fmt: skip
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

KINDS = frozenset({"products", "plans", "customers", "subscriptions", "invoices", "payments"})
KIND_WORDS = KINDS | {kind.removesuffix("s") for kind in KINDS}
# A kind is data: only these may know one by name.
KIND_HOMES = ("core/kinds.py", "zoho/wire.py", "sandbox/", "demo/", "simulate/", "testing/")

BANNED_WORDS = re.compile(r"^(manager|handler|processor|helper|util)s?$")
# Addresses that may stand in the tree. Everything else is somebody's registry or workplace.
KNOWN_HOSTS = re.compile(
    r"^(localhost|127\.0\.0\.1|\[::1\]|testserver|[\w.-]*\bzoho\w*(\.[a-z]+)+"
    r"|([\w-]+\.)*example(\.[a-z]+)?|([\w-]+\.)*(test|invalid)|www\.apache\.org|github\.com)$"
)

PYTHON = sorted([*SRC.rglob("*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")])
PRODUCT = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    """The path as it is said in a failure."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The module as a tree."""
    return ast.parse(path.read_text(encoding="utf-8"), name_of(path))


def tracked() -> list[Path]:
    """The files that a clone holds; without git, those of the folders that make up the tree."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0 and listing.stdout:
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        folders = [SRC, *(ROOT / name for name in ("tests", "docs", "examples", "benchmarks"))]
        paths = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def texts() -> Iterator[tuple[str, str]]:
    """Every tracked text file, with its name."""
    for path in tracked():
        try:
            yield name_of(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def without_comments(sql: str) -> str:
    """The statement alone."""
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)


def definitions(
    tree: ast.Module,
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every class and function, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def docstrings(tree: ast.Module) -> set[int]:
    """The ids of the nodes that are docstrings or other free-standing strings."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def test_the_house_stays_within_its_size() -> None:
    counts = dict.fromkeys(MODULES_MAX, 0)
    for path in PRODUCT:
        if path.name == "__init__.py":
            continue
        room = path.relative_to(SRC).parts[0]
        where = {"testing": "testing and demo", "demo": "testing and demo"}.get(room, room)
        counts[where if where in counts else "product"] += 1
    over = {room: count for room, count in counts.items() if count > MODULES_MAX[room]}
    assert not over, f"too many modules: {over}, at most {MODULES_MAX}"


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {
        name_of(path): lines
        for path in PYTHON
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    }
    assert not long, f"more than {FILE_LINES_MAX} lines: {long}"


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}::{node.name}": lines
        for path in PYTHON
        for node in definitions(tree_of(path))
        if not isinstance(node, ast.ClassDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert not long, f"more than {FUNCTION_LINES_MAX} lines: {long}"


def test_every_module_opens_with_a_sentence() -> None:
    mute = [name_of(path) for path in PYTHON if not ast.get_docstring(tree_of(path))]
    assert not mute, f"no docstring: {mute}"


def test_no_name_hides_what_a_thing_does() -> None:
    vague = [
        f"{name_of(path)}::{node.name}"
        for path in PYTHON
        for node in definitions(tree_of(path))
        if any(
            BANNED_WORDS.match(word.lower())
            for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", node.name)
        )
    ]
    assert not vague, f"say what it does instead: {vague}"


def test_no_code_branches_on_the_name_of_a_kind() -> None:
    found = []
    for path in PRODUCT:
        if path.relative_to(SRC).as_posix().startswith(KIND_HOMES):
            continue
        tree = tree_of(path)
        prose = docstrings(tree)
        found += [
            f"{name_of(path)}:{node.lineno} {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value in KIND_WORDS
            and id(node) not in prose
        ]
    for path in sorted(QUERIES.glob("*.sql")):
        statement = without_comments(path.read_text(encoding="utf-8"))
        found += [
            f"{name_of(path)} {word}"
            for word in re.findall(r"'(\w+)'", statement)
            if word in KIND_WORDS
        ]
    assert not found, f"a kind is data, in core/kinds.py or zoho/wire.py: {found}"


def imports_of(path: Path) -> Iterator[str]:
    """Every dotted name that the file imports, relative ones made whole."""
    package = (*path.relative_to(ROOT / "src").parent.parts,) if path in PRODUCT else ()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_every_module_is_used() -> None:
    modules = {
        path: ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for path in PRODUCT
        if path.name not in {"__init__.py", "__main__.py"}
    }
    imported = {
        name
        for path in PYTHON
        for name in imports_of(path)
        # Tests alone keep nothing alive, except the kit that is made for tests.
        if (path in PRODUCT and name != modules.get(path)) or name.startswith("zohosync.testing")
    }
    unused = sorted(set(modules.values()) - imported)
    assert not unused, f"nobody imports: {unused}"


def test_every_query_has_a_caller() -> None:
    quoted = {
        node.value.removesuffix(".sql")
        for path in (SRC / "store").rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    idle = [path.name for path in sorted(QUERIES.glob("*.sql")) if path.stem not in quoted]
    assert not idle, f"no store method names: {idle}"


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.stem)
def test_a_query_says_what_it_promises_and_asks_no_clock(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.lstrip().startswith("--"), "open with a comment: promise, locks, index"
    clocks = re.findall(
        r"(?<![.\w])(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\("
        r"|(?<![.\w])(?:current_timestamp|current_date|current_time|localtime|localtimestamp)\b"
        r"|'(?:now|today|tomorrow|yesterday)'",
        without_comments(text).lower(),
    )
    assert not clocks, f"time comes from zohosync.current_time(), not from {clocks}"


def test_one_migration_alone_knows_the_databases_clock() -> None:
    clocks = [
        f"{path.name}: {found}"
        for path in sorted(MIGRATIONS.glob("*.sql"))
        for found in re.findall(
            r"(?<![.\w])(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\("
            r"|(?<![.\w])current_timestamp\b",
            without_comments(path.read_text(encoding="utf-8")).lower(),
        )
    ]
    assert len(clocks) <= 1, f"only zohosync.current_time() may read it: {clocks}"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
    notes = [
        f"{name}:{number}"
        for name, text in texts()
        if name != "LICENSE"
        for number, line in enumerate(text.splitlines(), 1)
        if later.search(line)
    ]
    assert not notes, f"do it, or file it: {notes}"


def test_no_address_of_a_registry_or_a_workplace_stands_in_the_tree() -> None:
    url = re.compile(
        r"\b(?:https?|wss?)://(?:[^\s/@\"'`]*@)?(\[[0-9a-f:]+\]|[^\s/:\"'`<>(){}\[\]|,;]+)"
    )
    places = re.compile(r"(?<![\w.*<>-])/(?:" + "wo" + r"rk|opt|home/\w+|Users/\w+)/\w")
    found = []
    for name, text in texts():
        for number, line in enumerate(text.splitlines(), 1):
            hosts = [host for host in url.findall(line) if not KNOWN_HOSTS.match(host.rstrip("."))]
            found += [f"{name}:{number} {host}" for host in [*hosts, *places.findall(line)]]
    assert not found, f"a machine's own address: {found}"
