"""What to do about one model: frozen facts in, one frozen `Decision` out. Follows `observe`; next is `render`.

Pure: the clock is an argument, the registry's answer is a fact. Running it twice on the same facts gives the
same decision, which is what makes a crashed operator harmless.
"""

from aimodel_operator.decide.build import BuildDecision, LookUp, build_job_name, default_repository
from aimodel_operator.decide.plan import Decision, decide, selected_revision
from aimodel_operator.decide.revision import revision_name

__all__ = [
    "BuildDecision",
    "Decision",
    "LookUp",
    "build_job_name",
    "decide",
    "default_repository",
    "revision_name",
    "selected_revision",
]
