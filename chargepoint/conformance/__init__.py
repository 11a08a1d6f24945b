"""The conformance kit: plays the charge point against a running central system, and reports.

`python -m chargepoint.conformance --url ws://… --api http://…/api/v1 --key …`
"""

VERSION = "1.0"
