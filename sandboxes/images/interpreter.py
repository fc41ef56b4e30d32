"""Says, as JSON, which Python an image has and what is installed for it. Runs in a container of that image."""

import importlib.metadata
import json
import os
import platform
import re
import sys

try:
    library, _, glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
except (ValueError, OSError):
    library, glibc = "", ""
VERSION = ".".join(map(str, sys.version_info[:2]))
installed: "dict[str, str]" = {}
for found in importlib.metadata.distributions():
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower()
    installed.setdefault(name, found.version)  # the first on the path is the one that is imported
sys.stdout.write(
    json.dumps(
        {
            "version": VERSION,
            "implementation": {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name),
            "machine": platform.machine(),
            "glibc": glibc if library == "glibc" else None,
            "markers": {
                "implementation_name": sys.implementation.name,
                "implementation_version": platform.python_version(),
                "os_name": os.name,
                "platform_machine": platform.machine(),
                "platform_python_implementation": platform.python_implementation(),
                "platform_release": platform.release(),
                "platform_system": platform.system(),
                "platform_version": platform.version(),
                "python_full_version": platform.python_version(),
                "python_version": VERSION,
                "sys_platform": sys.platform,
            },
            "installed": installed,
        }
    )
)
