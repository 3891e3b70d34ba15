"""How a model fares: facts and decision in, the whole `status` out. The last step of the path, and pure.

Ready and Available never lie in either direction: both are derived from what the Deployments report and what
the Service selects, not from what the operator believes it did.
"""

from aimodel_operator.assess.status import assess, assess_invalid

__all__ = ["assess", "assess_invalid"]
