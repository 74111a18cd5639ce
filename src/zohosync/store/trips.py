"""One round trip to Postgres: statements that leave together, and what came back of each.

psycopg's pipeline does the same with a cursor for each statement, which takes most of the time of
a short one (docs/decisions/0020). This puts its parts together for what we need: libpq as it
wraps it, its generators, its conversions.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import generators
from psycopg._queries import PostgresQuery
from psycopg.abc import PQGen
from psycopg.abc import Transformer as Conversion
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Row = dict[str, Any]
Params = Mapping[str, Any]
Statement = tuple[bytes, Params | None]
"""With parameters by name as %(name)s; with None it is sent as it is, and never prepared."""

PREPARED_MAX = 200
"""Prepared that a server process keeps for us; the one longest unused makes room."""

_Key = tuple[bytes, tuple[int, ...]]
_Made = tuple[_Key, bytes]


class Answer:
    """What came back of one statement."""

    __slots__ = ("_conversion", "_result")

    def __init__(self, result: PGresult, conversion: Conversion) -> None:
        """Its rows are read before the next round trip, or not at all."""
        self._result, self._conversion = result, conversion

    def rows(self) -> list[Row]:
        """Its rows, none where there can be none. Raises psycopg.DataError."""
        result = self._result
        if not result.ntuples:
            return []
        self._conversion.set_pgresult(result)
        names = self.names

        def row_of(values: Sequence[Any]) -> Row:
            return dict(zip(names, values, strict=False))

        return self._conversion.load_rows(0, result.ntuples, row_of)

    @property
    def names(self) -> list[str]:
        """Its columns' names."""
        name_of, encoding = self._result.fname, self._conversion.encoding
        return [(name_of(at) or b"").decode(encoding) for at in range(self._result.nfields)]

    @property
    def types(self) -> list[int]:
        """Its columns' types, by oid."""
        return [self._result.ftype(at) for at in range(self._result.nfields)]

    @property
    def touched(self) -> int:
        """How many rows it touched, or found."""
        return self._result.command_tuples or 0

    @property
    def status(self) -> bytes:
        """The command's name as the server says it, COMMIT or ROLLBACK."""
        return self._result.command_status or b""


@dataclass(slots=True)
class Prepared:
    """What a server process has prepared for us: a statement when it comes once more than `after`.

    With `after` None nothing is: a transaction pooler forbids it.
    """

    after: int | None = None
    names: OrderedDict[_Key, bytes] = field(default_factory=OrderedDict)
    seen: OrderedDict[_Key, int] = field(default_factory=OrderedDict)
    made: int = 0
    leaving: list[bytes] = field(default_factory=list)

    def forget(self) -> None:
        """Have all of it prepared anew: tables have changed."""
        self.names.clear()
        self.leaving = [b"deallocate all"]

    def name(self, key: _Key) -> bytes | None:
        """What it is prepared as."""
        name = self.names.get(key)
        if name is not None:
            self.names.move_to_end(key)
        return name

    def new_name(self) -> bytes:
        """One that was never used before."""
        self.made += 1
        return b"zs_%d" % self.made

    def wanted(self, key: _Key) -> bool:
        """Whether a statement that is not prepared is to be; counts."""
        if self.after is None:
            return False
        often = self.seen.get(key, 0)
        if often >= self.after:
            return True
        self.seen[key] = often + 1
        self.seen.move_to_end(key)
        if len(self.seen) > PREPARED_MAX:
            self.seen.popitem(last=False)
        return False

    def keep(self, key: _Key, name: bytes) -> None:
        """It is prepared under that name."""
        self.seen.pop(key, None)
        self.names[key] = name
        if len(self.names) > PREPARED_MAX:
            _, old = self.names.popitem(last=False)
            self.leaving.append(b"deallocate " + old)


class Trips:
    """The round trips of one connection."""

    def __init__(self, link: psycopg.AsyncConnection[Any], prepared: Prepared) -> None:
        """Of a connection whose types are registered; `prepared` is its server process's."""
        self._pgconn, self._prepared = link.pgconn, prepared
        self._conversion = Transformer.from_context(link)

    def make(self, statements: Iterable[Statement]) -> PQGen[list[Answer]]:
        """Send them together with their Sync, from which a server counts idling; their answers.

        (Sent as each comes, who froze in between would hold their locks for good.)
        Raises the error of the first that failed, when all are answered and the connection is
        sound; psycopg.OperationalError when it is lost.
        """
        ready = [self._converted(*statement) for statement in statements]  # may raise: none is sent
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            expected = self._send(ready)
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            results = yield from _results(pgconn)
        finally:
            if pgconn.status == ConnStatus.OK:
                with suppress(psycopg.OperationalError):  # given up amid it: it comes to no rest
                    pgconn.exit_pipeline_mode()
        return self._answers(expected, results)

    def answer(self, result: PGresult) -> Answer:
        """What came back of a statement that went another way."""
        return Answer(result, self._conversion)

    def _converted(self, text: bytes, params: Params | None) -> PostgresQuery:
        query = PostgresQuery(self._conversion)
        query.convert(text, params)
        return query

    def _send(self, queries: Sequence[PostgresQuery]) -> list[_Made | bool]:
        """Queue them; for each result to come: a plan that is made, or whether it is an answer."""
        pgconn, prepared = self._pgconn, self._prepared
        expected: list[_Made | bool] = [False] * len(prepared.leaving)
        for text in prepared.leaving:
            pgconn.send_query_params(text, None)
        prepared.leaving = []
        made: dict[_Key, bytes] = {}
        for query in queries:
            key, name = (query.query, query.types), None
            if query.params is not None:
                name = prepared.name(key) or made.get(key)
            if query.params is not None and name is None and prepared.wanted(key):
                name = made[key] = prepared.new_name()
                pgconn.send_prepare(name, query.query, query.types)
                expected.append((key, name))
            if name is None:
                pgconn.send_query_params(query.query, query.params, query.types, query.formats)
            else:
                pgconn.send_query_prepared(name, query.params, query.formats)
            expected.append(True)
        return expected

    def _answers(self, expected: list[_Made | bool], results: list[PGresult]) -> list[Answer]:
        answers, failed = [], None
        for what, result in zip(expected, results, strict=False):
            if result.status == ExecStatus.FATAL_ERROR:
                failed = failed or result
            elif result.status == ExecStatus.PIPELINE_ABORTED:
                continue
            elif isinstance(what, tuple):
                self._prepared.keep(*what)
            elif what:
                answers.append(Answer(result, self._conversion))
        if failed is not None:
            raise error_from_result(failed, encoding=self._conversion.encoding)
        return answers


def _results(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """One result for each thing sent; fewer when the server ended the connection with a word."""
    results: list[PGresult] = []
    try:
        while group := (yield from generators.fetch_many(pgconn)):
            if group[0].status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(group[-1])
        raise psycopg.OperationalError("the connection was lost")
    except psycopg.DatabaseError:
        if any(result.status == ExecStatus.FATAL_ERROR for result in results):
            return results
        raise
