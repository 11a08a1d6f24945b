"""A charge point that does at once what it is asked, and knows what it was asked and did."""

from collections import Counter
from dataclasses import dataclass

from cryptography import x509

ACCEPTED = {"status": "Accepted"}


@dataclass
class Heard:
    """A CALL as it arrived, and the payload of its answer."""

    unique_id: str
    action: str
    payload: dict
    answer: dict


class Truthful:
    """What it has: its own books, by which those of the system are judged."""

    def __init__(self):
        self.heard = []
        self.configuration = {"SendLocalListMaxLength": "2", "HeartbeatInterval": "300"}
        self.list_version = 0
        self.local_list = {}
        self.reservations = {}
        self.profiles = {}
        self.chains = []
        self.roots = []
        self.boots = 0
        self.firmware = "1.0"
        # The grants by which it got at files, and left them.
        self.fetched = []
        self.uploaded = []
        # How many of the next CALLs of an action it rejects.
        self.rejects = Counter()

    def answer(self, unique_id, action, payload):
        act = getattr(self, f"_{action}", None)
        if self.rejects[action]:
            self.rejects[action] -= 1
            answer = {"status": "Rejected"}
        else:
            answer = act(payload) if act is not None else ACCEPTED
        self.heard.append(Heard(unique_id, action, payload, answer))
        return answer

    def calls(self, *actions):
        return [heard for heard in self.heard if heard.action in actions]

    def _GetConfiguration(self, payload):
        known = payload.get("key") or list(self.configuration)
        return {
            "configurationKey": [
                {"key": key, "readonly": False, "value": self.configuration[key]}
                for key in known
                if key in self.configuration
            ],
            "unknownKey": [key for key in known if key not in self.configuration],
        }

    def _ChangeConfiguration(self, payload):
        self.configuration[payload["key"]] = payload["value"]
        return ACCEPTED

    def _GetLocalListVersion(self, _):
        return {"listVersion": self.list_version}

    def _SendLocalList(self, payload):
        is_full = payload["updateType"] == "Full"
        if not is_full and payload["listVersion"] <= self.list_version:
            return {"status": "VersionMismatch"}
        if is_full:
            self.local_list = {}
        for entry in payload["localAuthorizationList"]:
            if "idTagInfo" in entry:
                self.local_list[entry["idTag"]] = entry["idTagInfo"]["status"]
            else:
                self.local_list.pop(entry["idTag"], None)
        self.list_version = payload["listVersion"]
        return ACCEPTED

    def _ReserveNow(self, payload):
        self.reservations[payload["reservationId"]] = payload
        return ACCEPTED

    def _CancelReservation(self, payload):
        gone = self.reservations.pop(payload["reservationId"], None)
        return {"status": "Rejected" if gone is None else "Accepted"}

    def _SetChargingProfile(self, payload):
        profile = payload["csChargingProfiles"]
        self.profiles = {
            number: (connector_id, one)
            for number, (connector_id, one) in self.profiles.items()
            if (connector_id, one["stackLevel"], one["chargingProfilePurpose"])
            != (payload["connectorId"], profile["stackLevel"], profile["chargingProfilePurpose"])
        }
        self.profiles[profile["chargingProfileId"]] = (payload["connectorId"], profile)
        return ACCEPTED

    def _ClearChargingProfile(self, payload):
        gone = self.profiles.pop(payload["id"], None)
        return {"status": "Unknown" if gone is None else "Accepted"}

    def _GetCompositeSchedule(self, payload):
        return {"status": "Accepted", "connectorId": payload["connectorId"]}

    def _UpdateFirmware(self, _):
        return {}

    def _GetDiagnostics(self, _):
        return {"fileName": "diagnostics.log"}

    def _GetLog(self, _):
        return {"status": "Accepted", "filename": "security.log"}

    def _CertificateSigned(self, payload):
        [certificate] = x509.load_pem_x509_certificates(payload["certificateChain"].encode())
        self.chains.append(certificate)
        return ACCEPTED

    def _InstallCertificate(self, payload):
        self.roots.append(payload["certificate"])
        return ACCEPTED

    @property
    def hash_data(self):
        """Of the root it was given, as it tells it."""
        return {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "aa" * 32,
            "issuerKeyHash": "bb" * 32,
            "serialNumber": "1",
        }

    def _GetInstalledCertificateIds(self, _):
        if not self.roots:
            return {"status": "NotFound"}
        return {"status": "Accepted", "certificateHashData": [self.hash_data]}

    def _DeleteCertificate(self, _):
        self.roots.clear()
        return ACCEPTED
