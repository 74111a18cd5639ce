"""What is due at one instant has one order: a claim depends on nothing that is not known."""

from integration.test_records import mark, register
from zohosync.store.database import Database
from zohosync.store.records import Records


async def test_what_is_due_at_one_instant_is_claimed_in_one_order_wherever_it_lies(
    any_database: Database,
) -> None:
    await register(any_database)
    records = Records(any_database, org_id="10001", worker="w1", lease_s=60, debounce_s=300)
    for number in range(20):
        await mark(any_database, "payments", f"{number:02}")
    await records.fold_marks()
    for step in (7, 13):  # as a TRUNCATE leaves them, moved about as updates and a vacuum would
        async with any_database.transaction() as transaction:
            await transaction.execute_sql("update zohosync.records set due_at = '2026-01-01'")
            await transaction.execute_sql(
                f"create table public.kept as select * from zohosync.records"
                f" order by key::int * {step} % 20; delete from zohosync.records;"
                f" insert into zohosync.records select * from public.kept; drop table public.kept"
            )
        claims = await records.claim(6)
        assert [claim.ref.key for claim in claims] == ["00", "01", "02", "03", "04", "05"]
        await records.release()
