"""What is served over HTTP: a worker's doors for health and metrics."""
