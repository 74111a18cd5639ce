"""What is told of causes that come and go, whoever looks and when: properties, and the words."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.alerts import (
    Alert,
    Decision,
    Manners,
    Notice,
    Quiet,
    channel_urls,
    decide,
    duration_s,
    retry_in_s,
)
from zohosync.core.causes import Cause, Facts, causes_of, fingerprint, plain

ZONE = ZoneInfo("Africa/Johannesburg")
START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)  # 08:00 there
NIGHT = Quiet("22:00", "06:00", ZONE)


@dataclass
class Town:
    """A run of looks, one after the other, each remembering what the last one left."""

    manners: Manners = field(default_factory=lambda: Manners(ZONE))
    now: datetime = START
    alerts: dict[str, Alert] = field(default_factory=dict)
    told: list[tuple[datetime, Notice]] = field(default_factory=list)

    def look(self, *causes: Cause, after_s: float = 0.0) -> Decision:
        self.now += timedelta(seconds=after_s)
        decision = decide(causes, self.alerts.values(), self.manners, self.now)
        self.alerts |= {alert.fingerprint: alert for alert in decision.alerts}
        self.told += [(self.now, notice) for notice in decision.notices]
        return decision

    @property
    def titles(self) -> list[str]:
        return [notice.title for _, notice in self.told]


def cause(name: str = "failed/customers/x", **more: object) -> Cause:
    values = {"title": name, "body": "it is so", "command": "zohosync status", **more}
    return Cause(name, **values)  # type: ignore[arg-type]


names = st.sampled_from(["failed/customers/x", "paused", "failed/invoices/y", "down"])
looks = st.lists(
    st.tuples(
        st.floats(1, 20_000),
        st.dictionaries(names, st.tuples(st.integers(1, 500), st.integers(0, 2))),
    ),
    max_size=40,
)


def standing(found: dict[str, tuple[int, int]]) -> list[Cause]:
    return [
        cause(name, records=records, level=level, grave=name in ("paused", "down"))
        for name, (records, level) in found.items()
    ]


@given(looks, st.booleans())
def test_the_same_state_is_never_told_twice(
    seen: list[tuple[float, dict[str, tuple[int, int]]]], quiet: bool
) -> None:
    town = Town(Manners(ZONE, quiet=NIGHT if quiet else None))
    for after_s, found in seen:
        causes = standing(found)
        town.look(*causes, after_s=after_s)
        assert town.look(*causes).notices == ()


@given(looks)
def test_nothing_grave_is_held_back_by_quiet_hours(
    seen: list[tuple[float, dict[str, tuple[int, int]]]],
) -> None:
    town, awake = Town(Manners(ZONE, quiet=NIGHT)), Town()
    for after_s, found in seen:
        causes = standing(found)
        grave = [
            {name for notice in one.look(*causes, after_s=after_s).notices if notice.grave
             for name in notice.fingerprints}
            for one in (town, awake)
        ]  # fmt: skip
        assert grave[0] == grave[1]
        assert not any(alert.held and alert.told_grave for alert in town.alerts.values())


@given(looks, st.booleans())
def test_what_was_told_is_told_to_be_over_once_in_the_end_and_nothing_else_is(
    seen: list[tuple[float, dict[str, tuple[int, int]]]], quiet: bool
) -> None:
    town = Town(Manners(ZONE, quiet=NIGHT if quiet else None))
    for after_s, found in seen:
        town.look(*standing(found), after_s=after_s)
    for _ in range(3):
        town.look(after_s=86_400)
    for _ in range(3):  # out of the quiet hours
        town.look(after_s=8 * 3_600)
    assert not any(alert.stands for alert in town.alerts.values())
    for name in town.alerts:
        open_now = 0
        for _, notice in town.told:
            if name not in notice.fingerprints:
                continue
            line = [each for each in (notice.title, *notice.body.splitlines()) if name in each]
            if any("over: " in each for each in line):
                open_now -= 1
            elif not any("worse: " in each for each in line):
                open_now += 1
            assert open_now in (0, 1), town.told
        assert open_now == 0


@given(st.lists(st.floats(1, 3_600), min_size=1, max_size=400), st.booleans())
def test_a_cause_that_comes_and_goes_floods_nobody(gaps: list[float], grave: bool) -> None:
    town = Town()
    for turn, gap_s in enumerate(gaps):
        town.look(*([cause(grave=grave)] if turn % 2 else []), after_s=gap_s)
    for at, _ in town.told:
        day = [when for when, _ in town.told if at <= when < at + timedelta(days=1)]
        assert len(day) <= 18


def test_every_ten_minutes_for_a_day_comes_to_a_handful_of_messages() -> None:
    town = Town()
    for turn in range(24 * 60):
        town.look(*([cause(grave=True)] if turn // 11 % 2 else []), after_s=60)
    assert 2 <= len(town.told) <= 6


@given(looks, st.floats(0, 90_000))
def test_a_look_says_when_the_next_one_is_worth_it(
    seen: list[tuple[float, dict[str, tuple[int, int]]]], wait_s: float
) -> None:
    town = Town(Manners(ZONE, quiet=NIGHT))
    for after_s, found in seen:
        causes = standing(found)
        again_at = town.look(*causes, after_s=after_s).again_at
        at = town.now + timedelta(seconds=wait_s)
        if again_at is None or at < again_at:
            assert decide(causes, town.alerts.values(), town.manners, at).notices == ()


def test_quiet_hours_hold_what_is_not_grave_for_one_digest() -> None:
    town = Town(Manners(ZONE, quiet=NIGHT))
    town.look(cause("failed/plans/early"), after_s=0)
    town.look(cause("failed/a"), cause("failed/b"), after_s=15 * 3_600)  # 23:00, one is gone
    assert town.titles == ["failed/plans/early"]
    first = town.look(cause("failed/a"), cause("failed/b"), cause("paused", grave=True), after_s=1)
    assert town.titles[1:] == ["paused"]
    assert first.again_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    town.look(cause("failed/a"), cause("failed/b"), cause("paused", grave=True), after_s=7 * 3_600)
    (digest,) = [notice for _, notice in town.told[2:]]
    assert digest.title == "2 alerts, 1 over"
    assert "over: failed/plans/early" in digest.body
    assert "- failed/a (since 2026-11-22 23:00 (Africa/Johannesburg)): zohosync" in digest.body


def test_what_got_worse_at_night_is_looked_at_when_the_night_is_over() -> None:
    town = Town(Manners(ZONE, quiet=NIGHT))
    town.look(cause())
    night = town.look(cause(level=1), after_s=15 * 3_600)  # 23:00
    assert night.again_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    town.look(cause(level=1), after_s=7 * 3_600)
    assert town.titles == ["failed/customers/x", "worse: failed/customers/x"]


def test_thresholds_patience_and_mutes_keep_back_and_let_go() -> None:
    town = Town(Manners(ZONE, threshold=5))
    town.look(cause(records=4), cause("down", patience_s=120, grave=True))
    assert town.titles == []
    town.look(cause(records=5), cause("down", patience_s=120, grave=True), after_s=119)
    assert town.titles == ["failed/customers/x"]
    town.look(cause(records=1), cause("down", patience_s=120, grave=True), after_s=1)
    assert town.titles[1:] == ["down"]
    town.manners = Manners(ZONE, mutes={"customers": town.now + timedelta(hours=1)})
    again = town.look(cause("failed/customers/z", kind="customers", records=9))
    assert len(town.told) == 2
    assert again.again_at is not None
    town.look(cause("failed/customers/z", kind="customers", records=9), after_s=3_600)
    assert town.titles[2:] == ["over: down", "failed/customers/z", "over: failed/customers/x"]


def test_many_at_once_come_as_one() -> None:
    town = Town()
    town.look(*(cause(f"failed/customers/{n}") for n in range(6)))
    assert town.titles == ["6 alerts"]


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        (START, None),
        (datetime(2026, 11, 22, 20, 0, tzinfo=UTC), datetime(2026, 11, 23, 4, 0, tzinfo=UTC)),
        (datetime(2026, 11, 23, 3, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 4, 0, tzinfo=UTC)),
        (datetime(2026, 11, 23, 4, 0, tzinfo=UTC), None),
    ],
)
def test_quiet_hours_over_midnight_are_the_organisations(
    at: datetime, ends: datetime | None
) -> None:
    assert NIGHT.ends_at(at) == ends


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("slack://T0/B0/sEcReT", ["slack://…"]),
        ("tgram://123:sEcReT/1\njsons://u:sEcReT@hook.example:8443/sEcReT?k=sEcReT",
         ["tgram://…", "jsons://hook.example"]),
        ("mailto://u:sEc@ReT@mail.example?to=a@b.example,c@d.example, json://[::1]:9/x",
         ["mailto://mail.example", "json://[::1]"]),
        ("json://a.example/1,json://a.example/2", ["json://a.example", "json://a.example (2)"]),
        ("sEcReT", ["an address without a scheme"]),
    ],
)  # fmt: skip
def test_a_channel_is_named_without_its_secrets(text: str, names: list[str]) -> None:
    assert list(channel_urls(text)) == names
    assert all(text.count(url) for url in channel_urls(text).values())


@given(st.sampled_from(["json", "slack", "mailto", "tgram"]), st.text("sT9:@/?#.-[, ", max_size=20))
def test_no_name_of_a_channel_holds_what_stands_behind_its_host(scheme: str, tail: str) -> None:
    for name in channel_urls(f"{scheme}://u:sEcReT@h.example/sEcReT{tail}/sEcReT"):
        assert "sEcReT" not in name


def test_lengths_of_time_pauses_and_names() -> None:
    assert [duration_s(text) for text in ("90s", "30m", "2h", "7d")] == [90, 1_800, 7_200, 604_800]
    for wrong in ("", "2", "h", "-1h", "0m", "400d", "1e9d"):
        with pytest.raises(ValueError, match="length of time"):
            duration_s(wrong)
    assert [retry_in_s(tries) for tries in (1, 2, 3, 99)] == [60, 120, 240, 3_600]
    assert fingerprint("failed", "customers", "validation", None, "a b") == (
        "failed/customers/validation/-/a_b"
    )
    assert plain(" for ann.b+c@mail.example\n it ") == "for a…@mail.example it"
    assert len(plain("x" * 900)) == 300


def test_an_organisation_at_rest_has_no_cause() -> None:
    row = dict.fromkeys(
        ("paused", "closed_reason", "closed_for_s", "mints_closed_for_s", "warned", "per_day",
         "attempted_at", "due_at", "marks")
    ) | {"overloads": 0, "brakes": {}, "kinds": ["customers"], "paused_kinds": []}  # fmt: skip
    assert causes_of(Facts(START, row)) == []
    trouble = row | {
        "paused": "Zoho refuses our credentials (57): x", "closed_for_s": 1_800.0,
        "brakes": {"customers": {"why": "too many"}}, "mints_closed_for_s": 600.0,
    }  # fmt: skip
    found = {cause.fingerprint: cause for cause in causes_of(Facts(START, trouble))}
    assert list(found) == ["paused", "tokens", "braked/customers"]
    assert found["paused"].command.startswith("zohosync login")
    assert all(cause.grave for cause in found.values())
    closed = row | {"closed_for_s": 1_800.0, "closed_reason": "blocked by Zoho (44)"}
    assert [cause.fingerprint for cause in causes_of(Facts(START, closed))] == ["closed"]
