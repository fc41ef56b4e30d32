"""Every error that assay raises on purpose.

```
AssayError                      3
├── UsageError                  2   what the person gave cannot be used
│   ├── ConfigurationError          assay.toml, a profile, a policy
│   ├── TicketError                 the ticket's file
│   ├── RepositoryError             the target repository or a revision in it
│   │   └── RepositoryMissing       there is none where a path leads
│   ├── PlanError                   a plan that cannot be carried out
│   ├── DecisionError               an answer to a checkpoint that cannot count
│   └── RunError                    a run that is unknown, busy or already over
├── InfrastructureError         3   assay could not do its work; says nothing about the change
│   ├── EngineUnavailable           no Docker engine answers
│   ├── ImageMissing                the sandbox image is not there
│   ├── SandboxLost                 a sandbox ended under us
│   ├── DiskFull                    no space for the state or in the engine
│   └── StoreCorrupt                what was stored is not what is there
├── ModelError                  3   a model could not be used
│   ├── ModelUnavailable            not installed, not reachable, or it kept failing
│   └── ScriptError                 a scripted model was asked what its file does not hold
├── SandboxRefused              2   a profile or command asks for what a sandbox must not give
└── Cancelled                   4   a person stopped the run
```

The number is the exit code of the command line. The class docstring is the default message.
An error quotes the value that it is about and names the next step.
"""

from __future__ import annotations

from typing import ClassVar


class AssayError(Exception):
    """assay could not go on."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str | None = None, *, next_step: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0]
        self.next_step = next_step
        super().__init__(self.message if next_step is None else f"{self.message}\n  next: {next_step}")


class UsageError(AssayError):
    """What was given cannot be used."""

    exit_code = 2


class ConfigurationError(UsageError):
    """The configuration cannot be used."""


class TicketError(UsageError):
    """The ticket cannot be read."""


class RepositoryError(UsageError):
    """The repository cannot be used."""


class RepositoryMissing(RepositoryError):
    """There is no repository."""


class PlanError(UsageError):
    """The plan cannot be carried out."""


class DecisionError(UsageError):
    """The decision cannot count."""


class RunError(UsageError):
    """The run cannot be used this way."""


class InfrastructureError(AssayError):
    """assay could not do its work; this says nothing about the change."""


class EngineUnavailable(InfrastructureError):
    """No Docker engine answers."""


class ImageMissing(InfrastructureError):
    """The sandbox image is not there."""


class SandboxLost(InfrastructureError):
    """The sandbox ended before its work did."""


class DiskFull(InfrastructureError):
    """There is no space left."""


class StoreCorrupt(InfrastructureError):
    """What was stored is not what is there."""


class ModelError(AssayError):
    """The model could not be used."""


class ModelUnavailable(ModelError):
    """The model does not answer."""


class ScriptError(ModelError):
    """The scripted model was asked for what its file does not hold."""


class SandboxRefused(AssayError):
    """A sandbox must not give what was asked for."""

    exit_code = 2


class Cancelled(AssayError):
    """A person stopped the run."""

    exit_code = 4
