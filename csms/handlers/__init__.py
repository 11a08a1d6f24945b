"""The charge point asks, we answer: one module an Action, one table of routes."""
