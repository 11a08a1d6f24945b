"""How a transaction is named in lists across charge points."""


def member_of(charge_point_id: str, transaction_id: int | str) -> str:
    return f"{transaction_id}/{charge_point_id}"


def owner_and_id(member: str) -> tuple[str, str]:
    """(charge point id, transaction id)."""
    transaction_id, _, charge_point_id = member.partition("/")
    return charge_point_id, transaction_id
