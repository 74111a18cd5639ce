"""The remote: the only home of the HTTP client."""
