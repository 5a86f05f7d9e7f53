"""What happens by itself, later: grace ends, warnings, deliveries, retention.

Rule of this package: nothing here is needed for a refusal. A credential ends on its day because
decisions look at the clock, not because a job ran; what a job does may come late, and is done
again after a crash without doing harm twice.
"""

from __future__ import annotations

from latchgate.jobs import alerts, audit_export, rotation, source_alerts
from latchgate.jobs.access_log import ACCESS_LOG
from latchgate.jobs.deliveries import Deliveries
from latchgate.jobs.gateway_tails import GATEWAY_TAILS
from latchgate.jobs.job import Job
from latchgate.jobs.oauth import FORGETTING
from latchgate.jobs.retention import RETENTION, SIGN_INS
from latchgate.jobs.verifiers import VERIFIERS
from latchgate.jobs.warnings import Warnings

JOBS: tuple[Job, ...] = (
    Job("warnings", 5.0, Warnings().run),
    Job("deliveries", 1.0, Deliveries().run),
    VERIFIERS,
    GATEWAY_TAILS,
    rotation.JOB,
    rotation.ENDED,
    audit_export.JOB,
    SIGN_INS,
    alerts.JOB,
    alerts.BILLING,
    alerts.HISTORY,
    source_alerts.JOB,
    FORGETTING,
)
# On the database of usage, which each machine may have to itself.
USAGE: tuple[Job, ...] = (RETENTION,)
# What is each machine's own to do, whoever runs the jobs of all.
HERE: tuple[Job, ...] = (ACCESS_LOG,)
