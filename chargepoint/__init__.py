"""The other end of the wire: virtual charge points for the demo, the tests and load.

Knows nothing of the central system but OCPP-J 1.6. Works in processes that gevent has not
patched; every wait is explicit.
"""
