"""The loops that join the database and the remote."""
