"""Whether `seqmem probe` is right: random networks of known receptive field, and planted faults.

The networks are those of `tests/probe_networks.py` and `tests/probe_faults.py`. None declares its
receptive field. Where the package causal-certificate can be imported, it reads the same networks
from inputs of the same kind; of those that read ids, the layers after the embedding.

    python benchmarks/probe.py [--networks 200]

Times are those of the processor.
"""

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np
import torch
from common import machine, say
from tabulate import tabulate
from torch import nn

from seqmem.probing.findings import Findings
from seqmem.probing.inputs import source_of_module
from seqmem.probing.probe import ProbeOptions, probe_network
from seqmem.tests.probe_faults import FAULTS, planted
from seqmem.tests.probe_networks import KINDS, Stack, random_network

try:
    from causal_certificate import certify
except ImportError:
    certify = None

LENGTH = 128  # inputs that causal-certificate reads, as the probe's own check of causality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--certificate-networks", type=int, default=40)
    parser.add_argument("--skip-faults", action="store_true")
    arguments = parser.parse_args()
    if arguments.networks:
        honest(arguments.networks)
    if not arguments.skip_faults:
        faulty()
    if certify is None:
        say("causal-certificate is not installed: no comparison")
    else:
        compared(arguments.certificate_networks)
    say(f"\n{machine()}")


def probed(module: nn.Module) -> tuple[float, Findings]:
    source = source_of_module(module)
    options = ProbeOptions()
    began = time.process_time()
    found = probe_network(module, source, type(module).__name__, options)
    return time.process_time() - began, found


def honest(count: int) -> None:
    """Print the share of receptive fields that are exact, and of networks without a fault."""
    exact, flagged, seconds = Counter[str](), Counter[str](), []
    bounded, of_kind = Counter[str](), Counter[str]()
    for seed in range(count):
        made = random_network(seed)
        took, found = probed(made.module)
        seconds.append(took)
        of_kind[made.kind] += 1
        bounded[made.kind] += made.field is not None
        exact[made.kind] += found.receptive_field == made.field
        flagged[made.kind] += bool(found.faults)
        if found.receptive_field != made.field or found.faults:
            say(f"seed {seed}, {made.kind}: {found.receptive_field} is {made.field}; "
                f"{[fault.text for fault in found.faults]}")  # fmt: skip
        if seed % 10 == 9:
            say(f"{seed + 1} networks: {exact.total()} exact, {flagged.total()} flagged")
    rows = [[k, of_kind[k], bounded[k], exact[k], flagged[k]] for k in KINDS]
    rows.append(["all", *(c.total() for c in (of_kind, bounded, exact, flagged))])
    headers = ["layers", "networks", "finite", "receptive field exact", "flagged"]
    say(tabulate(rows, headers=headers, tablefmt="pipe"))
    say(
        f"seconds a probe: median {np.median(seconds):.2f}, 95 % under "
        f"{np.quantile(seconds, 0.95):.2f}, largest {max(seconds):.2f}\n"
    )


def faulty() -> None:
    """Print what a probe reports of each planted fault, reading ids and vectors."""
    rows = []
    for fault in FAULTS:
        caught, texts = 0, []
        for ids in (False, True):
            _, found = probed(planted(fault, ids=ids))
            named = [each.text for each in found.faults if each.name == fault.caught_as]
            caught += bool(named)
            texts += named
        rows.append([fault.name, fault.caught_as, f"{caught} of 2", *texts[:1]])
        say(str(rows[-1]))
    headers = ["fault", "reported as", "caught", "the report on vectors"]
    say(tabulate(rows, headers=headers, tablefmt="pipe"))
    say(f"caught: {sum(row[2] == '2 of 2' for row in rows)} of {len(rows)}\n")


def compared(count: int) -> None:
    """Print what causal-certificate finds in the same networks, on vectors, in float64."""
    flagged, seconds = 0, []
    for seed in range(count):
        module = random_network(seed).module
        began = time.process_time()
        report = certified(module)
        seconds.append(time.process_time() - began)
        flagged += not report.ok
    say(f"causal-certificate: {flagged} of {count} honest networks flagged; seconds: median "
        f"{np.median(seconds):.2f}, largest {max(seconds):.2f}")  # fmt: skip
    within = [fault for fault in FAULTS if fault.caught_as in ("causality", "batch")]
    missed = [fault.name for fault in within if certified(planted(fault)).ok]
    say(
        f"causal-certificate: {len(within) - len(missed)} of the {len(within)} leaks from later "
        f"inputs and other sequences caught; missed: {', '.join(missed) or 'none'}"
    )


def certified(module: nn.Module) -> Any:
    """Return its report of a network, from the layers after the first on."""
    module = module.eval().double()
    stack = module if isinstance(module, Stack) else module.layers
    assert isinstance(stack, Stack)
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, LENGTH, 3, generator=random, dtype=torch.float64)
    if isinstance(stack.enter, nn.Embedding):
        ids = torch.randint(stack.enter.num_embeddings, (2, LENGTH), generator=random)
        return certify(lambda x: stack.leave(stack.layers(x)), stack.enter(ids).detach())
    return certify(module, inputs)


if __name__ == "__main__":
    main()
