"""Samples of one phase after the other, in the first process or in a further one."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from modelbench.measurement.timing.audit import Snapshot, findings, others
from modelbench.measurement.timing.control import Control
from modelbench.measurement.timing.throughput import brief
from modelbench.measurement.timing.timing import LATER_WARMUP_S, Conditions, Timing, time_call
from modelbench.results import Skip
from modelbench.runtimes.deploy import deploy, prepared
from modelbench.stages.benchmark.growth import Throughput

if TYPE_CHECKING:
    from modelbench.models.workload import Phase, Workload
    from modelbench.stages.benchmark.sampled import Earlier, Plan, Sampled
    from modelbench.stages.stage import Context

EXPORTED = "exported"
"""Where a runtime's files are, until the last process has loaded them."""
log = logging.getLogger(__name__)


class Sampling:
    """Takes one process's samples, with an audit of what disturbed them."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._context, self._plan = context, plan
        control = Control(context.device) if plan.control else None
        self._under = Conditions(plan.cold, plan.processes, control)

    def sample(self, phase: str, call: Phase, found: Sampled) -> Timing:
        """Add this process's samples of a phase, and return them."""
        device, plan = self._context.device, self._plan
        self._context.say(f"timing {phase}, at most {plan.rule.budget_s / plan.processes:.2g} s")
        before = Snapshot.take(device)
        timing = time_call(call, plan.rule, device, self._under)
        after = Snapshot.take(device)
        found.timings.append(timing)
        found.audits.append(findings(before, after))
        found.others.append(others(before, after))
        return timing


def sample_again(earlier: Earlier, workload: Workload, context: Context, plan: Plan) -> None:
    """Add this process's samples to those of earlier ones; of phases that processes share."""
    converted = deploy(workload, context.directory / EXPORTED)
    batch = converted.batch(workload.batch())
    rule = replace(plan.rule, warmup_s=min(plan.rule.warmup_s, LATER_WARMUP_S))
    processes = max(found.timings[0].processes for found in earlier.phases.values())
    sampling = Sampling(context, replace(plan, rule=rule, processes=processes))
    shared = {phase: f for phase, f in earlier.phases.items() if f.timings[0].processes > 1}
    for phase, found in shared.items():
        try:
            call = workload.phase(phase, converted.model, batch)
            prepared(converted, call)
        except Skip:
            continue
        sampling.sample(phase, call, found)
    if earlier.grown:
        brief_rule = brief(plan.rule, plan.throughput_s / processes)
        throughput = Throughput(workload, context, converted, brief_rule)
        for grown in earlier.grown:
            try:
                throughput.again(grown)
            except Exception:  # what one process cannot run costs its own samples alone
                log.exception("throughput of %s over %s", grown.phase, grown.axis)
