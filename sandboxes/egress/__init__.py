"""The way out of a sandbox, where a profile grants one: a tunnel to the host, and a proxy there that judges."""

from assay.sandboxes.egress.addresses import HostResolver
from assay.sandboxes.egress.proxy import EgressProxy
from assay.sandboxes.egress.ways import Recorder, WaysOut

__all__ = ["EgressProxy", "HostResolver", "Recorder", "WaysOut"]
