"""Where work runs: Docker, the channel to the supervisor, images, limits."""

from assay.sandboxes.protocol import REPORT_DESCRIPTOR, WORKSPACE, Filling, Sandbox, SandboxProvider

__all__ = ["REPORT_DESCRIPTOR", "WORKSPACE", "Filling", "Sandbox", "SandboxProvider"]
