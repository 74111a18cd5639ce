"""The database: the only home of psycopg."""
