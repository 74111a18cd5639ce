-- The simulated company's own tables. No foreign keys: its staff delete rows and forget the rest.
create table public.products (id text primary key, name text, active boolean);
create table public.plans (
  id text primary key, product_id text, code text, name text, price numeric(12, 2), active boolean);
create table public.people (
  id text primary key, name text, email text, phone text, street text, city text,
  kind text, closed boolean, company_name text);
create table public.services (
  id text primary key, person_id text, plan_id text, quantity integer, price numeric(12, 2),
  starts date, status text);
create table public.bills (
  id integer primary key, person_id text, service_id text, number text, type text,
  issued date, due date, lines jsonb, vat_rate numeric(5, 2), total numeric(12, 2),
  status text, terms text);
create table public.receipts (
  id integer primary key, person_id text, amount numeric(12, 2), at timestamptz, reference text,
  method text, status text, note text);
create table public.receipt_parts (
  receipt_id integer, bill_id integer, amount numeric(12, 2), primary key (receipt_id, bill_id));
create index on public.services (person_id);
create index on public.services (plan_id);
create index on public.bills (person_id);
create index on public.receipts (person_id);
