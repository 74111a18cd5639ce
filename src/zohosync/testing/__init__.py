"""Virtual time and builders, for our tests and for users' own."""
