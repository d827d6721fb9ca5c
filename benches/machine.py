"""What the measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> dict[str, str | int | float]:
    """The facts of this machine that decide how fast anything is on it."""
    processor = facts("/proc/cpuinfo", ":")
    memory = int(facts("/proc/meminfo", ":").get("MemTotal", "0 kB").split()[0])
    system = facts("/etc/os-release", "=")
    return {
        "processor": processor.get("model name", platform.machine()),
        "cores": os.cpu_count() or 1,
        "virtual": "hypervisor" in processor.get("flags", "").split(),
        "memory_gib": round(memory / 2**20),
        "system": system.get("PRETTY_NAME", platform.system()).strip('"'),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def sentence(machine: dict[str, str | int | float]) -> str:
    kind = "virtual cores" if machine["virtual"] else "cores"
    return (
        f"{machine['cores']} {kind} of {machine['processor']}, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Linux {machine['kernel']}"
    )


def facts(file: str, mark: str) -> dict[str, str]:
    """The first value of each name in a file of lines such as `name: value`."""
    found: dict[str, str] = {}
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, value = line.partition(mark)
        found.setdefault(name.strip(), value.strip())
    return found
