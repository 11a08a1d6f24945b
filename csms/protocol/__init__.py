"""OCPP-J 1.6 as text and values, without I/O."""
