"""Redis, and only here: every record, its keys and its scripts."""
