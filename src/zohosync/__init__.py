"""Keeps a Zoho Billing organisation in step with Postgres billing tables."""
