"""Turns a Kubernetes quantity ("500m", "2", "1Gi", "1e3") into an exact number.

Called by the rules of `spec` and by whoever compares or adds resources. The forms are those of
k8s.io/apimachinery/pkg/api/resource, without a sign.
"""

import re
from decimal import Decimal

FORM = "^([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
FACTORS = {
    "": Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def is_quantity(text: str) -> bool:
    """Whether the text is a quantity without a sign."""
    return re.fullmatch(FORM, text) is not None


def parse(text: str) -> Decimal:
    """The quantity as a number, cores or bytes; raises ValueError for another text."""
    found = re.fullmatch(FORM, text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity; write one such as 500m, 2 or 1Gi")
    number, unit = found.group(1), found.group(3) or ""
    if unit in FACTORS:
        return Decimal(number) * FACTORS[unit]
    return Decimal(number + unit)
