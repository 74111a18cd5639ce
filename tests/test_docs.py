"""The documents' own promises: links lead somewhere, commands exist, nothing is orphaned."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

from zohosync import cli, settings
from zohosync.core.governor import PLANS
from zohosync.core.guide import MEANINGS
from zohosync.core.limits import in_words
from zohosync.core.options import Option

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
# Words that the whole house uses in one sense; docs/glossary.md defines each.
WORDS = re.findall(
    r"\w+",
    "record key kind link mark claim lease attempt step call lane gate governor journal mapping "
    "plan settle uncertain waiting compare sweep backfill keeper",
)


def name_of(path: Path) -> str:
    """The path as it is said in a failure."""
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The page without its code blocks, where brackets are code."""
    return re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def links(page: Path) -> list[str]:
    """Targets of the page's links that lead into this tree."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a `#` link into the page may name: its headings, in lower case with dashes."""
    slugs: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        repeats = sum(1 for slug in slugs if re.fullmatch(rf"{re.escape(plain)}(-\d+)?", slug))
        slugs.add(f"{plain}-{repeats}" if repeats else plain)
    return slugs | set(re.findall(r'<a (?:id|name)="([^"]+)"', page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(goal)):
            broken.append(target)
    assert not broken, f"{name_of(page)} links to nothing: {broken}"


def test_the_readme_names_the_two_commands_that_set_up() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nmake demo" in readme
    assert "\nmake test" in readme
    assert "## Will not" in readme


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    code = re.findall(
        r"`([^`\n]+)`|^(make .+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    named = {
        word for inline, line in code for word in re.findall(r"^make ([a-z]+)", inline or line)
    }
    assert named <= targets, f"{name_of(page)}: make has no {sorted(named - targets)}"


VERBS = dict(vars(typer.main.get_command(cli.app))["commands"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?^```", text, flags=re.DOTALL | re.MULTILINE)
    code = re.findall(r"`([^`\n]+)`", prose(page))
    code += re.findall(r"^(?:\$ )?(zohosync .+)$", "\n".join(blocks), re.MULTILINE)
    wrong = []
    for verb, rest in re.findall(r"(?<!schema )\bzohosync ([a-z]+)\b([^|;#\n]*)", "\n".join(code)):
        there = {"--help"} if verb not in VERBS else {"--help", *options_of(verb)}
        said = re.findall(r"(?<!\S)--[a-z-]+", rest)
        wrong += [verb] * (verb not in VERBS) + [f"{verb} {each}" for each in {*said} - there]
    assert not wrong, f"{name_of(page)}: there is no {wrong}"


def options_of(verb: str) -> set[str]:
    """The options that a verb takes."""
    return {name for each in VERBS[verb].params for name in each.opts}


def test_the_readme_lists_every_command_once() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (?:[a-z ]+)? *\| `([a-z]+)` \|", readme, re.MULTILINE)
    assert sorted(listed) == sorted(VERBS)


def settings_told() -> dict[str, str]:
    """What stands beside each setting that docs/settings.md has in a table."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows: dict[str, str] = {}
    for names, beside in re.findall(r"^\| (`[a-z]+\.[^|]*) \|([^|]*)\|", page, re.MULTILINE):
        for name in re.findall(r"`([\w.]+)`", names):
            assert name not in rows, f"{name} is there twice"
            rows[name] = beside.strip()
    return rows


def default_of(option: Option) -> str:
    """What holds where nobody says anything, with the limits of the plan standard."""
    told = in_words(PLANS["standard"]).get(option.name, option.default)
    if option.secret or told is None:
        return ""
    if isinstance(told, tuple):
        return f"[{len(told)} fields](operations.md#what-it-tells-of-people)"
    return re.sub(r"^(\d+)\.0$", r"\1", str(told))


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    told = settings_told()
    ours = {entry.name: entry for entry in settings._ENTRIES}
    guides = {f"guide.{name}": str(meaning.value) for name, meaning in MEANINGS.items()}
    guides["guide.batch_sizes"] = told["guide.batch_sizes"]
    parts = {f"kinds.KIND.{name}" for name in (*settings._KIND, "when_gone")}
    parts |= {f"watch.{name}" for name in settings._WATCH}
    right = {name: default_of(entry) for name, entry in ours.items()} | guides
    assert {name: beside for name, beside in told.items() if name not in parts} == right
    assert parts <= set(told)


def test_bare_make_describes_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    described = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert phony == described
    assert {"demo", "test", "check", "bench", "ci"} <= described


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for page in pages:
        heading = page.read_text(encoding="utf-8").splitlines()[0]
        assert heading.startswith(f"# {page.name[:4]} "), f"{page.name}: {heading}"
    index = (folder / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d{4}) \| \[(.+)\]\((.+)\) \|$", index, re.MULTILINE)
    heads = [page.read_text(encoding="utf-8").splitlines()[0].split(" · ")[1] for page in pages]
    assert lines == [(p.name[:4], h, p.name) for p, h in zip(pages, heads, strict=True)]


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        for target in links(page):
            goal = (page.parent / target.partition("#")[0]).resolve()
            ahead.append(goal)
    orphans = [name_of(page) for page in PAGES if page not in reached]
    assert not orphans, f"no way leads there: {orphans}"


def test_the_glossary_defines_every_word_of_the_house() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    missing = [word for word in WORDS if f"| **{word}** |" not in glossary]
    assert not missing, f"not defined: {missing}"
    defined = re.findall(
        r"\*\*(.+?)\*\*", "\n".join(re.findall(r"^\| [^|]*", glossary, re.MULTILINE))
    )
    assert len(defined) == len(set(defined)), "a word is defined twice"


def test_the_changelog_knows_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{project['version']}]" in changelog or "## [Unreleased]" in changelog


def test_the_architecture_names_every_table() -> None:
    folder = ROOT / "src" / "zohosync" / "store" / "migrations"
    sql = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.sql")))
    tables = set(re.findall(r"^create table zohosync\.(\w+)", sql, re.MULTILINE))
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| (`[^|]+)\|", page.partition("## Tables")[2], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) >= tables
