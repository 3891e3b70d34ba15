"""The chart's RBAC rules from the table of what the code calls (`aimodel_operator.cluster.permissions`)."""

from collections.abc import Sequence

import yaml

from aimodel_operator.cluster.permissions import MODEL_RULES, OWN_RULES, Rule

PATH = "charts/aimodel-operator/files/rules.yaml"
_HEADER = """\
# DO NOT EDIT: made by `python -m hack.generate` from operator/aimodel_operator/cluster/permissions.py.
# models: needed in every namespace with AIModels. own: needed in the operator's own namespace.
"""


def rules_file() -> str:
    """The text of the chart's rules file."""
    rules = {"models": _as_rules(MODEL_RULES), "own": _as_rules(OWN_RULES)}
    return _HEADER + yaml.safe_dump(rules, sort_keys=False, default_flow_style=None)


def _as_rules(rules: Sequence[Rule]) -> list[dict[str, list[str]]]:
    return [{"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in rules]
