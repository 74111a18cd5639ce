"""A pretend Zoho Billing that sits its own exam."""
