"""An OCPP 1.6J central system: charge points connect to it, operators command it."""

__version__ = "0.1.0"
