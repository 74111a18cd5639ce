-- The sample book's tables: an internet provider's billing schema, as the guide describes it.
--
-- These are the user's own tables, not ours: nothing here knows of the schema zohosync.
-- As in production, only customers and payment_transactions keep updated_at by trigger, and
-- customers.email is neither required nor unique (two people may share one address).

create table public.service_packages (
    id            uuid primary key,
    sku           text not null unique,
    name          text not null,
    description   text,
    service_type  text not null,
    price         numeric(10, 2),               -- a month, without VAT
    active        boolean not null default true
);
create index service_packages_service_type on public.service_packages (service_type);

create table public.customers (
    id                        uuid primary key,
    account_number            text not null unique,
    account_type              text not null default 'personal'
        check (account_type in ('personal', 'business', 'internal_test')),
    account_status            text not null default 'active',
    first_name                text,
    last_name                 text,
    business_name             text,
    email                     text,
    phone                     text,
    zoho_billing_customer_id  text,
    zoho_sync_status          text default 'pending',
    zoho_last_synced_at       timestamptz,
    zoho_last_sync_error      text,
    created_at                timestamptz not null default now(),
    updated_at                timestamptz not null default now()
);

create table public.customer_services (
    id                    uuid primary key,
    customer_id           uuid not null references public.customers (id),
    package_id            uuid references public.service_packages (id),
    package_name          text,
    service_type          text not null,
    monthly_price         numeric(10, 2),        -- without VAT; empty: the package's price
    setup_fee             numeric(10, 2) not null default 0,
    status                text not null default 'pending'
        check (status in ('pending', 'active', 'suspended', 'cancelled')),
    installation_address  text,
    activation_date       date,
    billing_day           integer check (billing_day between 1 and 28),
    last_invoice_date     date,
    zoho_subscription_id  text,
    zoho_sync_status      text default 'pending',
    zoho_last_synced_at   timestamptz,
    zoho_last_sync_error  text,
    created_at            timestamptz not null default now()
);
create index customer_services_customer_id on public.customer_services (customer_id);
create index customer_services_package_id on public.customer_services (package_id);

create table public.customer_invoices (
    id                       uuid primary key,
    customer_id              uuid not null references public.customers (id),
    service_id               uuid references public.customer_services (id),
    invoice_number           text not null unique,
    invoice_type             text not null default 'recurring'
        check (invoice_type in ('recurring', 'installation', 'pro_rata', 'equipment', 'adjustment')),
    invoice_date             date not null,
    due_date                 date not null,
    line_items               jsonb not null default '[]',   -- unit_price and amount without VAT
    vat_rate                 numeric(5, 2) not null default 15.00,
    subtotal                 numeric(10, 2) not null,
    tax_amount               numeric(10, 2) not null,
    total_amount             numeric(10, 2) not null,
    amount_paid              numeric(10, 2) not null default 0,
    amount_due               numeric(10, 2) not null,
    status                   text not null default 'draft'
        check (status in ('draft', 'sent', 'paid', 'partial', 'overdue', 'cancelled', 'voided')),
    is_locked                boolean not null default false,
    zoho_billing_invoice_id  text,
    zoho_sync_status         text default 'pending',
    zoho_last_synced_at      timestamptz,
    zoho_last_sync_error     text,
    created_at               timestamptz not null default now()
);
create index customer_invoices_customer_id on public.customer_invoices (customer_id);
create index customer_invoices_service_id on public.customer_invoices (service_id);

create table public.payment_transactions (
    id                    uuid primary key,
    transaction_id        text not null unique,             -- the provider's
    reference             text,
    provider              text not null
        check (provider in ('netcash', 'zoho_billing', 'payfast', 'paygate')),
    payment_method        text,
    amount                numeric(10, 2) not null check (amount > 0),
    currency              text not null default 'ZAR',
    status                text not null default 'pending'
        check (status in ('pending', 'processing', 'completed', 'failed', 'refunded', 'cancelled',
                          'expired')),
    customer_id           uuid,
    customer_invoice_id   uuid references public.customer_invoices (id),
    completed_at          timestamptz,
    zoho_payment_id       text,
    zoho_sync_status      text default 'pending',
    zoho_last_synced_at   timestamptz,
    zoho_last_sync_error  text,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now()
);
create index payment_transactions_customer_invoice_id
    on public.payment_transactions (customer_invoice_id);

create function public.set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;

create trigger customers_updated_at before update on public.customers
    for each row execute function public.set_updated_at();
create trigger payment_transactions_updated_at before update on public.payment_transactions
    for each row execute function public.set_updated_at();
