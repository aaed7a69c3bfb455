"""How mail leaves: pools of sources, their warmup, and what receivers are known to accept."""

from mta.egress.models.rules import (
    AutomationAction,
    AutomationRule,
    RoutingAction,
    RoutingPriority,
    RoutingRule,
    ShapingMatch,
    ShapingRule,
)
from mta.egress.models.sources import (
    Pool,
    PoolMember,
    Source,
    SourceKind,
    SourceStatus,
    TlsMode,
)
from mta.egress.models.suspensions import Suspension, SuspensionScope
from mta.egress.models.warmup import (
    WarmupDay,
    WarmupSchedule,
    WarmupStage,
    WarmupState,
    WarmupStatus,
)

__all__ = [
    "AutomationAction", "AutomationRule", "Pool", "PoolMember", "RoutingAction", "RoutingPriority",
    "RoutingRule", "ShapingMatch", "ShapingRule", "Source", "SourceKind", "SourceStatus",
    "Suspension", "SuspensionScope", "TlsMode", "WarmupDay", "WarmupSchedule", "WarmupStage",
    "WarmupState", "WarmupStatus",
]  # fmt: skip
