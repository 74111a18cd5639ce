"""The demonstration: a sample book, a sandbox, a worker and trouble."""
