"""Flask, and only here: the JSON API for programs and the page for people."""
