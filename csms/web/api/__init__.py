"""The JSON API of version 1, for programs: one module per resource."""
